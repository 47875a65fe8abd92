"""Promotion by an operator's order: without the comparison, but only of a version that loads and answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from multiner.pipeline import notices
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.inference import isolated_process
from multiner.pipeline.registry import champion, journal, promote, promote_version, register, rollback
from multiner.pipeline.registry.champions import model_folder, set_champion, version_info
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import GateVerdict
from multiner.pipeline.registry.journal.former_switches import ROLLED_BACK
from multiner.pipeline.registry.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("store")]
WHY = "the night shift asks for it"


def answers(verdict: GateVerdict, then: Callable[[], object] = lambda: None) -> Callable[..., GateVerdict]:
    def check(_: object, language: str, types: list[str], rules: dict[str, Any]) -> GateVerdict:
        assert (language, types[0], rules["max_latency_ms"]) == ("en", "PER", float("inf"))
        then()
        return verdict

    return check


@pytest.fixture
def two(workspace, fill, empty_leg, monkeypatch):  # noqa: ANN001, ANN201
    """Version 1 is champion; version 2 was refused by the gate and is challenger."""
    fill(empty_leg)
    register(workspace, "en")
    set_champion(open_store(workspace), "ner-en", "1")
    fill(empty_leg, temperature=2.0)
    register(workspace, "en")
    monkeypatch.setattr(gate, "judge", lambda *_, **__: GateVerdict(False, ["worse"]))
    assert not promote(workspace, "en").promoted
    return workspace


def test_a_refused_version_becomes_champion_by_order_and_a_rollback_leads_back(two, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(gate, "check_golden", answers(GateVerdict(True, [])))
    assert promote_version(two, "en", "02", reason=f" {WHY}\n", by="the desk") == "2"
    client = open_store(two)
    assert champion(two, "en").version == "2"
    assert "challenger" not in client.get_model_version("ner-en", "2").aliases
    entry = journal.entries(client, "ner-en")[0]
    assert (entry.kind, entry.before, entry.version, entry.by, entry.reason) == ("order", "1", "2", "the desk", WHY)
    assert entry.scores["conll2003 test"] == 91.25
    (notice,) = notices.read(notices.notices_file(two))
    assert (notice.event, notice.facts["version"]) == ("promotion", "2")
    assert WHY in notice.text
    assert rollback(two, "en") == "1"
    assert promote_version(two, "en", "2", reason=WHY) == "2"
    assert ROLLED_BACK not in client.get_model_version("ner-en", "2").tags


def test_what_is_wrong_changes_nothing(two, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(gate, "check_golden", answers(GateVerdict(True, [])))
    client = open_store(two)
    before = journal.entries(client, "ner-en")
    for version, reason, message in (
        ("2", " \n", "needs a reason"),
        ("2", "x" * 201, "201 characters"),
        ("9", WHY, "no version 9"),
        ("1", WHY, "champion already"),
    ):
        with pytest.raises(NerError, match=message):
            promote_version(two, "en", version, reason=reason)
    monkeypatch.setattr(gate, "check_golden", answers(GateVerdict(False, ["golden samples: none"])))
    with pytest.raises(NerError, match="golden samples: none"):
        promote_version(two, "en", "2", reason=WHY)
    assert journal.entries(client, "ner-en") == before
    fill(empty_leg, temperature=3.0)
    assert register(two, "en").version == "3"
    before = journal.entries(client, "ner-en")
    move = partial(client.set_registered_model_alias, "ner-en", "champion", "3")
    monkeypatch.setattr(gate, "check_golden", answers(GateVerdict(True, []), then=move))
    with pytest.raises(NerError, match="version 3 became champion meanwhile"):
        promote_version(two, "en", "2", reason=WHY)
    assert journal.entries(client, "ner-en") == before


def test_a_version_whose_process_fails_is_refused(two, monkeypatch) -> None:  # noqa: ANN001
    def fail(*_: object, **__: object) -> None:
        raise isolated_process.ProcessFailed("exit status 1: damaged")

    assert model_folder(version_info(open_store(two), "ner-en", "2")).is_dir()
    monkeypatch.setattr(isolated_process, "run_python", fail)
    with pytest.raises(NerError, match="damaged") as error:
        promote_version(two, "en", "2", reason=WHY)
    assert error.value.transient
    assert champion(two, "en").version == "1"
