"""The frame of the fault tests: each fault has a name, is seen to happen, and has a control that passes without it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from multiner.pipeline.config.settings import Workspace, overlay
from tests.pipeline.models.conftest import tiny_encoder
from tests.pipeline.registry.conftest import empty_leg, fill, migrated, store

__all__ = ["empty_leg", "fill", "migrated", "store", "tiny_encoder"]


class Fault:
    """The fault of a test.

    Args:
        point: its name: the argument of the test's marker ``faults``, and the first column of docs/reliability.md.
    """

    def __init__(self, point: str) -> None:
        self.point = point
        self.fired = False
        self.controlled = False

    def happened(self, evidence: object) -> None:
        """Take a true value as evidence that the fault has happened."""
        assert evidence, f"the fault did not happen: {self.point}"
        self.fired = True

    @contextmanager
    def control(self) -> Iterator[None]:
        """A block that does the same without the fault, and must pass."""
        yield
        self.controlled = True

    def check(self) -> None:
        """Refuse a test that shows no evidence that its fault happened, or that has no control."""
        assert self.fired, f"the test shows no evidence that the fault happened: {self.point}"
        assert self.controlled, f"the test has no control without the fault: {self.point}"


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    """The fault of the test's marker."""
    return Fault(request.node.get_closest_marker("faults").args[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None]:
    """A test that passes has shown its fault and a control."""
    yield
    item.funcargs["fault"].check()


def make_workspace(folder: Path, root: Path, changes: dict[str, object]) -> Workspace:
    """A workspace on the disk with the shipped parameters but for ``changes``; commands find it by ``NER_ROOT``."""
    folder.mkdir()
    shutil.copy(root / "dvc.yaml", folder)
    shutil.copytree(root / "params", folder / "params")
    params = overlay(yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")), changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    (folder / "dvc.lock").write_text('{"schema": "2.0"}')
    (folder / "requirements.lock").write_text("numpy==2\n")
    return Workspace.load(root=folder)


@pytest.fixture(scope="session")
def benchmarks(root: Path) -> Iterator[dict[str, ModuleType]]:
    """The benchmarks that real processes are measured with."""
    sys.path.insert(0, str(root / "benchmarks"))
    yield {name: import_module(name) for name in ("replicas", "soak", "switching", "systems")}
    sys.path.remove(str(root / "benchmarks"))


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with one base model and rules that a tiny one meets; nothing is trained yet."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    rules = {"max_latency_ms": 10_000, "min_behaviour": None, "min_f1": 0}
    workspace = make_workspace(tmp_path / "home", root, {"ensemble": {"legs": ["transformer"]}, "promotion": rules})
    workspace.paths.raw.mkdir(parents=True)
    for corpus in ("conll2003", "wnut17"):
        (workspace.paths.raw / f"{corpus}.dvc").write_text(f"outs:\n- md5: {'ab' * 16}.dir\n  path: {corpus}\n")
    return workspace
