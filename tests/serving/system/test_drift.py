"""`ner drift`: from the gateways' counts and the champion's reference to the outcome."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from multiner.pipeline import notices
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.drift.reference import Reference
from multiner.pipeline.drift.sketch import Sketch, add_text, vocabulary
from multiner.pipeline.registry import champion, open_store
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.drift_reference import FILE
from multiner.serving.backends.backend import ServedModel
from multiner.serving.gateway.state import store_url
from multiner.serving.routing import traffic
from multiner.serving.routing.state_store import StateStore
from multiner.serving.routing.traffic import Traffic, TrafficConfig
from multiner.serving.system import status
from multiner.serving.system.drift import drift
from tests.serving import registry

NEWS = [f"The minister said on Monday that talks number {number} would go on in Oslo." for number in range(300)]
POSTS = [f"omg #oslo is so cold @ada{number}" for number in range(300)]


@pytest.fixture
def workspace(stocked: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Version 3 of ner-en is champion; the commands find the workspace."""
    set_champion(open_store(stocked), "ner-en", registry.add_version(stocked))  # MLflow caches places by the run's id
    monkeypatch.setattr(Workspace, "load", lambda: stocked)
    monkeypatch.setattr(traffic, "MOST_A_SECOND", 10_000)
    return stocked


def log_reference(workspace: Workspace, texts: Sequence[str]) -> None:
    """Log a reference of the champion, as registration does."""
    best = champion(workspace, "en")
    assert best
    sketch = Sketch()
    for text in texts:
        add_text(sketch, text, vocabulary(texts))
    open_store(workspace).log_dict(best.run_id, Reference(sketch, vocabulary(texts)).to_json(), FILE)


def answer(workspace: Workspace, texts: Sequence[str], version: str = "3") -> None:
    """Count texts as a gateway does."""
    store = StateStore(store_url(workspace))

    async def main() -> None:
        gateway = Traffic(TrafficConfig("cpu/", lambda model: None, {"en": ["PER"]}, 8), store)
        gateway.add(ServedModel("en", "ner-en", version, "unused"), texts, [[] for _ in texts])
        await gateway.write()

    asyncio.run(main())
    store.close()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(drift, ["en", *arguments])


def test_posts_at_a_model_of_news_are_a_drift_and_news_are_none(workspace: Workspace) -> None:
    log_reference(workspace, NEWS)
    answer(workspace, NEWS)
    calm = call("--exit-code")
    assert calm.exit_code == 0, calm.output
    assert "en, champion version 3: no drift in 300 texts" in calm.output
    answer(workspace, 4 * POSTS)
    drifted = call("--exit-code")
    assert drifted.exit_code == 1
    assert "drift in " in drifted.output
    assert call().exit_code == 0, "the exit code tells of a drift on request only"


def test_the_report_the_status_and_the_notice(workspace: Workspace) -> None:
    log_reference(workspace, NEWS)
    answer(workspace, POSTS)
    assert status.models(workspace)[0]["drift"] is None
    figures = json.loads(call("--json", "--report").output)
    assert (figures["version"], figures["drift"], figures["retrain"]) == ("3", True, True)
    assert "marks" in {shift["measure"] for shift in figures["shifts"] if shift["drifted"]}
    assert (workspace.paths.drift("en") / "index.html").is_file()
    assert status.models(workspace)[0]["drift"].startswith(figures["summary"])
    (notice,) = notices.read(notices.notices_file(workspace))
    assert (notice.event, notice.facts["language"]) == ("drift", "en")


def test_an_older_version_without_a_reference_is_compared_with_the_week_before(workspace: Workspace) -> None:
    answer(workspace, NEWS)
    result = call()
    assert result.exit_code == 0, result.output
    assert "version 3 has no reference of its training texts" in result.output


def test_without_traffic_or_a_champion_there_is_nothing_to_tell(workspace: Workspace, tmp_path: Path) -> None:
    log_reference(workspace, NEWS)
    assert "too few texts to tell: 0 of 200" in call("--exit-code").output
    none: Any = CliRunner().invoke(drift, ["ru", "--json", "--exit-code"])
    assert (none.exit_code, json.loads(none.output)["retrain"]) == (0, False)
