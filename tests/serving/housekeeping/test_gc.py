"""`ner gc` leaves what is needed, says what it would delete, and finishes what a killed call began."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import list_artifacts

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.registry.journal.former_switches import PREVIOUS, ROLLED_BACK, SINCE
from multiner.pipeline.workspaces.state import Runs, RunState
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.gateway import state as gateway_state
from multiner.serving.housekeeping import airflow_history, in_use, old_files, registry
from multiner.serving.housekeeping.gc import Kept, collect
from multiner.serving.housekeeping.removal import Removal, readable
from multiner.serving.housekeeping.retention import RegisteredVersion, kept_versions
from multiner.serving.routing.holds import HOLDS
from tests.serving.housekeeping.conftest import AddVersion

FORMER = {SINCE: "2026-01-01T00:00:00+00:00"}


def numbers(client: MlflowClient) -> list[str]:
    return sorted(registry.versions_of(client, "ner-en"), key=int)


def test_champions_former_ones_targets_versions_in_use_and_the_newest_stay() -> None:
    versions = [
        RegisteredVersion("1", [], {}),
        RegisteredVersion("2", [], FORMER),
        RegisteredVersion("3", [], FORMER),
        RegisteredVersion("4", [], FORMER | {ROLLED_BACK: "2026-02-01"}),
        RegisteredVersion("5", [], {}),
        RegisteredVersion("6", ["champion"], FORMER | {PREVIOUS: "5"}),
        RegisteredVersion("7", [], {}),
        RegisteredVersion("8", [], {}),
        RegisteredVersion("10", [], {}),
        RegisteredVersion("9", ["challenger"], {}),
    ]
    kept = kept_versions(versions, 1, {"7", "77"})
    assert sorted(kept, key=int) == ["2", "3", "5", "6", "7", "9", "10"]
    assert kept["6"] == "champion"
    assert kept["5"] == "rollback target of version 6"
    assert kept["7"] == "in use at the gateway"


def test_old_versions_go_with_runs_and_files_and_others_stay_whole(
    workspace: Workspace, client: MlflowClient, add_version: AddVersion
) -> None:
    first, second, third = add_version(), add_version("champion"), add_version()
    gone = client.get_model_version("ner-en", first)
    run_id, model_id = gone.run_id, gone.source.rpartition("/")[2]

    planned, _ = registry.old_versions(workspace, {}, 1, delete=False)
    assert numbers(client) == [first, second, third]
    assert planned.items == ["ner-en version 1"]
    assert planned.size >= 1000

    done, stay = registry.old_versions(workspace, {}, 1, delete=True)
    assert (done.items, done.size) == (planned.items, planned.size)
    assert stay == ["ner-en version 2: champion", "ner-en version 3: one of the newest 1"]
    assert numbers(client) == [second, third]
    assert client.get_model_version_by_alias("ner-en", "champion").version == int(second)
    assert not list((workspace.paths.mlruns / "artifacts").rglob(f"*{model_id}*/artifacts"))
    assert registry.run_of(client, run_id) is None
    for version in (second, third):
        assert {item.path for item in list_artifacts(artifact_uri=f"models:/ner-en/{version}")} >= {"weights.bin"}
    assert add_version() == "4"  # numbers are not given twice


@pytest.mark.parametrize("step", ["set_tag", "delete_model_version", "delete_logged_model", "delete_run"])
def test_a_killed_call_leaves_whole_versions_and_the_next_one_goes_on(
    workspace: Workspace, client: MlflowClient, add_version: AddVersion, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    add_version(), add_version("champion")
    done = getattr(MlflowClient, step)

    def die(self: MlflowClient, *arguments: object, **named: object) -> None:
        done(self, *arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, die)
        with pytest.raises(KeyboardInterrupt):
            registry.old_versions(workspace, {}, 1, delete=True)
    for number in numbers(client):
        assert list_artifacts(artifact_uri=f"models:/ner-en/{number}")
    registry.old_versions(workspace, {}, 1, delete=True)
    assert numbers(client) == ["2"]
    registry.stray_artifacts(workspace, delete=True)
    folder = workspace.paths.mlruns / "artifacts" / "ner-en"
    assert len([*folder.glob("models/*"), *(each for each in folder.iterdir() if each.name != "models")]) == 1


def test_a_version_that_gets_an_alias_meanwhile_stays(
    workspace: Workspace, client: MlflowClient, add_version: AddVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_version()
    add_version("champion")
    size = registry._version_size

    def alias_set_meanwhile(*arguments: object) -> int:
        client.set_registered_model_alias("ner-en", "favourite", first)
        return size(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "_version_size", alias_set_meanwhile)
    registry.old_versions(workspace, {}, 1, delete=True)
    assert numbers(client) == ["1", "2"]


def test_runs_deleted_long_ago_go_unless_a_version_needs_them(
    workspace: Workspace, client: MlflowClient, add_version: AddVersion
) -> None:
    add_version("champion")
    needed = client.get_model_version("ner-en", "1").run_id
    experiment = client.get_experiment_by_name("ner-en").experiment_id
    other = client.create_run(experiment).info.run_id
    client.log_text(other, "text", "note.txt")
    for run_id in (needed, other):
        client.delete_run(run_id)
    assert registry.deleted_runs(workspace, 30, delete=True).items == []
    removal = registry.deleted_runs(workspace, 0, delete=True)
    assert removal.items == [f"run {other} of ner-en"]
    assert removal.size == 4
    assert registry.run_of(client, other) is None
    assert registry.run_of(client, needed) is not None


def test_artifacts_that_no_record_names_go(workspace: Workspace, client: MlflowClient, add_version: AddVersion) -> None:
    add_version("champion")
    folder = workspace.paths.mlruns / "artifacts" / "ner-en"
    strays = [folder / ("a" * 32), folder / "models" / f"m-{'b' * 32}"]
    for stray in strays:
        (stray / "artifacts").mkdir(parents=True)
        (stray / "artifacts" / "x").write_bytes(bytes(7))
    removal = registry.stray_artifacts(workspace, delete=True)
    assert (len(removal.items), removal.size) == (2, 14)
    assert not any(stray.exists() for stray in strays)
    assert list_artifacts(artifact_uri="models:/ner-en/1")


def age(path: Path, days: float = 40) -> None:
    """Make a file, or a folder with its content, so old."""
    moment = time.time() - days * 86_400
    for each in (path, *path.rglob("*")):
        os.utime(each, (moment, moment))


def test_old_checkpoints_go_but_none_that_a_training_holds(workspace: Workspace) -> None:
    from filelock import FileLock

    folders = [workspace.paths.checkpoints("en", name) for name in ("old", "held", "new")]
    for folder in folders:
        (folder / "0123").mkdir(parents=True)
        (folder / "0123" / "state").write_bytes(bytes(5))
    for folder in folders[:2]:
        age(folder)
    with FileLock(folders[1].with_suffix(".lock")):
        removal = old_files.checkpoints(workspace, 30, delete=True)
    assert removal == Removal("checkpoints", ["data/checkpoints/cpu/en/old"], 5)
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_old_logs_go_but_not_of_servers_that_run(workspace: Workspace) -> None:
    logs = workspace.paths.run / "logs"
    tasks = workspace.paths.run / "airflow" / "logs"
    paths = [logs / "model-ner-en-1.log", logs / "shadow-ner-en-2.log", logs / "gateway.log", logs / "gateway.log.1"]
    paths += [tasks / "dag_id=data" / "run_id=1" / "task.log", tasks / "dag_id=data" / "run_id=2" / "task.log"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(3))
        age(path.parent if path.name == "task.log" else path)
    age(paths[-1].parent, 1)
    removal = old_files.logs(workspace, 30, ["ner-en-1"], delete=True)
    assert [path.exists() for path in paths] == [True, False, True, False, False, True]
    assert removal.size == 9


def test_old_runs_and_their_bundles_leave_the_object_store(workspace: Workspace, tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path}/store")
    runs = Runs(store)
    for run, bundle in (("data/old", "a"), ("data/new", "b"), ("data/published", "c")):
        runs.begin(run, RunState("commit", f"bundles/{bundle}.bundle"))
    runs.publish("data", "data/published")
    for name in "abcde":
        store.write(f"bundles/{name}.bundle", "12345")
    store.write("checkpoints/0123/000000000001.tar", "123")
    age(tmp_path / "store")
    age(tmp_path / "store" / "runs" / "data%2Fnew", 1)
    planned = old_files.stored_runs(workspace, store, 30, ["e"], delete=False)
    removals = old_files.stored_runs(workspace, store, 30, ["e"], delete=True)
    assert planned == removals
    assert [removal.items for removal in removals] == [
        ["data%2Fold", "data%2Fpublished"],
        ["bundles/a.bundle", "bundles/d.bundle"],
        ["checkpoints/0123/000000000001.tar"],
    ]
    assert [each.name for each in store.listing("bundles")] == [f"bundles/{name}.bundle" for name in "bce"]
    assert runs.published("data").repository == "bundles/c.bundle"
    assert runs.state("data/new").commit == "commit"


def test_the_version_that_an_operator_ordered_is_in_use(workspace: Workspace) -> None:
    from sqlalchemy import create_engine, insert

    assert in_use.versions_in_use(workspace) == {}
    workspace.paths.run.mkdir()
    engine = create_engine(gateway_state.store_url(workspace))
    HOLDS.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(HOLDS).values(language="cpu/en", issued=1, number=1, version="3", champion="4"))
    assert in_use.versions_in_use(workspace) == {"en": {"3", "4"}}


def test_nothing_goes_while_a_gateway_runs_that_does_not_answer(
    workspace: Workspace, client: MlflowClient, add_version: AddVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_version(), add_version("champion")
    running = gateway_state.GatewayState(1, 0, "127.0.0.1", 3, "", "cpu")
    monkeypatch.setattr(gateway_state, "read_state", lambda workspace: running)
    with pytest.raises(NerError, match="does not answer"):
        list(collect(workspace, delete=True))
    assert numbers(client) == ["1", "2"]


def test_a_workspace_without_anything_has_nothing_to_remove(workspace: Workspace) -> None:
    removals = [each for each in collect(workspace, delete=True) if not isinstance(each, Kept)]
    assert len(removals) > 5
    assert not any(removal.count or removal.size for removal in removals)


def test_sizes_are_readable() -> None:
    assert [readable(size) for size in (0, 999, 1500, 2_500_000, 10**13)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2.5 MB",
        "10.0 TB",
    ]


def test_the_command_says_first_and_deletes_then(
    workspace: Workspace, client: MlflowClient, add_version: AddVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from multiner.serving.housekeeping.commands import gc

    add_version(), add_version("champion")
    params = workspace.root / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("  versions: 5 ", "  versions: 1 "), encoding="utf-8")
    monkeypatch.setenv("NER_ROOT", str(workspace.root))
    said = CliRunner().invoke(gc, ["-v"])
    assert said.exit_code == 0, said.output
    assert "stays: ner-en version 2: champion" in said.output
    assert "model versions: would delete 1, 1." in said.output
    assert "  ner-en version 1\n" in said.output
    assert "ner gc --yes deletes it" in said.output
    assert numbers(client) == ["1", "2"]
    done = CliRunner().invoke(gc, ["--yes"])
    assert "model versions: deleted 1, 1." in done.output
    assert numbers(client) == ["2"]
    assert "deleted 0 bytes in all" in CliRunner().invoke(gc, ["--delete"]).output


@pytest.mark.parametrize("withheld", [False, True])
def test_airflow_cleans_its_own_database(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, withheld: bool) -> None:
    folder = workspace.paths.run / "airflow"
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "airflow.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    if withheld:  # as in a task of Airflow
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
        monkeypatch.setenv("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    program = folder / "airflow"
    program.write_text(
        '#!/bin/sh\necho "$@" > "$AIRFLOW_HOME/arguments"\nenv > "$AIRFLOW_HOME/environment"\n'
        'echo "Found 3 rows meeting deletion criteria."\necho "Found 0 rows meeting deletion criteria."\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(airflow_setup, "script", lambda name: str(program))
    assert airflow_history.old_records(workspace, 30, delete=False).count == 3
    assert (folder / "arguments").read_text().endswith("--dry-run\n")
    assert airflow_history.old_records(workspace, 30, delete=True).count == 3
    arguments = (folder / "arguments").read_text().split()
    assert arguments[:3] == ["db", "clean", "--clean-before-timestamp"]
    assert "--dry-run" not in arguments
    assert "not-allowed" not in (folder / "environment").read_text()
    program.write_text("#!/bin/sh\necho 'database is locked' >&2\nexit 1\n")
    with pytest.raises(NerError, match="database is locked") as caught:
        airflow_history.old_records(workspace, 30, delete=True)
    assert caught.value.exit_code == 75
