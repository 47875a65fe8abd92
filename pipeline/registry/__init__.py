"""The model registry, in MLflow: the trained versions, which of them is champion, and why.

``register`` writes the outputs of the stages into one MLflow run and registers a version with the alias ``challenger``;
``promote`` moves the alias ``champion`` to it if it is no worse; ``rollback`` moves the alias back, and
``promote_version`` moves it to any version, by an operator's order. The journal has an entry for each of these.
"""

from __future__ import annotations

from multiner.pipeline.registry.champions import ModelVersionInfo, challenger, champion, model_bytes, rollback
from multiner.pipeline.registry.gate.order import promote_version
from multiner.pipeline.registry.gate.promotion import Promotion, promote
from multiner.pipeline.registry.registration import Registration, known_version, register
from multiner.pipeline.registry.store import model_name, open_store, tracking_uri

__all__ = [
    "ModelVersionInfo",
    "Promotion",
    "Registration",
    "challenger",
    "champion",
    "known_version",
    "model_bytes",
    "model_name",
    "open_store",
    "promote",
    "promote_version",
    "register",
    "rollback",
    "tracking_uri",
]
