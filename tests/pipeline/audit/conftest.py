"""The registry of the registry's tests."""

from tests.pipeline.registry.conftest import (
    empty_leg,
    fill,
    good_leg,
    in_process,
    migrated,
    store,
    workspace,
    worse_leg,
)

__all__ = ["empty_leg", "fill", "good_leg", "in_process", "migrated", "store", "workspace", "worse_leg"]
