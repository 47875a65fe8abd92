"""What the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from multiner.pipeline.core.environment import silence_telemetry

silence_telemetry()
# Speed is no promise of these tests: a busy machine must not fail them.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def corpora() -> Path:
    """A folder with the published corpora; tests that need them are skipped where there is none."""
    named = os.environ.get("NER_CORPORA_MIRROR")
    places = [Path(named)] if named else []
    places += [ROOT / "data" / "mirror", ROOT.parent / "shared" / "corpora", ROOT / "data" / "raw"]
    for place in places:
        if (place / "conll2003" / "train.txt").is_file():
            return place
    pytest.skip("no corpora mirror: set NER_CORPORA_MIRROR to the folder that holds the published files")
