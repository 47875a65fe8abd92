"""docs/api/ and docs/operations/ say what the gateway does."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from multiner.serving.http.entity_requests import EntitiesRequest
from multiner.serving.routing.canary.calls import CanaryMetrics
from multiner.serving.routing.config import ShadowConfig


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    pages = [path for folder in ("api", "operations") for path in sorted((root / "docs" / folder).glob("*.md"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in pages)


def test_every_endpoint_metric_and_option_is_told(harness: Any, text: str) -> None:
    async def main() -> tuple[set[str], set[str]]:
        shadow = ShadowConfig(challenger=lambda language: None, launch=harness().launch, share=1.0)
        async with harness(shadow=shadow).client() as client:
            await client.post("/v1/entities", json={"text": "Anna"})
            paths = set((await client.get("/openapi.json")).json()["paths"])
            return paths, set(re.findall(r"(?m)^# TYPE (\w+)", (await client.get("/metrics")).text))

    paths, metrics = asyncio.run(main())
    canary = CollectorRegistry()
    CanaryMetrics(canary)
    metrics |= set(re.findall(r"(?m)^# TYPE (\w+)", generate_latest(canary).decode())) | {"ner_canary_info"}
    assert len(paths) > 5
    assert all(re.search(rf"`(GET|POST) {re.escape(path)}`", text) for path in paths)
    assert set(re.findall(r"`(ner_\w+)`", text)) == metrics
    assert set(EntitiesRequest.model_fields) <= set(re.findall(r"(?m)^\| `(\w+)`", text))


def test_the_limits_are_those_of_params(root: Path, text: str) -> None:
    serving = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["serving"]
    observations = dict(re.findall(r"(?m)^\| `(max_\w+|timeout_seconds|concurrency|queue)` \| ([\d,]+) \|", text))
    assert {name: int(value.replace(",", "")) for name, value in observations.items()} == {
        name: serving[name] for name in ("max_texts", "max_characters", "timeout_seconds", "concurrency", "queue")
    }


def test_the_problems_are_those_that_are_raised(root: Path, text: str) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (root / "serving").rglob("*.py"))
    raised = set(re.findall(r'Problem\(\s*(\d{3}), "([a-z-]+)"', source))
    assert len(raised) > 10
    rows = set(re.findall(r"(?m)^\| (\d{3}) \| `([a-z-]+)` \|", text))
    assert raised == rows - {("405", "method-not-allowed")}  # Starlette raises that one
