"""Whether a challenger waits for the gate."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from multiner.pipeline.cli import commands
from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.registry import open_store
from multiner.pipeline.registry.champions import ROLLED_BACK
from multiner.pipeline.registry.gate.approval import reject
from multiner.pipeline.registry.gate.verdict_notes import KEY, PASSED
from multiner.pipeline.registry.store import CHALLENGER, CHAMPION
from multiner.pipeline.registry.waiting import waiting_challenger

NAME = "ner-en"


@pytest.mark.usefixtures("store")
def test_a_challenger_waits_until_the_gate_has_judged_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waiting_challenger(workspace, "en") is None, "nothing was registered"
    client = open_store(workspace)
    client.create_registered_model(NAME)
    for _ in range(2):
        client.create_model_version(NAME, str(workspace.root))
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    assert waiting_challenger(workspace, "en") is None
    client.set_registered_model_alias(NAME, CHALLENGER, "2")
    assert waiting_challenger(workspace, "en") == "2"
    client.set_model_version_tag(NAME, "2", PASSED, "false")
    assert waiting_challenger(workspace, "en") == "2", "the gate could not judge, so it noted no key"
    monkeypatch.setattr("multiner.pipeline.config.settings.Workspace.load", lambda: workspace)
    assert CliRunner().invoke(commands, ["waiting", "-l", "en"]).output == "version 2 waits to be judged or approved\n"

    client.set_model_version_tag(NAME, "2", KEY, "a hash")
    assert waiting_challenger(workspace, "en") is None, "judged"
    assert CliRunner().invoke(commands, ["waiting", "-l", "en"]).output.startswith("nothing to do")
    client.delete_model_version_tag(NAME, "2", KEY)
    client.set_model_version_tag(NAME, "2", ROLLED_BACK, "2026-01-04")
    assert waiting_challenger(workspace, "en") is None


@pytest.mark.usefixtures("store")
def test_one_that_passed_waits_until_a_person_has_decided(workspace: Workspace) -> None:
    """The DAG's question ends with a restart of the system; the next run on schedule asks again."""
    client = open_store(workspace)
    client.create_registered_model(NAME)
    client.create_model_version(NAME, str(workspace.root))
    client.set_registered_model_alias(NAME, CHALLENGER, "1")
    client.set_model_version_tag(NAME, "1", PASSED, "true")
    client.set_model_version_tag(NAME, "1", KEY, "a hash")
    assert waiting_challenger(workspace, "en") is None, "no person is asked"
    asking = replace(workspace, params=overlay(workspace.params, {"promotion": {"approval": True}}))
    assert waiting_challenger(asking, "en") == "1"
    reject(asking, "en", "1", by="ada")
    assert waiting_challenger(asking, "en") is None
    client.set_model_version_tag(NAME, "1", KEY, "another hash")
    assert waiting_challenger(asking, "en") == "1", "it has passed again, against another champion"
    client.set_model_version_tag(NAME, "1", PASSED, "false")
    assert waiting_challenger(asking, "en") is None
