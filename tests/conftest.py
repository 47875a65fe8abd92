"""What the tests share."""

from __future__ import annotations

import os
import runpy
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import settings

from multiner.pipeline.core.environment import silence_telemetry

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

silence_telemetry()
# Speed is no promise of these tests: a busy machine must not fail them.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
ROOT = Path(__file__).resolve().parents[1]
MAIN_JOB = "tests/e2e/test_main_job.py"  # whose clone and models all tests in TRAINED need
TRAINED = "tests/e2e/trained/"
NO_MIRROR = "no corpora mirror: set NER_CORPORA_MIRROR to the folder that holds the published files"


def corpora_mirror() -> Path | None:
    """The folder with the published corpora; None where this machine has none."""
    named = os.environ.get("NER_CORPORA_MIRROR")
    places = [Path(named)] if named else []
    places += [ROOT / "data" / "mirror", ROOT.parent / "shared" / "corpora", ROOT / "data" / "raw"]
    return next((place for place in places if (place / "conll2003" / "train.txt").is_file()), None)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def packaging(root: Path) -> dict[str, Any]:
    """What setup.py tells setuptools."""
    with patch("setuptools.setup") as setup:
        runpy.run_path(str(root / "setup.py"))
    return setup.call_args.kwargs


@pytest.fixture(scope="session")
def corpora() -> Path:
    """A folder with the published corpora; without one, the tests that need it are skipped."""
    return corpora_mirror() or pytest.skip(NO_MIRROR)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With ``--dist loadfile``, the tests of trained models go where the main job is, as if they were of its file.

    ``--dist loadgroup`` would be for this; xdist 3.8 finds no groups with pytest 9.2, and says nothing.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByClone(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return MAIN_JOB if file.startswith(TRAINED) else file

    return ByClone(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration (CI=true) everything is there: what would be skipped fails."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{item.nodeid}: skipped, and CI skips nothing: {reason}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Say at the very end what was not tested for want of the corpora."""
    yield
    if not corpora_mirror():
        session.config.get_terminal_writer().line(f"tests that read the corpora were skipped: {NO_MIRROR}")
