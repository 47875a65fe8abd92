"""The notices of the DAGs: a failed task or run, and a scheduled run that is late."""

import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[len(sys.path) :] = [str(ROOT / "dags")]

from airflow.providers.smtp.notifications import smtp  # noqa: E402
from airflow.sdk import DAG  # noqa: E402
from airflow.sdk.exceptions import AirflowException  # noqa: E402
from wiring import notices as wiring  # noqa: E402

from multiner.pipeline.notices import FILE, VARIABLES, Notice, read  # noqa: E402

DUE = datetime(2026, 3, 1, tzinfo=UTC)  # a Sunday, when @weekly runs


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (FILE, *VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NER_ROOT", str(tmp_path))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def sent(home: Path) -> list[Notice]:
    return list(read(home / ".run" / "notices.jsonl"))


def set_notices(home: Path, **values: Any) -> None:
    file = home / "params.yaml"
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(params | {"notices": params["notices"] | values}), encoding="utf-8")


def failed_task(run_type: str = "manual", task: str = "promote") -> dict[str, Any]:
    return {
        "dag": DAG("promote_en", schedule=None),
        "run_id": f"{run_type}__1",
        "dag_run": SimpleNamespace(run_type=run_type),
        "ti": SimpleNamespace(task_id=task, log_url="http://127.0.0.1:8080/log"),
        "exception": AirflowException("ner promote ended with exit code 1"),
    }


def test_a_failed_task_is_told_of_with_its_log(home: Path) -> None:
    wiring.FailureNotice()(failed_task())
    (notice,) = sent(home)
    assert notice.event == "failure"
    assert notice.text == "the task promote of the DAG promote_en failed: ner promote ended with exit code 1"
    assert notice.facts["log"] == "http://127.0.0.1:8080/log"
    assert notice.facts["run"] == "manual__1"


def test_a_run_that_failed_through_no_task(home: Path) -> None:
    context = {"dag": DAG("retrain_ru", schedule=None), "run_id": "asset__1"}
    wiring.FailureNotice()(context | {"reason": "task_failure"})  # its task has sent one
    assert sent(home) == []
    wiring.FailureNotice()(context | {"reason": "timed_out"})
    assert [notice.text for notice in sent(home)] == ["the run asset__1 of the DAG retrain_ru failed: timed_out"]


def test_a_timer_that_keeps_failing_sends_one_notice_a_day(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        wiring.FailureNotice()(failed_task("scheduled"))
    wiring.FailureNotice()(failed_task("scheduled", task="deploy"))
    assert [notice.facts["task"] for notice in sent(home)] == ["promote", "deploy"]
    wiring.FailureNotice()(failed_task("manual"))  # a person waits for this one
    monkeypatch.setattr(wiring, "REPEATED", timedelta(seconds=-1))
    wiring.FailureNotice()(failed_task("scheduled"))
    assert len(sent(home)) == 4


def test_parameters_that_no_command_accepts_are_a_failure_to_tell_of(home: Path) -> None:
    (home / "params.yaml").write_text("profile: cpu\nairflow: {}\n", encoding="utf-8")
    wiring.FailureNotice()(failed_task())
    assert len(sent(home)) == 1


class Mailed(smtp.SmtpNotifier):
    """Airflow's notifier without a server."""

    notified: list["Mailed"]

    def notify(self, context: Any) -> None:
        self.notified.append(self)


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> list[Mailed]:
    Mailed.notified = []
    monkeypatch.setattr(smtp, "SmtpNotifier", Mailed)
    kinds = {"mail": "smtp", "chat": "slackwebhook", "database": "postgres"}
    get = lambda name: SimpleNamespace(conn_type=kinds[name])  # noqa: E731
    monkeypatch.setattr(wiring, "BaseHook", SimpleNamespace(get_connection=get))
    return Mailed.notified


def test_a_mail_by_an_airflow_connection(home: Path, mails: list[Mailed]) -> None:
    set_notices(home, connections=["mail"], recipients=["ops@example.org"])
    context = failed_task()
    context["exception"] = "{{ conn.mail.password }} <b>"
    wiring.FailureNotice()(context)
    (mail,) = mails
    assert (mail.to, mail.from_email, mail.smtp_conn_id) == (["ops@example.org"], "ner@localhost", "mail")
    assert "{{ conn.mail.password }} &lt;b&gt;" in mail.html_content  # neither a template nor HTML


def test_slack_by_an_airflow_connection(home: Path, mails: list[Mailed], monkeypatch: pytest.MonkeyPatch) -> None:
    posts: list[str] = []

    class SlackWebhookNotifier:
        def __init__(self, **options: str) -> None:
            self.options = options

        def notify(self, context: Any) -> None:
            posts.append(self.options["text"])

    module = ModuleType("slack_webhook")
    module.SlackWebhookNotifier = SlackWebhookNotifier
    monkeypatch.setitem(sys.modules, "airflow.providers.slack", ModuleType("slack"))
    monkeypatch.setitem(sys.modules, "airflow.providers.slack.notifications", ModuleType("notifications"))
    monkeypatch.setitem(sys.modules, "airflow.providers.slack.notifications.slack_webhook", module)
    set_notices(home, connections=["chat"])
    wiring.FailureNotice()(failed_task())
    assert posts[0].startswith("[ner] failure: the task promote")


def test_a_connection_that_fails_holds_back_no_other(home: Path, mails: list[Mailed]) -> None:
    set_notices(home, connections=["none", "database", "mail"], recipients=["ops@example.org"])
    wiring.FailureNotice()(failed_task())
    assert len(mails) == len(sent(home)) == 1
    set_notices(home, events=["drift"])
    wiring.FailureNotice()(failed_task())
    assert len(mails) == 1


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (DUE + timedelta(minutes=59), DUE - timedelta(days=7)),
        (DUE + timedelta(minutes=60), DUE),
        (DUE + timedelta(days=6), DUE),
    ],
)
def test_a_run_is_late_when_its_time_is_over(now: datetime, due: datetime) -> None:
    assert wiring.overdue("@weekly", datetime(2025, 1, 1, tzinfo=UTC), 60, now) == due


def test_no_run_is_late_before_the_first_or_without_a_schedule() -> None:
    assert wiring.overdue("@weekly", DUE + timedelta(hours=1), 60, DUE + timedelta(days=2)) is None
    assert wiring.overdue(None, DUE, 60, DUE + timedelta(days=700)) is None


def test_a_late_run_makes_one_notice(home: Path) -> None:
    options, asked = {"schedule": "0 0 * * *", "late_minutes": 30}, []

    def succeeded(due: datetime) -> bool:
        asked.append(due)
        return len(asked) == 1

    for _ in range(3):
        wiring.check_schedule(options, datetime(2025, 1, 1, tzinfo=UTC), succeeded)
    assert {(due.hour, due.minute) for due in asked} == {(0, 0)}
    (notice,) = sent(home)
    assert notice.event == "late"
    assert notice.facts["due"] == asked[-1].isoformat()
