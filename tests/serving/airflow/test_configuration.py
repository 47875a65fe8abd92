"""Airflow's options: what the caller's environment may change, and what it may not."""

from __future__ import annotations

import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.airflow import configuration
from multiner.serving.airflow.configuration import EDGE_EXECUTOR, FIXED, options

DEFAULTS = {
    "CORE__DAGS_FOLDER": "/ours/dags",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "2",
    "API__SECRET_KEY_CMD": "cat key",
}


@pytest.fixture
def all_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "_installed", lambda _: True)


def test_without_any_of_the_callers_the_defaults_stand() -> None:
    assert options(DEFAULTS, {"HOME": "/root"}) == {f"AIRFLOW__{name}": value for name, value in DEFAULTS.items()}


def test_the_callers_options_pass_through_and_go_before_ours() -> None:
    own = {"AIRFLOW__CELERY__BROKER_URL": "redis://r:6379/0", "AIRFLOW__CORE__PARALLELISM": "9"}
    merged = options(DEFAULTS, own)
    assert merged.items() >= own.items()
    assert merged["AIRFLOW__CORE__DAGS_FOLDER"] == "/ours/dags"


@pytest.mark.parametrize("variant", ["", "_CMD", "_SECRET"])
def test_a_secret_is_replaced_in_whichever_way_it_is_given(variant: str) -> None:
    merged = options(DEFAULTS, {f"AIRFLOW__API__SECRET_KEY{variant}": "theirs"})
    assert {name: value for name, value in merged.items() if "SECRET_KEY" in name} == {
        f"AIRFLOW__API__SECRET_KEY{variant}": "theirs"
    }


@pytest.mark.parametrize("name", FIXED)
def test_what_would_break_the_system_is_refused_by_name(name: str) -> None:
    with pytest.raises(NerError, match="cannot be changed") as caught:
        options(DEFAULTS, {f"AIRFLOW__{name}": "/somebody/elses"})
    assert caught.value.where == f"AIRFLOW__{name}"
    assert FIXED[name] in str(caught.value)


def test_our_own_value_handed_on_by_a_parent_process_is_no_change() -> None:
    assert options(DEFAULTS, {"AIRFLOW__CORE__DAGS_FOLDER": "/ours/dags"})["AIRFLOW__CORE__DAGS_FOLDER"] == "/ours/dags"


def test_several_executors_at_once(all_providers: None) -> None:
    merged = options(DEFAULTS, {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor, CeleryExecutor"})
    assert merged["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor,CeleryExecutor"
    assert "AIRFLOW__CORE__PARALLELISM" not in merged, "two is for the cores of one machine"
    assert "AIRFLOW__EDGE__API_ENABLED" not in merged


def test_the_edge_executor_gets_its_path_and_its_interface(all_providers: None) -> None:
    merged = options(DEFAULTS, {"AIRFLOW__CORE__EXECUTOR": "EdgeExecutor", "AIRFLOW__CORE__PARALLELISM": "5"})
    assert merged["AIRFLOW__CORE__EXECUTOR"] == f"EdgeExecutor:{EDGE_EXECUTOR}"
    assert merged["AIRFLOW__EDGE__API_ENABLED"] == "True"
    assert merged["AIRFLOW__CORE__PARALLELISM"] == "5"


def test_an_executor_without_its_package_is_refused_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "_installed", lambda package: package == "airflow")
    with pytest.raises(NerError, match=r"KubernetesExecutor needs.*(?s:.)*ner-pipeline\[kubernetes\]"):
        options(DEFAULTS, {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor,KubernetesExecutor"})
