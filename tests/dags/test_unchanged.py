"""A run on schedule that finds nothing new says so and ends; every other one sets off the retraining."""

import importlib.util
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from multiner.pipeline.core.environment import quiet_environment

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "dags"))

from airflow.sdk import Asset  # noqa: E402
from airflow.sdk.exceptions import AirflowSkipException  # noqa: E402
from wiring.assets import RAW_DATA, live  # noqa: E402
from wiring.unchanged import live_since, stages_up_to_date  # noqa: E402

START = datetime(2026, 1, 4, tzinfo=UTC)


def event(hours: int, **extra: str) -> SimpleNamespace:
    return SimpleNamespace(timestamp=START + timedelta(hours=hours), extra=extra)


@pytest.fixture
def events() -> dict[Asset, list[SimpleNamespace]]:
    """Two runs that got through, of other data first."""
    return {
        RAW_DATA: [event(0, data="old"), event(4, data="new")],
        live("en"): [event(1), event(5)],
        live("ru"): [event(2), event(6)],
    }


def test_data_whose_models_are_live_is_known(events: dict) -> None:
    assert live_since(events, "new", ["en", "ru"]) == START + timedelta(hours=6)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_language_that_did_not_get_through_is_tried_again(events: dict, language: str) -> None:
    events[live(language)].pop()
    assert live_since(events, "new", ["en", "ru"]) is None
    events[live(language)].clear()
    assert live_since(events, "new", ["en", "ru"]) is None


def test_other_data_is_news_the_one_before_the_last_too(events: dict) -> None:
    assert live_since(events, "newer", ["en", "ru"]) is None
    assert live_since(events, "old", ["en", "ru"]) is None
    assert live_since(events | {RAW_DATA: []}, "new", ["en", "ru"]) is None


def test_dvc_says_whether_a_stage_has_anything_to_do(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "code").write_text("1")
    (tmp_path / "dvc.yaml").write_text("stages: {copy: {cmd: cp code out, deps: [code], outs: [out]}}\n")
    assert not stages_up_to_date(tmp_path)
    command = [sys.executable, "-m", "dvc", "repro"]
    subprocess.run(command, cwd=tmp_path, env=quiet_environment(), check=True, capture_output=True)
    assert stages_up_to_date(tmp_path)
    (tmp_path / "code").write_text("2")
    assert not stages_up_to_date(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: [")
    assert not stages_up_to_date(tmp_path)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The DAG file ``data``, with data and stages as the last run left them."""
    monkeypatch.setenv("NER_ROOT", str(ROOT))
    spec = importlib.util.spec_from_file_location("dag_file_data", ROOT / "dags" / "data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "published_version", lambda *_: "new")
    monkeypatch.setattr(module, "inputs_unchanged", lambda *_: True)
    return module


def publish(data: ModuleType, kind: str, events: dict) -> list[dict[str, str]]:
    """What the task says of the data."""
    said = data.published.operator.python_callable(dag_run=SimpleNamespace(run_type=kind), inlet_events=events)
    return [metadata.extra for metadata in said]


def test_a_run_on_schedule_without_news_ends(data: ModuleType, events: dict) -> None:
    with pytest.raises(AirflowSkipException, match=r"nothing to do: data.* not changed.* 2026-01-04 06:00 UTC"):
        publish(data, "scheduled", events)


def test_every_other_run_sets_off_the_retraining(
    data: ModuleType, events: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    news = [{"data": "new"}]
    assert publish(data, "manual", events) == news, "as `ner run` and the page start it, which follow what it sets off"
    assert publish(data, "scheduled", events | {live("en"): []}) == news
    monkeypatch.setattr(data, "inputs_unchanged", lambda *_: False)
    assert publish(data, "scheduled", events) == news, "code or parameters have changed"
