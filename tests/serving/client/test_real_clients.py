"""The tool that asks a gateway with other tools' clients: what it compares with, and what it refuses."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(scope="module")
def tool(root: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(root / "tools" / "real_clients.py")))


def test_every_client_has_its_script(tool: SimpleNamespace, root: Path) -> None:
    scripts = {each.script for each in tool.CLIENTS.values()}
    assert scripts == {path.name for path in (root / "tools" / "clients").iterdir()}
    page = (root / "docs" / "api" / "client.md").read_text(encoding="utf-8")
    assert all(f"| {each.package} (" in page or f"| {each.package} |" in page for each in tool.CLIENTS.values())


def test_a_client_is_compared_with_the_gateways_own_endpoint(
    tool: SimpleNamespace, live: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gateway = live.url.rstrip("/")
    assert tool.entities(gateway) == [(0, 16, "PER"), (25, 29, "PER")]
    globals_ = tool.attempt.__globals__
    answers = {"right": '[[0, 16, "PER"], [25, 29, "PER"]]', "wrong": '[[0, 6, "PER"]]'}
    for name, entities in answers.items():
        line = f'a warning\n{{"version": "1.0", "entities": {entities}}}\n'
        monkeypatch.setitem(globals_, "run", lambda *_, cwd, line=line: line)
        if name == "right":
            assert tool.attempt("triton", gateway, tmp_path).startswith("| tritonclient[http] | 1.0 | 2 of 2")
        else:
            with pytest.raises(SystemExit, match="triton: "):
                tool.attempt("triton", gateway, tmp_path)


def test_what_cannot_be_asked_is_said(tool: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="Start a gateway"):
        tool.main(["--gateway", "http://127.0.0.1:9"])
    with pytest.raises(SystemExit):
        tool.main(["curl"])
    assert "unknown: curl; there are: hugging_face" in capsys.readouterr().err
