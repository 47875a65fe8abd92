"""The DAG files of the repository against its dvc.yaml, loaded in a fresh process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from multiner.pipeline.core.dvc_command import dvc

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "ru")
NO_STAGES = ("plan", "register")


def describe(root: Path, home: Path, **more: str) -> dict[str, Any]:
    """What describe_dags.py prints of a workspace."""
    environment = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **more}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, str(ROOT / "tools" / "describe_dags.py"), str(root)]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The repository's DAGs."""
    return describe(ROOT, tmp_path_factory.mktemp("airflow"))


@pytest.fixture
def dags(loaded: dict[str, Any]) -> dict[str, Any]:
    return loaded["dags"]


def test_all_dags_are_there(dags: dict[str, Any]) -> None:
    assert sorted(dags) == [
        "data", "drift", "housekeeping", "promote_en", "promote_ru", "reconcile", "retrain_en", "retrain_ru",
    ]  # fmt: skip


def test_without_a_schedule_the_data_alone_sets_retraining_off(dags: dict[str, Any], tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert text.count('schedule: "@weekly"') == 2
    (tmp_path / "params.yaml").write_text(text.replace('schedule: "@weekly"', "schedule: null"), encoding="utf-8")
    for name in ("dvc.yaml", "params", "dags"):
        (tmp_path / name).symlink_to(ROOT / name)
    found = describe(tmp_path, tmp_path)["dags"]
    assert sorted(found) == sorted(dags)
    assert found["retrain_en"]["schedule"] == {"cron": None, "assets": ["ner-data"]}
    assert (dags["housekeeping"]["schedule"]["cron"], found["housekeeping"]["schedule"]["cron"]) == ("0 0 * * 0", None)


def test_parsing_is_light(loaded: dict[str, Any]) -> None:
    assert loaded["heavy"] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_task_for_each_stage_of_dvc_yaml(dags: dict[str, Any], language: str) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    expected = {
        f"{name}@{language}" if "foreach" in body else name
        for name, body in stages.items()
        if "foreach" not in body or language in body["foreach"]
    }
    tasks = dags[f"retrain_{language}"]["tasks"]
    commands = {
        task["command"][-1]: task["command"] for name, task in tasks.items() if name not in ("plan", "register")
    }
    assert expected <= commands.keys()
    for command in commands.values():
        assert command[1:-1] == [*dvc("repro", "--single-item")[1:]]


def ancestors(tasks: dict[str, Any], name: str) -> set[str]:
    """Everything that comes before a task."""
    direct = set(tasks[name]["upstream"])
    return direct.union(*(ancestors(tasks, other) for other in direct))


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_trains_before_the_validation(dags: dict[str, Any], language: str) -> None:
    tasks = dags[f"retrain_{language}"]["tasks"]
    trainings = [name for name in tasks if name.startswith("train") and not name.startswith("train_shipped")]
    assert len(trainings) >= 2
    for name in trainings:
        documents = "validate_en" if name == "train_start" else "validate"  # Russian starts on the English documents
        assert documents in ancestors(tasks, name)
        assert tasks[name]["pool"] == "training"
    for name in ("out_of_fold", "ensemble", "evaluate"):
        assert tasks[name]["pool"] == "training"
    assert ancestors(tasks, "register") == tasks.keys() - {"register"}


def test_assets_chain_the_dags(dags: dict[str, Any]) -> None:
    assert dags["data"]["tasks"]["publish"]["outlets"] == ["ner-data"]
    assert {"pull", "validate_en", "validate_ru"} <= ancestors(dags["data"]["tasks"], "publish")
    for language in LANGUAGES:
        retrain, promote = dags[f"retrain_{language}"], dags[f"promote_{language}"]
        assert retrain["schedule"] == {"cron": None, "assets": ["ner-data"]}
        assert retrain["tasks"]["register"]["outlets"] == promote["schedule"]["assets"] == [f"ner-candidate-{language}"]
        assert promote["tasks"]["promote"]["upstream"] == ["waiting"]
        assert promote["tasks"]["deploy"]["upstream"] == ["promote", "waiting"]
        assert promote["tasks"]["deploy"]["command"][-1] == "--if-any", "a first model refused is a regular end, too"


def test_the_schedule_sets_off_the_data_and_nothing_else_of_the_pipeline(dags: dict[str, Any]) -> None:
    assert dags["data"]["schedule"] == {"cron": "0 0 * * 0", "assets": []}
    assert {dags[f"retrain_{language}"]["schedule"]["cron"] for language in LANGUAGES} == {None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_challenger_that_could_not_be_judged_is_judged_again_within_the_hour(
    dags: dict[str, Any], language: str
) -> None:
    promote = dags[f"promote_{language}"]
    assert promote["schedule"] == {"cron": "30 * * * *", "assets": [f"ner-candidate-{language}"]}
    assert promote["tasks"]["waiting"]["command"][1:] == ["waiting", "--language", language]
    assert promote["tasks"]["waiting"]["pool"] == "default_pool", "a run without work waits for no training"


def test_runs_by_hand_ask_for_language_force_and_dry_run(dags: dict[str, Any]) -> None:
    usual = {"force": False, "dry_run": False}
    assert dags["data"]["params"] == usual | {"language": "all"}
    for language in LANGUAGES:
        assert dags[f"retrain_{language}"]["params"] == usual
    for name in ("data", "retrain_en", "retrain_ru"):
        tasks = dags[name]["tasks"]
        assert all(name == "plan" or "plan" in ancestors(tasks, name) for name in tasks), "a dry run ends before all"


def test_without_a_schedule_the_pipeline_runs_by_hand_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"airflow": params["airflow"] | {"schedule": None}}))
    dags = describe(tmp_path, tmp_path)["dags"]
    assert dags["data"]["schedule"] == {"cron": None, "assets": []}
    assert dags["retrain_en"]["schedule"]["assets"] == ["ner-data"]


def test_no_training_slows_what_the_gate_measures(dags: dict[str, Any]) -> None:
    for language in LANGUAGES:
        judged = dags[f"promote_{language}"]["tasks"]["promote"]
        assert judged["pool"] == "training"
        stages = dags[f"retrain_{language}"]["tasks"]
        assert judged["priority"] > len(stages), "it goes before stages that wait, by how many wait for them"


def test_reconciling_stands_apart_from_the_pipeline(dags: dict[str, Any]) -> None:
    reconcile = dags["reconcile"]
    assert reconcile["tasks"].keys() == {"deploy", "on_time"}
    task = reconcile["tasks"]["deploy"]
    assert task["command"][-2:] == ["deploy", "--watch"], "it starts no gateway and leaves an operator's choice alone"
    assert (task["outlets"], task["pool"]) == ([], "default_pool")
    assert reconcile["schedule"] == {"cron": "*/15 * * * *", "assets": []}


def test_every_dag_is_documented_and_every_task_retried(dags: dict[str, Any]) -> None:
    knobs = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["airflow"]
    for dag in dags.values():
        assert len(dag["doc"]) > 100
        assert dag["max_active_runs"] == 1
        assert dag["catchup"] is False
        assert {task["retries"] for task in dag["tasks"].values()} == {knobs["retries"]}
        assert {task["backoff"] for task in dag["tasks"].values()} == {2}
        assert dag["on_failure"] == ["FailureNotice"]
        assert all(task["on_failure"] == ["FailureNotice"] for task in dag["tasks"].values())


def test_nothing_lasts_for_ever(dags: dict[str, Any]) -> None:
    knobs = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["airflow"]
    tries = knobs["retries"] + 1
    assert knobs["busy_minutes"] < knobs["task_timeout_minutes"], "who waited long still gets to work"
    assert knobs["task_timeout_minutes"] * tries <= knobs["run_timeout_minutes"]
    for dag in dags.values():
        assert dag["timeout_minutes"] == knobs["run_timeout_minutes"]
        for task in dag["tasks"].values():
            assert task["timeout_minutes"] == knobs["task_timeout_minutes"]
            assert task["busy_minutes"] == (knobs["busy_minutes"] if task["command"] else None)


PLACES = {
    "train": {
        "queue": "gpu",
        "executor": "KubernetesExecutor",
        "pool": "gpus",
        "kubernetes": {"cpu": 4, "memory": "16Gi", "gpu": 1},
    },
    "score": {"queue": "big", "executor": "CeleryExecutor"},
    "light": {"executor": "LocalExecutor"},
}
KUBERNETES = """
from types import SimpleNamespace
V1Pod = V1PodSpec = V1Container = V1ResourceRequirements = SimpleNamespace
"""


@pytest.mark.parametrize("executor", ["LocalExecutor,CeleryExecutor,KubernetesExecutor", "KubernetesExecutor"])
def test_each_class_of_tasks_has_the_place_that_params_yaml_gives_it(tmp_path: Path, executor: str) -> None:
    shutil.copytree(ROOT / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["airflow"]["classes"] = PLACES
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    client = tmp_path / "dags" / "kubernetes" / "client"  # its package is in an extra
    client.mkdir(parents=True)
    (client / "models.py").write_text(KUBERNETES)
    dags = describe(tmp_path, tmp_path, AIRFLOW__CORE__EXECUTOR=executor)["dags"]

    def place(dag: str, task: str) -> list[Any]:
        return [dags[dag]["tasks"][task][key] for key in ("executor", "queue", "pool")]

    gpu = {"nvidia.com/gpu": "1"}
    pod = {"base": {"requests": {"cpu": "4", "memory": "16Gi", **gpu}, "limits": gpu}}
    for task in ("train_transformer", "train_spacy", "out_of_fold"):
        assert place("retrain_en", task) == ["KubernetesExecutor", "gpu", "gpus"]
        assert dags["retrain_en"]["tasks"][task]["pod"] == pod
    for dag, task in (("retrain_en", "evaluate"), ("retrain_ru", "ensemble"), ("promote_en", "promote")):
        assert place(dag, task) == ["CeleryExecutor", "big", "training"]
    light = [("retrain_en", "prepare"), ("retrain_en", "register"), ("promote_en", "deploy"), ("reconcile", "deploy")]
    for dag, task in [*light, ("data", "pull"), ("data", "publish")]:
        assert place(dag, task) == ["LocalExecutor", "default", "default_pool"]
        assert dags[dag]["tasks"][task]["pod"] is None


def test_without_settings_airflow_decides_where_a_task_runs(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag["tasks"].values():
            assert (task["executor"], task["queue"], task["pod"]) == (None, "default", None)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The DAGs for workers without a common folder."""
    home = tmp_path_factory.mktemp("own")
    return describe(ROOT, home, NER_WORKSPACE="own")["dags"]


def test_in_working_copies_of_their_own_the_tasks_hand_on_the_runs_state(own: dict[str, Any]) -> None:
    def command(dag: str, task: str) -> list[str]:
        return own[dag]["tasks"][task]["command"][1:]

    assert command("data", "pull") == ["workspace", "pull"]
    assert command("data", "validate_ru") == ["workspace", "stage", "validate@ru"]
    for language in LANGUAGES:
        retrain = own[f"retrain_{language}"]["tasks"]
        assert command(f"retrain_{language}", "begin") == ["workspace", "begin", "--from", "data"]
        for name in retrain.keys() - {"plan", "begin", "register"}:
            assert command(f"retrain_{language}", name)[:2] == ["workspace", "stage"]
            assert "begin" in ancestors(retrain, name)
        state = f"candidate-{language}"
        assert command(f"retrain_{language}", "register") == [
            *("workspace", "run", "--needs", f"evaluate@{language}", "--publish", state),
            *("--", "register", "--language", language),
        ]
        assert command(f"promote_{language}", "promote") == [
            *("workspace", "run", "--needs", f"prepare@{language}", "--from", state),
            *("--", "promote", "--language", language),
        ]


def test_a_drift_of_live_traffic_asks_for_retraining(dags: dict[str, Any]) -> None:
    drift = dags["drift"]
    assert drift["schedule"] == {"cron": "0 5 * * 1", "assets": []}
    checks = {name for name in drift["tasks"] if name.startswith("check_")}
    assert checks == {f"check_{language}" for language in LANGUAGES}
    for language in LANGUAGES:
        assert drift["tasks"][f"check_{language}"]["command"][1:] == ["drift", language, "--report", "--json"]
    assert drift["tasks"]["asked"]["upstream"] == sorted(checks)
    assert drift["tasks"]["retrain"]["upstream"] == ["asked"]
