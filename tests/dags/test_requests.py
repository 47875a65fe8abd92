"""What runs are asked for: by hand, by events, and what a dry run says."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "dags"))

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException  # noqa: E402
from wiring import plan as module  # noqa: E402
from wiring.graph import parse_stages  # noqa: E402
from wiring.plan import check_request, plan  # noqa: E402
from wiring.requests import Request, request_of  # noqa: E402
from wiring.tasks import STAGE, CommandOperator, command_line  # noqa: E402
from wiring.waiting import WaitingOperator  # noqa: E402

STAGES = parse_stages(
    {
        "stages": {
            "prepare": {"foreach": ["en", "ru"], "do": {"deps": ["raw"], "outs": ["${item}/documents"]}},
            "train": {"foreach": ["en", "ru"], "do": {"deps": ["${item}/documents"], "outs": ["${item}/model"]}},
            "vectors": {"foreach": ["en", "ru"], "do": {"deps": ["packages"], "outs": ["vectors/${item}"]}},
        }
    }
)


def event(second: int, **extra: Any) -> SimpleNamespace:
    return SimpleNamespace(extra=extra, timestamp=second)


def events(*extras: dict[str, Any]) -> dict[str, Any]:
    return {"triggering_asset_events": {"ner-data": [event(n, **extra) for n, extra in enumerate(extras)]}}


@pytest.mark.parametrize(
    ("context", "request_"),
    [
        ({}, Request()),
        ({"params": {"language": "all", "force": False, "dry_run": False}}, Request()),
        ({"params": {"language": "ru", "force": True}}, Request(frozenset({"ru"}), force=True)),
        ({"params": {"dry_run": True}}, Request(dry_run=True)),
        (events({"data": "1"}), Request()),
        (events({"languages": ["en"]}), Request(frozenset({"en"}))),
        (events({"languages": ["en"]}, {"languages": ["ru"], "force": True}), Request(frozenset({"en", "ru"}), True)),
        (events({"languages": ["en"]}, {"data": "2"}), Request()),
    ],
)
def test_the_request_of_a_run(context: dict[str, Any], request_: Request) -> None:
    assert request_of(context) == request_


def test_what_is_asked_for_by_hand_goes_on_with_the_event() -> None:
    asked = Request(frozenset({"ru"}), force=True)
    assert request_of(events({"data": "1"} | asked.extra)) == asked
    assert Request().extra == {}


def test_events_that_airflow_does_not_list_count_too() -> None:
    """The scheduler lists the first of those that come at once; the others set off no run of their own."""
    context = {"triggering_asset_events": {"ner-data": [event(5, languages=["en"])]}}
    earlier, later, last = event(4, force=True), event(6, languages=["ru"]), event(7)
    assert request_of(context, [earlier, event(5, languages=["en"])]) == Request(frozenset({"en"}))
    assert request_of(context, [earlier, later]) == Request(frozenset({"en", "ru"}))
    assert request_of(context, [earlier, later, last]) == Request()


def test_a_run_for_another_language_says_so_and_ends() -> None:
    assert check_request(Request(frozenset({"en"})), STAGES, ["en"]) == "goes on"
    with pytest.raises(AirflowSkipException, match="nothing to do: the event is for other languages"):
        check_request(Request(frozenset({"en"})), STAGES, ["ru"])


def answers(monkeypatch: pytest.MonkeyPatch, status: str, code: int = 0) -> None:
    """Puts answers in place of `ner pull --dry-run` and `dvc status`."""

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        if command == command_line("pull", "--dry-run"):
            return SimpleNamespace(returncode=0, stdout="tickets: would take in 3 new and 0 changed texts\n", stderr="")
        return SimpleNamespace(returncode=code, stdout=status, stderr="locked\n" * bool(code))

    monkeypatch.setattr(module.subprocess, "run", run)


def test_a_dry_run_says_what_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, '{"prepare@en": [], "prepare@ru": [], "data/raw/tickets.dvc": []}')
    with pytest.raises(AirflowSkipException) as caught:
        check_request(Request(frozenset({"en"}), dry_run=True), STAGES, ["en", "ru"])
    assert str(caught.value).splitlines() == [
        "dry run, nothing was changed:",
        "tickets: would take in 3 new and 0 changed texts",
        "en: would run: prepare@en",
        "en: would run if those change their outputs: train@en",
    ]
    answers(monkeypatch, "{}")
    assert plan(ROOT, STAGES, ["ru"])[1:] == ["ru: would run: no stage, nothing has changed"]
    answers(monkeypatch, "", 255)
    assert plan(ROOT, STAGES, ["ru"])[1:] == ["DVC cannot say which stages have changed:", "locked"]


def test_force_needs_the_common_working_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_WORKSPACE", "own")
    with pytest.raises(AirflowFailException, match="force is not possible"):
        check_request(Request(force=True), STAGES, ["en"])


@pytest.mark.parametrize(("force", "options"), [(False, []), (True, ["--force"])])
def test_force_reaches_the_stage_s_command(monkeypatch: pytest.MonkeyPatch, force: bool, options: list[str]) -> None:
    planned = SimpleNamespace(xcom_pull=lambda task_ids: check_request(Request(force=force), STAGES, ["en"]))
    task = CommandOperator(task_id="task", command=[*STAGE, "train@en"])
    monkeypatch.setattr(task, "_run_once_free", lambda context: (0, ["Running stage 'train@en':"]))
    assert task.execute({"ti": planned}) == "ran"
    assert task.command == [*STAGE, *options, "train@en"]


def context(run_type: str) -> dict[str, Any]:
    return {"dag_run": SimpleNamespace(dag_id="promote_en", run_id="run__1", run_type=run_type)}


def test_a_promotion_on_schedule_without_a_waiting_challenger_ends() -> None:
    def operator(text: str) -> WaitingOperator:
        return WaitingOperator(task_id="waiting", command=[sys.executable, "-c", f"print({text!r})"])

    with pytest.raises(AirflowSkipException, match="nothing to do: no challenger"):
        operator("nothing to do: no challenger waits").execute(context("scheduled"))
    assert operator("version 4 waits").execute(context("scheduled")) == "version 4 waits"
    assert operator("nothing to do").execute(context("asset_triggered")).endswith("goes on")
    assert operator("nothing to do").execute(context("manual")).endswith("goes on")
