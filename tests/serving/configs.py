"""The configuration of gateways for tests, with what a test leaves open filled in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.serving.documents.extraction import DocumentLimits
from multiner.serving.operator.facts_reader import FactsReader
from multiner.serving.operator.model_schemas import ModelFacts
from multiner.serving.routing.config import GatewayConfig
from multiner.serving.routing.state_store import StateStore
from tests.serving import registry

ROOT = Path(__file__).resolve().parents[2]


@cache
def empty_workspace() -> Workspace:
    """A workspace without registry, reports and Airflow."""
    return registry.make_workspace(Path(mkdtemp(prefix="ner-tests-")), ROOT)


class NoFacts(FactsReader):
    """The facts where no registry is; reading a real one takes seconds at first."""

    def __init__(self) -> None:
        super().__init__(empty_workspace())

    async def of(self, language: str, version: str | None) -> ModelFacts:
        return ModelFacts(registry="There is no registry.")


def gateway_config(**settings: Any) -> GatewayConfig:
    """The configuration with ``settings``; ``limits``, ``launch`` and ``resolve`` must be among them."""
    own = settings.get("workspace")
    database = own.paths.run / "state.db" if own else Path(mkdtemp(dir=empty_workspace().root)) / "state.db"
    usual: dict[str, Any] = {
        "languages": ["en"],
        "documents": DocumentLimits(1_000_000, 20, 300_000, 30),
        "token": "token",
        "keep_previous": "auto",
        "types": {},
        "model_name": lambda language: f"ner-{language}",
        "queue": 64,
        "concurrency": 2,
        "cores": 16,
        "endpoints": (),
        "memory": None,
        "folder_bytes": lambda model: 0,
        "reconcile_seconds": 30,
        "shadow": None,
        "canary": None,
        "workspace": empty_workspace(),
        "state": StateStore(f"sqlite:///{database}"),
        "traffic": None,
        "review": None,
        "uncertain": None,
        "hosts": None,
        "connections": 512,
        "proxies": (),
        "exposed": False,
        "open_reports": False,
    }
    return GatewayConfig(**usual | settings)
