"""A workspace of the bundled samples with growing corpora."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.config.settings import Workspace

TYPES = ["PER", "LOC", "ORG", "MISC"]


@pytest.fixture
def declare(tmp_path: Path, root: Path) -> Callable[..., Workspace]:
    """Makes the workspace: English trains on CoNLL-2003's samples and on the growing corpora given by name."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "samples").symlink_to(root / "data" / "samples")

    def workspace(types: Any = TYPES, **growing: dict[str, Any]) -> Workspace:
        english = {"types": types, "train_on": ["conll2003", *growing], "report_on": ["conll2003"]}
        params = {
            "profile": "demo",
            "languages": {"en": english},
            "growing": {name: {"language": "en"} | options for name, options in growing.items()},
            "prepare": {"raw": "data/samples", "heldout": 0.2, "limit": {}},
            "serving": {"review_megabytes": 1},
        }
        return Workspace(tmp_path, params)

    return workspace
