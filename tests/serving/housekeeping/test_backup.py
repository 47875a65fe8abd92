"""A backup of a live workspace, restored into an empty folder on another path, and a damaged one, which is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import champion
from multiner.pipeline.registry.store import database, open_store
from multiner.serving.housekeeping import backup as module
from multiner.serving.housekeeping.backup import backup, restore
from multiner.serving.housekeeping.commands import commands
from tests.serving.housekeeping.conftest import AddVersion

FILES = {
    "dvc.lock": "schema: '2.0'\n",
    "data/raw/corpus.dvc": "outs: []\n",
    "data/raw/corpus/train.txt": "corpora stay out\n",
    "data/review/en.conll": "-DOCSTART- 1 now ner-en/1\n\nAda\tB-PER\n",
    "metrics/cpu/en.json": "{}\n",
    "mlruns/keys/1.pub": "a public key\n",
    ".run/airflow/airflow.cfg": "fernet_key = k\n",
    ".run/airflow/passwords.json": "secrets stay out\n",
    ".run/gateway.token": "secrets stay out\n",
}


@pytest.fixture
def full(workspace: Workspace, client: MlflowClient, add_version: AddVersion) -> Workspace:
    """A workspace with a champion, a corpus, corrections, and databases in write-ahead mode."""
    add_version("champion")
    for name, text in FILES.items():
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in (".run/airflow/airflow.db", ".run/state.db"):
        with closing(sqlite3.connect(workspace.root / name)) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE t (x)")
            connection.execute("INSERT INTO t VALUES (1)")
    return workspace


def test_a_champion_on_another_path_is_found_with_its_files(full: Workspace, tmp_path: Path) -> None:
    file, target = tmp_path / "backup.tar", tmp_path / "elsewhere" / "home"
    assert backup(full, file) == []
    full.root.rename(tmp_path / "lost")
    manifest, folder = restore(file, target)
    assert folder == target
    restored = Workspace.load(root=target)
    version = champion(restored, "en")
    assert version is not None
    assert version.version == "1"
    place = Path(download_artifacts(artifact_uri=version.uri))
    assert place.is_relative_to(target)
    assert (place / "weights.bin").read_bytes() == bytes(1000)
    uri = open_store(restored).get_run(version.run_id).info.artifact_uri
    assert uri.startswith(target.as_uri())

    texts = {name for name in FILES if (target / name).is_file()}
    secret = {"data/raw/corpus/train.txt", ".run/airflow/passwords.json", ".run/gateway.token"}
    assert texts == FILES.keys() - secret
    assert all((target / name).read_text(encoding="utf-8") == FILES[name] for name in texts)
    for name in (".run/airflow/airflow.cfg", "data/review/en.conll"):
        assert (target / name).stat().st_mode & 0o777 == 0o600
    for name in (".run/airflow/airflow.db", ".run/state.db"):
        with closing(sqlite3.connect(target / name)) as connection:
            assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    assert not [name for name in manifest["files"] if name.endswith(("-wal", "-shm", "-journal"))]
    assert [name for name in manifest["files"] if name.endswith(".lock")] == ["dvc.lock"]


def test_the_lock_of_a_container_lies_on_a_volume(full: Workspace, tmp_path: Path) -> None:
    lock, volume = full.root / "dvc.lock", tmp_path / "volume"
    lock.rename(volume)
    lock.symlink_to(volume)
    backup(full, tmp_path / "backup.tar")
    _, folder = restore(tmp_path / "backup.tar", tmp_path / "restored")
    assert (folder / "dvc.lock").read_text(encoding="utf-8") == FILES["dvc.lock"]
    assert not (folder / "dvc.lock").is_symlink()


@pytest.mark.parametrize("name", ["mlruns", "mlruns/artifacts", "mlruns/artifacts/ner-en", "data/raw"])
def test_what_lies_on_another_disk_is_in_the_archive(full: Workspace, tmp_path: Path, name: str) -> None:
    folder, disk = full.root / name, tmp_path / "disk"
    folder.rename(disk)
    folder.symlink_to(disk)
    backup(full, tmp_path / "backup.tar")
    _, target = restore(tmp_path / "backup.tar", tmp_path / "restored")
    version = champion(Workspace.load(root=target), "en")
    assert version is not None
    place = Path(download_artifacts(artifact_uri=version.uri)).resolve()
    assert place.is_relative_to(target.resolve())
    assert (place / "weights.bin").read_bytes() == bytes(1000)
    assert (target / "data/raw/corpus.dvc").is_file()


def test_a_database_is_copied_as_it_is_at_one_moment(
    full: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer with an open transaction does not hold the backup up, and what it writes is not in it."""
    file = tmp_path / "backup.tar"
    with closing(sqlite3.connect(full.root / ".run" / "state.db")) as writer:
        writer.execute("INSERT INTO t VALUES (2)")
        backup(full, file)
        writer.commit()
    restore(file, tmp_path / "target")
    with closing(sqlite3.connect(tmp_path / "target" / ".run" / "state.db")) as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_nothing_is_registered_while_the_databases_are_copied(
    full: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiner.pipeline.core.locks import is_held

    copy, held = module._copy_database, []

    def look(source: Path, target: Path) -> Path:
        held.append(is_held(full.paths.mlruns / ".ner-en.lock"))
        return copy(source, target)

    monkeypatch.setattr(module, "_copy_database", look)
    backup(full, tmp_path / "backup.tar")
    assert held == [True] * 3
    assert not is_held(full.paths.mlruns / ".ner-en.lock")


def test_databases_elsewhere_are_named(full: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_ROOT", str(full.root))
    monkeypatch.setenv("NER_STATE_URL", "postgresql://host/state")
    said = CliRunner().invoke(commands, ["backup", str(tmp_path / "backup.tar")])
    assert said.exit_code == 0, said.output
    assert "not in it: the database that NER_STATE_URL names; back it up too, PostgreSQL with pg_dump" in said.output
    done = CliRunner().invoke(commands, ["restore", str(tmp_path / "backup.tar"), "--into", str(tmp_path / "target")])
    assert done.exit_code == 0, done.output
    assert "not restored: the database that NER_STATE_URL named" in done.output


def test_without_artifacts_the_models_stay_out(full: Workspace, tmp_path: Path) -> None:
    backup(full, tmp_path / "backup.tar", artifacts=False)
    manifest, folder = restore(tmp_path / "backup.tar", tmp_path / "target")
    assert manifest["artifacts"] is False
    assert database(Workspace.load(root=folder)).is_file()
    assert not (folder / "mlruns" / "artifacts").exists()


def test_an_archive_of_a_later_release_is_refused(
    full: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "FORMAT", 99)
        backup(full, tmp_path / "backup.tar")
    with pytest.raises(NerError, match="format 99"):
        restore(tmp_path / "backup.tar", tmp_path / "target")
    assert not (tmp_path / "target").exists()
    with pytest.raises(NerError, match="no such file"):
        restore(tmp_path / "none.tar", tmp_path / "target")
