"""Fixtures of other packages: a tiny encoder, and an empty MLflow database."""

from __future__ import annotations

from tests.pipeline.models.conftest import forgotten_precision, tiny_encoder
from tests.pipeline.registry.conftest import migrated

__all__ = ["forgotten_precision", "migrated", "tiny_encoder"]
