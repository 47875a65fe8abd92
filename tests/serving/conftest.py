"""Fixtures of the gateway's tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.serving.airflow import environment as airflow_setup
from tests.serving.harness import Exchange, Harness, Live

if TYPE_CHECKING:
    from tests.serving.airflow.fake_airflow import FakeAirflow
    from tests.serving.page.browser import Browser


@pytest.fixture(scope="session")
def exchange() -> type[Exchange]:
    """Makes requests that are sent and read piece by piece: ``exchange(app, path, content_type)``."""
    return Exchange


@pytest.fixture(scope="session")
def harness() -> type[Harness]:
    """Makes gateways: ``harness(champions={"en": "1"}, keep_previous=False, …)``."""
    return Harness


@contextmanager
def running(gateway_app: Harness) -> Iterator[tuple[str, int]]:
    """A gateway that is ready behind the real server, in a thread; gives its address."""
    with Live(gateway_app) as live:
        yield live.address


@pytest.fixture(scope="session")
def behind_server() -> Callable[[Harness], AbstractContextManager[tuple[str, int]]]:
    """Runs gateways on a socket: ``with behind_server(harness()) as (host, port): …``."""
    return running


@pytest.fixture
def served(harness: type[Harness]) -> Iterator[tuple[Harness, tuple[str, int]]]:
    """A gateway that is ready behind a real server, and its address; its model takes one call at a time."""
    with Live(harness(concurrency=1)) as live:
        yield live.harness, live.address


@pytest.fixture(scope="module")
def live(harness: type[Harness]) -> Iterator[Live]:
    """A gateway for a module's browser tests: ``live.url``, ``live.harness``."""
    with Live(harness()) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def serving() -> type[Live]:
    """Puts a gateway behind a real server: ``with serving(harness(…)) as live``."""
    return Live


@pytest.fixture(scope="module")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium: apt-get install chromium chromium-driver")
    from tests.serving.page.browser import Browser

    started = Browser(tmp_path_factory.mktemp("downloads"))
    yield started
    started.driver.quit()


@pytest.fixture
def browser(_browser: Browser) -> Browser:
    """Debian's Chromium, one for a module; each test finds it in its usual size and scheme."""
    _browser.reset()
    return _browser


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Workspace:
    """A workspace with a small registry, made once: its database's migrations take seconds."""
    from tests.serving import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = registry.make_workspace(tmp_path_factory.mktemp("registry") / "home", root)
        registry.fill(workspace)
    return workspace


@pytest.fixture
def stocked(filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a small registry that a test may change; see :mod:`tests.serving.registry`."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(filled.root, tmp_path / "stocked")
    return replace(filled, root=tmp_path / "stocked")


@pytest.fixture
def airflow(stocked: Workspace) -> Iterator[FakeAirflow]:
    """Airflow as the workspace has it; ``airflow.workspace`` knows its port."""
    from tests.serving.airflow.fake_airflow import FakeAirflow

    with FakeAirflow() as fake:
        ports = {"serving": {"airflow_port": fake.port}}
        fake.workspace = replace(stocked, params=overlay(stocked.params, ports))
        fake.password = airflow_setup.password(fake.workspace)
        yield fake
