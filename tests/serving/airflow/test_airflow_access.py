"""An Airflow that runs elsewhere: named by the environment, its password in no log, no message and no other process."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import Addresses
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.airflow.access import access, public_url
from multiner.serving.backends.local_server import serve_environment
from multiner.serving.http.middleware import JsonFormatter
from multiner.serving.system import running
from tests.serving import registry
from tests.serving.airflow.fake_airflow import FakeAirflow

SECRET = "not-to-be-told"
OPERATOR = {"authorization": "Bearer a-token-for-tests"}


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Workspace:
    return Workspace(tmp_path / "home", load_params(root, "cpu"))


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "PUBLIC_URL", "USER", "PASSWORD", "PASSWORD_FILE"):
        monkeypatch.delenv(f"NER_AIRFLOW_{name}", raising=False)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose sets it."""
    monkeypatch.setenv("NER_AIRFLOW_URL", "http://airflow:8080/")
    monkeypatch.setenv("NER_AIRFLOW_PUBLIC_URL", "http://127.0.0.1:8080")
    monkeypatch.setenv("NER_AIRFLOW_PASSWORD", SECRET)


def test_by_default_it_is_the_workspace_s_own(workspace: Workspace) -> None:
    with pytest.raises(NerError, match="has not run") as caught:
        access(workspace)
    assert "NER_AIRFLOW_URL" in caught.value.remedy
    password = airflow_setup.password(workspace)  # made at Airflow's first start
    found = access(workspace)
    assert (found.url, found.user, found.password) == ("http://127.0.0.1:8080", "admin", password)
    assert public_url(workspace) == "http://127.0.0.1:8080"


@pytest.mark.usefixtures("elsewhere")
def test_the_environment_names_another(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    found = access(workspace)
    assert (found.url, found.user, found.password) == ("http://airflow:8080", "admin", SECRET)
    assert SECRET not in repr(found)
    assert public_url(workspace) == "http://127.0.0.1:8080"
    monkeypatch.delenv("NER_AIRFLOW_PUBLIC_URL")
    monkeypatch.setenv("NER_AIRFLOW_USER", "gateway")
    assert public_url(workspace) == "http://airflow:8080"
    assert access(workspace).user == "gateway"


@pytest.mark.usefixtures("elsewhere")
def test_the_password_may_lie_in_a_file(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    file = workspace.root / "secret"
    monkeypatch.setenv("NER_AIRFLOW_PASSWORD_FILE", str(file))
    with pytest.raises(NerError, match="both set"):
        access(workspace)
    monkeypatch.setenv("NER_AIRFLOW_PASSWORD", "")  # as compose sets what is not given
    with pytest.raises(NerError, match="cannot be read: No such file"):
        access(workspace)
    file.parent.mkdir()
    file.write_text("\n")
    with pytest.raises(NerError, match="empty"):
        access(workspace)
    file.write_text("from a file\n")
    assert access(workspace).password == "from a file"


@pytest.mark.parametrize(
    "address",
    ["airflow:8080", "ftp://airflow", "http://", "http://airflow:port", f"http://admin:{SECRET}@airflow:8080"],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("NER_AIRFLOW_URL", address)
    with pytest.raises(NerError, match="NER_AIRFLOW_URL") as caught:
        access(workspace)
    assert SECRET not in str(caught.value)
    assert public_url(workspace) == "http://127.0.0.1:8080", "links are shown all the same"


@pytest.mark.usefixtures("elsewhere")
def test_an_airflow_that_starts_takes_the_given_password_and_passes_it_on_to_nothing(workspace: Workspace) -> None:
    at = {"host": "127.0.0.1", "airflow_port": 8080, "mlflow_url": "m", "docs_url": "d"}
    file = airflow_setup.password_file(workspace)  # from a start before, with a password made up
    for _ in range(2):
        environment = airflow_setup.environment(workspace, **at)
        assert json.loads(file.read_text()) == {"admin": SECRET}
        assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == str(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert SECRET not in environment.values()
    assert SECRET not in serve_environment(None, 5).values()
    observations = running.addresses_text(workspace, Addresses.of(workspace))
    assert SECRET not in observations
    assert "NER_AIRFLOW_PASSWORD" in observations


def ordered(harness: Any, workspace: Workspace, use: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with registry.gateway(harness, workspace).client() as client:
            client.headers.update(OPERATOR)
            return await use(client)

    return asyncio.run(main())


async def retrain(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/admin/actions", json={"action": "retrain", "language": "en"})


@pytest.mark.slow
def test_orders_go_to_an_airflow_elsewhere(
    harness: Any, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = replace(airflow.workspace, params=overlay(airflow.workspace.params, {"serving": {"airflow_port": 1}}))
    airflow.user, airflow.password = "gateway", SECRET
    monkeypatch.setenv("NER_AIRFLOW_URL", f"http://127.0.0.1:{airflow.port}")
    monkeypatch.setenv("NER_AIRFLOW_PUBLIC_URL", "https://airflow.example")
    monkeypatch.setenv("NER_AIRFLOW_USER", "gateway")
    monkeypatch.setenv("NER_AIRFLOW_PASSWORD", SECRET)

    async def use(client: httpx.AsyncClient) -> tuple[httpx.Response, dict[str, Any]]:
        return await retrain(client), (await client.get("/v1/models")).json()["models"][0]["links"]

    with caplog.at_level(logging.DEBUG):
        started, links = ordered(harness, workspace, use)
    assert started.status_code == 202, started.text
    assert started.json()["runs"][0]["url"].startswith("https://airflow.example/dags/retrain_en/runs/operator__")
    assert links["retraining"] == "https://airflow.example/dags/retrain_en"
    written = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert SECRET not in written + started.text + (workspace.paths.run / "state.db").read_bytes().decode("latin-1")


@pytest.mark.slow
def test_a_wrong_password_and_an_airflow_that_is_down_name_what_to_look_at(
    harness: Any, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NER_AIRFLOW_PASSWORD", SECRET)
    for port, reason in ((airflow.port, "refused the login (401)"), (1, "does not answer")):
        monkeypatch.setenv("NER_AIRFLOW_URL", f"http://127.0.0.1:{port}")
        response = ordered(harness, airflow.workspace, retrain)
        assert (response.status_code, response.json()["type"]) == (503, "urn:ner:problem:no-airflow")
        for text in (reason, f"http://127.0.0.1:{port}", "NER_AIRFLOW_PASSWORD"):
            assert text in response.json()["detail"]
        assert SECRET not in response.text


@pytest.mark.slow
def test_a_gateway_without_a_password_says_so_before_and_after_an_order(
    harness: Any, stocked: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NER_AIRFLOW_URL", "http://airflow:8080")

    async def use(client: httpx.AsyncClient) -> tuple[str, str, httpx.Response]:
        anyone = (await client.get("/models", headers={"authorization": ""})).text
        origin = {"origin": "http://gateway"}
        await client.post("/admin/session", json={"token": "a-token-for-tests"}, headers=origin)
        return anyone, (await client.get("/models")).text, await retrain(client)

    anyone, page, response = ordered(harness, stocked, use)
    assert response.status_code == 503
    problem = response.json()
    assert (problem["type"], problem["title"]) == (
        "urn:ner:problem:no-airflow",
        "No Airflow is set up for this gateway",
    )
    assert "Set NER_AIRFLOW_PASSWORD for the gateway" in problem["detail"]
    assert "Retry-After" not in response.headers, "waiting does not help"
    assert "Set NER_AIRFLOW_PASSWORD for the gateway" in page
    assert "NER_AIRFLOW" not in anyone
