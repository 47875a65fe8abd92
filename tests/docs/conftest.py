"""What the tests of the documentation share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest


@pytest.fixture(scope="session")
def generators(root: Path) -> Iterator[None]:
    """The modules of tools/docs can be imported."""
    with patch.object(sys, "path", [str(root / "tools" / "docs"), *sys.path]):
        yield
