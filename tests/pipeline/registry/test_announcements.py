"""The notices of promotions, refusals and rollbacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline import notices
from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.registry.announcements import announce_rejection, announce_rollback, announce_verdict
from multiner.pipeline.registry.gate.promotion import Promotion


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in (notices.FILE, *notices.VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path, load_params(root, "cpu"))


def sent(workspace: Workspace) -> list[tuple[str, str]]:
    return [(notice.event, notice.text) for notice in notices.read(notices.notices_file(workspace))]


def test_a_promotion(workspace: Workspace) -> None:
    announce_verdict(workspace, "en", Promotion("ner-en", "2", "2", True, ["no worse"]))
    assert sent(workspace) == [("promotion", "ner-en version 2 is champion")]


def test_a_refusal_is_announced_once(workspace: Workspace) -> None:
    refusal = Promotion("ner-en", "3", "2", False, ["F1 fell", "too slow"])
    announce_verdict(workspace, "en", refusal)
    announce_verdict(workspace, "en", refusal)
    text = "ner-en version 3 was not promoted: version 2 stays champion\nF1 fell\ntoo slow"
    assert sent(workspace) == [("refusal", text)]
    announce_verdict(workspace, "en", Promotion("ner-en", "3", None, False, []))  # another champion, or none
    assert len(sent(workspace)) == 2


def test_a_challenger_that_waits_for_approval_is_announced_once(workspace: Workspace) -> None:
    waiting = Promotion("ner-en", "3", "2", False, ["no worse"], passed=True)
    announce_verdict(workspace, "en", waiting)
    announce_verdict(workspace, "en", waiting)
    text = "ner-en version 3 passed the gate and waits for approval: version 2 stays champion\nno worse"
    assert sent(workspace) == [("promotion", text)]


@pytest.mark.parametrize(
    "nothing", [Promotion("ner-en", "2", "2", False, []), Promotion("ner-en", "3", "2", False, [], final=False)]
)
def test_what_was_not_judged_makes_no_notice(workspace: Workspace, nothing: Promotion) -> None:
    announce_verdict(workspace, "en", nothing)
    assert sent(workspace) == []


def test_a_rollback_with_its_reason(workspace: Workspace) -> None:
    announce_rollback(workspace, "ru", "4", "wrong in headlines")
    assert sent(workspace) == [("rollback", "ner-ru version 4 is champion again: wrong in headlines")]


def test_a_rejection_is_announced_once(workspace: Workspace) -> None:
    for by in ("ada", "ada", "ben"):
        announce_rejection(workspace, "en", "3", by)
    assert sent(workspace) == [("refusal", f"ner-en version 3 was rejected by {by}") for by in ("ada", "ben")]
