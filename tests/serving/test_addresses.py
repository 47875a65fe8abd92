"""The system listens on one address, whichever it is, and is asked there."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import Addresses, listening, netloc, reachable, require_free
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.backends.local_server import free_port
from multiner.serving.gateway import app as gateway
from multiner.serving.gateway import state
from multiner.serving.system import PARTS, components

PORTS = ("port", "mlflow_port", "airflow_port")


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("NER_BIND", "NER_GATEWAY_PORT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    loaded = Workspace.load("cpu", root)
    ports = {"serving": {name: free_port() for name in PORTS}}
    return Workspace(tmp_path, overlay(loaded.params, ports))


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("0.0.0.0", "127.0.0.1:80"),
        ("127.0.0.2", "127.0.0.2:80"),
        ("::", "[::1]:80"),
        ("0:0::0", "[::1]:80"),
        ("::1", "[::1]:80"),
        ("fd00::2", "[fd00::2]:80"),
        ("ner.example", "ner.example:80"),
        ("0", "127.0.0.1:80"),
        ("127.1", "127.1:80"),
        ("::ffff:0.0.0.0", "127.0.0.1:80"),
    ],
)
def test_an_address_is_asked_where_it_listens(bound: str, asked: str) -> None:
    assert netloc(bound, 80) == asked
    assert state.GatewayState(1, 0.0, bound, 80, "", "cpu").url == f"http://{asked}"


@pytest.mark.parametrize("bound", ["127.0.0.2", "::1", "[::1]", "0.0.0.0", "::"])
def test_every_part_is_probed_at_the_address_that_it_is_bound_to(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setenv("NER_BIND", bound)
    addresses = Addresses.of(workspace)
    require_free(addresses, list(PARTS))
    with gateway.listen(addresses.host, addresses.gateway_port):
        assert listening(addresses.host, addresses.gateway_port)
        with pytest.raises(NerError, match=f"port {addresses.gateway_port}, meant for serving, is in use"):
            require_free(addresses, ["serving"])
    assert not listening(addresses.host, addresses.gateway_port)
    at = reachable(bound.strip("[]"))
    urls = (addresses.airflow, addresses.mlflow, addresses.reports, addresses.gateway)
    assert {httpx.URL(url).host for url in urls} == {at}
    environment = components.airflow_environment(workspace, addresses)
    assert environment["AIRFLOW__API__HOST"] == addresses.host
    assert environment["AIRFLOW__API__BASE_URL"] == addresses.airflow
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"{addresses.airflow}/execution/"


@pytest.mark.parametrize(
    ("bound", "further"),
    [
        ("127.0.0.1", []),
        ("0.0.0.0", []),
        ("::1", []),
        ("192.0.2.7", ["--allowed-hosts", "192.0.2.7:5000", "--cors-allowed-origins", "http://192.0.2.7:5000"]),
        ("fd00::2", ["--allowed-hosts", "[fd00::2]:5000", "--cors-allowed-origins", "http://[fd00::2]:5000"]),
    ],
)
def test_mlflow_answers_to_the_address_that_it_listens_on(workspace: Workspace, bound: str, further: list[str]) -> None:
    (mlflow,) = components.components(workspace, Addresses(bound, 8080, 5000, 8000), ["mlflow"])
    workers = mlflow.command.index("--workers")
    assert mlflow.command[workers + 2 : mlflow.command.index("--backend-store-uri")] == further


def test_an_address_that_is_not_this_machines_is_refused_before_anything_starts(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NER_BIND", "203.0.113.1")  # for documentation: RFC 5737
    with pytest.raises(NerError, match="cannot listen") as caught:
        require_free(Addresses.of(workspace), ["mlflow"])
    assert "NER_BIND, or serving.host" in caught.value.remedy


def test_a_part_that_listens_on_another_address_does_not_count(workspace: Workspace) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.listen()
        port = other.getsockname()[1]
        assert listening("127.0.0.2", port)
        assert not listening("127.0.0.1", port)


def test_the_page_says_where_airflow_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_BIND", "127.0.0.2")
    from multiner.serving.airflow.access import access

    airflow_setup.password(workspace)
    assert access(workspace).url == f"http://127.0.0.2:{workspace.params['serving']['airflow_port']}"
