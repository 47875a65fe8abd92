"""The journal of champion switches: nothing is lost but the oldest, and registries from before are read too."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Any

import pytest

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import journal, rollback
from multiner.pipeline.registry.champions import PREVIOUS, ROLLED_BACK, SINCE, champion, set_champion
from multiner.pipeline.registry.journal import Switch, by_tags, switches
from multiner.pipeline.registry.store import open_experiment, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from multiner.pipeline.config.settings import Workspace


def switch(number: int, **more: Any) -> Switch:
    """The switch to version ``number``."""
    at = f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00"
    return Switch(**{"at": at, "kind": "promotion", "before": str(number - 1), "after": str(number)} | more)


def test_what_is_written_is_read_again() -> None:
    written = [switch(2, kind="rollback", by="user Ада", reason='it said "нет"'), switch(1, before=None)]
    assert journal.loads(journal.dumps(written)) == written
    assert journal.loads(None) == journal.loads("[]") == []


def test_the_newest_that_fit_into_a_tag_are_kept() -> None:
    longest = {"by": "y" * journal.REASON_LENGTH, "reason": "ы" * journal.REASON_LENGTH}
    many = [switch(number, **longest) for number in range(500, 0, -1)]
    value = journal.dumps(many)
    assert len(value) <= journal.TAG_LENGTH
    entries = journal.loads(value)
    assert entries == many[: len(entries)]
    assert len(entries) >= 9
    run = "asset_triggered__2026-01-01T00:00:00+00:00_a1b2c3d4"
    usual = [switch(number, by=f"DAG promote_en, run {run}") for number in range(99)]
    assert len(journal.loads(journal.dumps(usual))) >= 24


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
def test_a_tag_that_is_no_journal_counts_as_none(value: str, caplog: pytest.LogCaptureFixture) -> None:
    assert journal.read({journal.TAG: value}) == []
    assert journal.TAG in caplog.text


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert journal.checked_reason(" wrong\nnames\x00 in \ud800 headlines ") == "wrong names in headlines"
    assert journal.checked_reason(None) is journal.checked_reason(" \n") is None
    with pytest.raises(NerError, match="201 characters"):
        journal.checked_reason("x" * 201)


def test_who_works_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CTX_DAG_ID", raising=False)
    assert journal.actor() == f"user {getpass.getuser()}"
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "promote_en")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "asset__1")
    assert journal.actor() == "DAG promote_en, run asset__1"


def test_registries_from_before_tell_what_their_tags_say() -> None:
    def at(hour: int, second: int = 0) -> str:
        return f"2026-01-01T{hour:02}:00:{second:02}+00:00"

    first, second = {SINCE: at(1)}, {SINCE: at(2), PREVIOUS: "1"}
    promotions = [Switch(at(2), "promotion", "1", "2"), Switch(at(1), "promotion", None, "1")]
    assert by_tags({"1": first, "2": second}) == promotions
    back = {"1": {SINCE: at(3, 1)}, "2": second | {ROLLED_BACK: at(3)}}
    assert by_tags(back) == [Switch(at(3, 1), "rollback", "2", "1"), promotions[0]]
    later = {"2": back["2"], "3": {SINCE: at(5), PREVIOUS: "1"}}
    assert by_tags(later)[1] == Switch(at(3), "rollback", "2", None), "to which, no tag says any more"
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
    return [(each.kind, each.before, each.after, each.by, each.reason) for each in history]


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
def test_a_tag_that_is_no_journal_is_put_aside(client: MlflowClient) -> None:
    client.set_registered_model_tag("ner-en", journal.TAG, "by hand")
    set_champion(client, "ner-en", "1")
    tags = client.get_registered_model("ner-en").tags
    assert tags[journal.UNREADABLE] == "by hand"
    assert [entry["to"] for entry in json.loads(tags[journal.TAG])] == ["1"]
