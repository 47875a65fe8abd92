"""The journal: every entry stays as it was written, and registries from before it are read too."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import pytest

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import journal, rollback
from multiner.pipeline.registry.champions import champion, set_champion
from multiner.pipeline.registry.journal import entry as journal_entry
from multiner.pipeline.registry.journal import former_switches, switches
from multiner.pipeline.registry.journal.entry import JournalEntry
from multiner.pipeline.registry.journal.former_switches import PREVIOUS, ROLLED_BACK, SINCE, by_tags
from multiner.pipeline.registry.store import open_experiment, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from multiner.pipeline.config.settings import Workspace

LATER = "2026-03-01T00:00:00+00:00"


def switch(number: int, **more: Any) -> JournalEntry:
    """The switch to version ``number``."""
    at = f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00"
    return JournalEntry(**{"at": at, "kind": "promotion", "before": str(number - 1), "version": str(number)} | more)


def test_what_is_written_is_read_again() -> None:
    written = [switch(2, kind="rollback", by="user Ада", reason='it said "нет"'), switch(1, before=None)]
    assert former_switches.loads(former_switches.dumps(written)) == written
    assert former_switches.loads(None) == former_switches.loads("[]") == []
    whole = switch(3, scores={"conll2003 test": 91.25}, run_id="a", report="gate/x.json", verdict_key="k")
    for entry in (*written, whole):
        assert journal_entry.loads(journal_entry.dumps(entry)) == entry


def test_an_entry_fits_into_a_tag() -> None:
    long = switch(1, by="y" * 999, reason="ы " * 9999, scores={f"corpus{number} test": 91.25 for number in range(999)})
    value = journal_entry.dumps(long)
    assert len(value) <= journal_entry.TAG_LENGTH
    entry = journal_entry.loads(value)
    assert (entry.reason or "").endswith("…")
    assert len(entry.reason or "") == journal_entry.REASONS_LENGTH


def test_of_former_switches_the_newest_that_fit_into_a_tag_are_taken_over() -> None:
    many = [switch(number) for number in range(500, 0, -1)]
    value = former_switches.dumps(many)
    assert len(value) <= journal_entry.TAG_LENGTH
    entries = former_switches.loads(value)
    assert entries == many[: len(entries)]
    assert len(entries) >= 50


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "{}",
        "[1]",
        '[{"kind": "promotion"}]',
        '[{"at": "soon", "kind": "promotion"}]',
        '[{"at": 1, "kind": "rollback"}]',
        '[{"at": "2026-01-01T00:00:00+00:00", "kind": "coup"}]',
        '[{"at": "2026-01-01T00:00:00+00:00", "kind": []}]',
    ],
)
def test_a_tag_without_switches_is_named(value: str, caplog: pytest.LogCaptureFixture) -> None:
    assert former_switches.read({former_switches.TAG: value}) is None
    assert former_switches.TAG in caplog.text


@pytest.mark.parametrize("scores", ["[]", '{"conll2003 test": "good"}', "3"])
def test_scores_are_numbers_by_name(scores: str) -> None:
    with pytest.raises(ValueError, match="no scores"):
        journal_entry.loads(f'{{"at": "{LATER}", "kind": "promotion", "scores": {scores.replace("[]", "[1]")}}}')


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert journal_entry.checked_reason(" wrong\nnames\x00 in \ud800 headlines ") == "wrong names in headlines"
    assert journal_entry.checked_reason(None) is journal_entry.checked_reason(" \n") is None
    with pytest.raises(NerError, match="201 characters"):
        journal_entry.checked_reason("x" * 201)


def test_who_works_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CTX_DAG_ID", raising=False)
    assert journal_entry.actor() == f"user {getpass.getuser()}"
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "promote_en")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "asset__1")
    assert journal_entry.actor() == "DAG promote_en, run asset__1"


def test_registries_from_before_tell_what_their_tags_say() -> None:
    def at(hour: int, second: int = 0) -> str:
        return f"2026-01-01T{hour:02}:00:{second:02}+00:00"

    first, second = {SINCE: at(1)}, {SINCE: at(2), PREVIOUS: "1"}
    promotions = [JournalEntry(at(2), "promotion", "1", "2"), JournalEntry(at(1), "promotion", None, "1")]
    assert by_tags({"1": first, "2": second}) == promotions
    back = {"1": {SINCE: at(3, 1)}, "2": second | {ROLLED_BACK: at(3)}}
    assert by_tags(back) == [JournalEntry(at(3, 1), "rollback", "2", "1"), promotions[0]]
    later = {"2": back["2"], "3": {SINCE: at(5), PREVIOUS: "1"}}
    assert by_tags(later)[1] == JournalEntry(at(3), "rollback", "2", None), "to which, no tag says any more"
    assert by_tags({"1": {}}) == []


# With a registry


def add_version(workspace: Workspace, client: MlflowClient) -> str:
    run = client.create_run(open_experiment(client, workspace, "en")).info
    client.log_text(run.run_id, "a model", "model/MLmodel")
    return str(client.create_model_version("ner-en", f"{run.artifact_uri}/model", run.run_id).version)


@pytest.fixture
def client(workspace: Workspace, store: None, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Two versions, none of them champion."""
    monkeypatch.setattr(journal, "actor", lambda: "a test")
    empty_store = open_store(workspace)
    empty_store.create_registered_model("ner-en")
    for _ in range(2):
        add_version(workspace, empty_store)
    return empty_store


def journal_of(client: MlflowClient) -> list[tuple[Any, ...]]:
    history = switches(client, "ner-en")
    assert [each.at for each in history] == sorted((each.at for each in history), reverse=True)
    return [(each.kind, each.before, each.version, each.by, each.reason) for each in history]


@pytest.mark.slow
def test_every_switch_is_kept_also_of_a_version_that_comes_back(workspace: Workspace, client: MlflowClient) -> None:
    assert journal_of(client) == []
    set_champion(client, "ner-en", "1")
    set_champion(client, "ner-en", "1")  # nothing moves
    set_champion(client, "ner-en", "2")
    assert rollback(workspace, "en", reason="wrong in\nheadlines") == "1"
    assert rollback(workspace, "en", "2", by="the desk") == "2"
    assert journal_of(client) == [
        ("rollback", "1", "2", "the desk", None),
        ("rollback", "2", "1", "a test", "wrong in headlines"),
        ("promotion", "1", "2", "a test", None),
        ("promotion", None, "1", "a test", None),
    ]
    run = client.get_run(client.get_model_version("ner-en", "2").run_id)
    assert run.data.tags[ROLLED_BACK].endswith("version 1 is champion again (wrong in headlines)")


@pytest.mark.slow
def test_a_rollback_that_is_refused_leaves_no_entry(workspace: Workspace, client: MlflowClient) -> None:
    set_champion(client, "ner-en", "1")
    before = journal_of(client)
    for arguments in ({}, {"version": "9"}, {"version": "2", "reason": "x" * 201}):
        with pytest.raises(NerError):
            rollback(workspace, "en", **arguments)
    assert journal_of(client) == before
    assert champion(workspace, "en").version == "1"


@pytest.mark.slow
def test_a_call_that_was_killed_before_the_alias_moved_is_noted_once(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    set_champion(client, "ner-en", "1")
    with monkeypatch.context() as patch:
        patch.setattr(client, "set_registered_model_alias", killed)
        with pytest.raises(KeyboardInterrupt):
            set_champion(client, "ner-en", "2")
    set_champion(client, "ner-en", "2")
    assert [each[1:3] for each in journal_of(client)] == [("1", "2"), (None, "1")]


@pytest.mark.slow
def test_the_journal_begins_with_what_the_tags_tell(workspace: Workspace, client: MlflowClient) -> None:
    for version, tags in (
        ("1", {SINCE: "2025-01-01T00:00:00+00:00"}),
        ("2", {SINCE: "2025-02-01T00:00:00+00:00", PREVIOUS: "1"}),
    ):
        for tag, value in tags.items():
            client.set_model_version_tag("ner-en", version, tag, value)
    client.set_registered_model_alias("ner-en", "champion", "2")
    before = [("promotion", "1", "2", None, None), ("promotion", None, "1", None, None)]
    assert journal_of(client) == before
    rollback(workspace, "en")
    rollback(workspace, "en", "2")
    latest = [("rollback", "1", "2", "a test", None), ("rollback", "2", "1", "a test", None)]
    assert journal_of(client) == [*latest, *before], "also once the tags hold other times"


@pytest.mark.slow
def test_a_tag_that_holds_no_switches_is_put_aside(client: MlflowClient) -> None:
    client.set_registered_model_tag("ner-en", former_switches.TAG, "by hand")
    set_champion(client, "ner-en", "1")
    tags = client.get_registered_model("ner-en").tags
    assert tags[former_switches.UNREADABLE] == "by hand"
    assert tags[former_switches.TAG] == "[]"
    assert [each[2] for each in journal_of(client)] == ["1"]


@pytest.mark.slow
def test_the_switches_of_an_older_release_stay_below_the_new_entries(client: MlflowClient) -> None:
    former = former_switches.dumps([switch(2, by="user ada", reason="better"), switch(1, before=None)])
    client.set_registered_model_tag("ner-en", former_switches.TAG, former)
    client.set_registered_model_alias("ner-en", "champion", "2")
    set_champion(client, "ner-en", "1")
    assert journal_of(client) == [
        ("promotion", "2", "1", "a test", None),
        ("promotion", "1", "2", "user ada", "better"),
        ("promotion", None, "1", None, None),
    ]
    assert client.get_registered_model("ner-en").tags[former_switches.TAG] == former


@pytest.mark.slow
def test_no_entry_falls_out_and_none_is_written_anew(client: MlflowClient) -> None:
    former = {}
    for number in range(1, 41):
        journal.note(
            client, "ner-en", JournalEntry(LATER, "promotion", str(number), str(number + 1), reason="r" * 1500)
        )
        tags = dict(client.get_registered_model("ner-en").tags)
        assert tags.items() >= former.items(), "an entry was changed"
        former = tags
    assert [each[2] for each in journal_of(client)] == [str(number) for number in range(41, 1, -1)]


@pytest.mark.slow
def test_each_event_is_entered_once(client: MlflowClient) -> None:
    def note(kind: Any, version: str, key: str | None = None) -> None:
        journal.note(client, "ner-en", JournalEntry(LATER, kind, None, version, verdict_key=key))

    for _ in range(2):
        note("registration", "1")
    note("registration", "2")
    for key in ("k", "k", "l", "k"):
        note("refusal", "2", key)
        note("passed", "2", key)
    for _ in range(2):
        note("undecided", "2", "m")
    kinds = [entry.kind for entry in journal.entries(client, "ner-en")]
    verdicts = ["undecided", "undecided", "passed", "refusal", "passed", "refusal"]
    assert kinds == [*verdicts, "registration", "registration"]
    assert switches(client, "ner-en") == []


@pytest.mark.slow
def test_an_entry_changed_or_removed_by_other_means_is_named(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 4):
        journal.note(client, "ner-en", JournalEntry(LATER, "registration", None, str(number)))
    assert not caplog.text
    keys = sorted(key for key in client.get_registered_model("ner-en").tags if journal.KEY.fullmatch(key))
    client.delete_registered_model_tag("ner-en", keys[1])
    changed = journal_entry.dumps(JournalEntry(LATER, "registration", None, "7"))
    client.set_registered_model_tag("ner-en", keys[2], changed)
    assert [entry.version for entry in journal.entries(client, "ner-en")] == ["7", "1"]
    assert "removed by other means: [2]" in caplog.text
    assert "000003" in caplog.text
    client.set_registered_model_tag("ner-en", keys[2], "nonsense")
    assert [entry.version for entry in journal.entries(client, "ner-en")] == ["1"]
    assert "cannot be read" in caplog.text


@pytest.mark.slow
def test_an_entry_holds_the_run_and_the_test_scores_of_its_version(workspace: Workspace, client: MlflowClient) -> None:
    run_id = client.get_model_version("ner-en", "1").run_id
    for metric, value in (("wnut17/test/ensemble/f1", 52.127), ("wnut17/test/spacy/f1", 40.0)):
        client.log_metric(run_id, metric, value)
    set_champion(client, "ner-en", "1")
    set_champion(client, "ner-en", "2")
    rollback(workspace, "en")
    latest = switches(client, "ner-en")[0]
    assert (latest.kind, latest.run_id, latest.scores) == ("rollback", run_id, {"wnut17 test": 52.13})
