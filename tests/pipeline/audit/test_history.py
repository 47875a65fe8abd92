"""``ner history``: every entry of the journal, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from multiner.pipeline.audit import history as audit
from multiner.pipeline.cli import commands
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import promote, register, rollback
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import GateVerdict
from multiner.pipeline.registry.store import open_store


def test_a_registry_without_the_model_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(NerError, match="ner-en: nothing was registered yet"):
        audit.history(workspace, "en")
    assert not workspace.paths.mlruns.exists(), "to look makes no database"
    with pytest.raises(NerError, match="unknown language"):
        audit.history(workspace, "de")


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_who_moved_the_alias_when_and_why(workspace, fill, empty_leg, monkeypatch) -> None:  # noqa: ANN001
    verdicts = {
        1.0: GateVerdict(True, ["first model"], {"f1": {"challenger": 80.126}}),
        2.0: GateVerdict(True, ["no worse: +0.40"], {"f1": {"challenger": 80.5, "champion": 80.126}}),
        3.0: GateVerdict(False, ["overall: -4.00 F1 points", "a floor"], {"f1": {"challenger": 76.5}}),
    }
    for temperature, verdict in verdicts.items():
        fill(empty_leg, temperature=temperature)
        register(workspace, "en")
        monkeypatch.setattr(gate, "judge", lambda *_, verdict=verdict, **__: verdict)
        promote(workspace, "en")
    rollback(workspace, "en", by="the desk", reason="wrong in headlines")
    monkeypatch.setattr(Workspace, "load", lambda: workspace)
    content = json.loads(CliRunner().invoke(commands, ["history", "en", "--json"]).output)
    assert (content["model"], content["champion"]) == ("ner-en", "1")
    kinds = [(each["kind"], each["version"]) for each in content["entries"]]
    switched = [("rollback", "1"), ("refusal", "3"), ("registration", "3"), ("promotion", "2"), ("registration", "2")]
    assert kinds == [*switched, ("promotion", "1"), ("registration", "1")]
    refusal = content["entries"][1]
    assert refusal["scores"]["gate half"] == 76.5
    assert refusal["report"] == f"runs:/{refusal['run_id']}/gate/version-3-against-2.html"
    text = CliRunner().invoke(commands, ["history", "en"]).output
    for line in (
        "ner-en: version 1 is champion; entries of the journal: 7, the newest first",
        "2 -> 1      the desk",
        "    why: wrong in headlines",
        "    why: overall: -4.00 F1 points; a floor",
        "    F1: conll2003 test 91.25, wnut17 test 91.25, gate half 80.50, gate half, champion 80.13",
        f"    report: runs:/{refusal['run_id']}/gate/version-3-against-2.html",
    ):
        assert line in text, text
    assert "other means" not in text
    open_store(workspace).set_registered_model_alias("ner-en", "champion", "3")
    assert "The latest switch in the journal is to version 1" in audit.table(audit.history(workspace, "en"))


def test_the_kinds_are_explained(root: Path) -> None:
    from typing import get_args

    from multiner.pipeline.registry.journal.entry import Kind

    page = (root / "docs" / "operations" / "audit.md").read_text(encoding="utf-8")
    assert [kind for kind in get_args(Kind) if f"| `{kind}` |" not in page] == []
