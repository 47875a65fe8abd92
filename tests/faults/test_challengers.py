"""Challengers that cannot serve, judged for real, each in a process of its own: the champion stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry import champion, register
from multiner.pipeline.registry.champions import model_folder, set_champion, version_info
from multiner.pipeline.registry.store import open_store
from tests.faults.conftest import Fault
from tests.faults.injection import NER, run
from tests.pipeline.registry.conftest import Fill, good_leg

__all__ = ["good_leg"]
pytestmark = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.usefixtures("store")]
PROMOTE = [NER, "promote", "-l", "en"]


def cut_off(content: str) -> str:
    """Half of the code is lost."""
    return content[: len(content) // 2] + "("


def slow(content: str) -> str:
    """One of the golden samples takes three seconds more."""
    begin = "        params = params or {}\n"
    assert begin in content
    wait = "        if 'Maria' in str(model_input):\n            import time\n\n            time.sleep(3)\n"
    return content.replace(begin, begin + wait)


def huge(content: str) -> str:
    """The model asks for a petabyte when it is loaded."""
    return f"{content}\nimport numpy\nnumpy.ones(1 << 47)\n"


@pytest.mark.faults("a challenger that does not load, is slow, or is huge")
@pytest.mark.parametrize(
    ("damage", "reason"),
    [(cut_off, "does not load"), (slow, "latency"), (huge, "does not load")],
    ids=["unloadable", "slow", "huge"],
)
def test_a_challenger_that_cannot_serve_leaves_the_champion(
    fault: Fault, workspace: Workspace, fill: Fill, good_leg: Path, damage: Callable[[str], str], reason: str
) -> None:
    params = yaml.safe_load((workspace.root / "params.yaml").read_text(encoding="utf-8"))
    params["promotion"]["max_latency_ms"] = 2500
    (workspace.root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    fill(good_leg)
    register(workspace, "en")
    client = open_store(workspace)
    set_champion(client, "ner-en", "1")
    fill(good_leg, temperature=1.1)
    assert register(workspace, "en").version == "2"
    code = model_folder(version_info(client, "ner-en", "2")) / "pyfunc.py"
    whole = code.read_text(encoding="utf-8")
    code.write_text(damage(whole), encoding="utf-8")
    refused = run(PROMOTE, workspace.root)
    fault.happened(reason in refused.stdout)
    assert refused.returncode == 75, refused.stdout
    assert "the gate could not judge, and the champion stays" in refused.stdout
    assert "Traceback (most recent call last)" not in refused.stdout.splitlines()[-1]
    assert champion(workspace, "en").version == "1"
    code.write_text(whole, encoding="utf-8")
    with fault.control():
        done = run(PROMOTE, workspace.root)
        assert "promoted to champion" in done.stdout, done.stdout
    assert champion(workspace, "en").version == "2"
