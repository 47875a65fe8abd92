"""Operators with tokens of their own, and a gateway that other machines reach."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.errors import NerError
from multiner.serving.cli import commands
from multiner.serving.gateway.config import workspace_config
from multiner.serving.gateway.exposure import listening_address, require_safe
from multiner.serving.gateway.state import store_url
from multiner.serving.operator import operators as module
from multiner.serving.operator.operators import Operators
from multiner.serving.routing.state_store import StateStore
from tests.serving import registry
from tests.serving.waiting import until

SHARED = {"authorization": "Bearer a-token-for-tests"}
ORIGIN = {"origin": "http://gateway"}
ROLLBACK = {"action": "rollback", "language": "en", "champion": "2"}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def run(gateway: Any, use: Callable[[httpx.AsyncClient, Operators], Awaitable[None]]) -> None:
    async def main() -> None:
        async with gateway.client() as client:
            await use(client, Operators(gateway.config.state))

    asyncio.run(main())


def test_operators_have_tokens_until_they_are_removed(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VALID_SECONDS", 0.0)

    async def use(client: httpx.AsyncClient, operators: Operators) -> None:
        anna, boris = await operators.add("anna"), await operators.add("boris")
        for token in (anna, boris):
            assert (await client.get("/admin/actions", headers=bearer(token))).status_code == 200
        assert (await client.post("/admin/session", json={"token": anna}, headers=ORIGIN)).status_code == 204
        assert (await client.get("/admin/actions")).status_code == 200, "by the cookie"
        assert 'data-signed-in="yes"' in (await client.get("/models")).text
        await operators.remove("anna")
        assert (await client.get("/admin/actions")).status_code == 401, "the session has ended, too"
        assert (await client.get("/admin/actions", headers=bearer(anna))).status_code == 401
        assert (await client.get("/admin/actions", headers=bearer(boris))).status_code == 200
        assert (await client.get("/admin/actions", headers=SHARED)).status_code == 200
        assert list(await operators.all()) == ["boris"]

    run(harness(), use)


def test_wrong_tokens_cost_one_read_a_second(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(client: httpx.AsyncClient, operators: Operators) -> None:
        token = await operators.add("anna")
        reads = []
        work = operators._store.run

        async def counted(question: Any) -> Any:
            reads.append(question)
            return await work(question)

        monkeypatch.setattr(module, "VALID_SECONDS", 3600.0)
        monkeypatch.setattr(operators._store, "run", counted)
        assert [await operators.name_of(each) for each in ("wrong", "\udcff", token)] == [None, None, "anna"]
        assert len(reads) == 1

    run(harness(), use)


def test_the_store_holds_no_token(harness: Any, tmp_path: Path) -> None:
    store = StateStore(f"sqlite:///{tmp_path}/state.db")
    token = asyncio.run(Operators(store).add("anna"))
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"anna" in content
    assert token.encode() not in content


@pytest.mark.slow  # a registry, real but small
def test_the_journal_names_the_operator(harness: Any, stocked: Workspace) -> None:
    gateway = registry.gateway(harness, stocked)

    async def use(client: httpx.AsyncClient, operators: Operators) -> None:
        headers = bearer(await operators.add("anna")) | {"x-request-id": "night-1"}
        response = await client.post("/admin/actions", json=ROLLBACK, headers=headers)
        assert response.json()["who"] == "anna"
        route = gateway.service.routes["en"]
        await until(lambda: route.live.model.version == "1")
        (english, _) = (await client.get("/v1/models")).json()["models"]
        assert english["switches"][0]["by"] == "operator's desk (anna), request night-1"

    run(gateway, use)


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("NER_BIND", "NER_GATEWAY_PORT", "NER_STATE_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path, load_params(root, "cpu"))


def test_the_commands(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "load", lambda *_: workspace)

    def ner(*arguments: str) -> Any:
        return CliRunner().invoke(commands, ["operator", *arguments])

    token = ner("add", "anna").stdout.strip()
    assert len(token) > 40
    ner("add", "boris")
    assert [line.split("\t")[0] for line in ner("list").stdout.splitlines()] == ["anna", "boris"]
    assert asyncio.run(Operators(StateStore(store_url(workspace))).name_of(token)) == "anna"
    assert "already" in str(ner("add", "anna").exception)
    for name in ("", "a b", "x" * 41, "Анна", "token", "-x"):
        assert "cannot be" in str(ner("add", "--", name).exception), name
    assert ner("remove", "anna").exit_code == 0
    assert "no operator anna" in str(ner("remove", "anna").exception)
    assert [line.split("\t")[0] for line in ner("list").stdout.splitlines()] == ["boris"]


def exposed(workspace: Workspace, *proxies: str) -> Workspace:
    settings = {"serving": {"expose": "ner.example.org", "trusted_proxies": list(proxies)}}
    return replace(workspace, params=overlay(workspace.params, settings))


def test_an_exposed_gateway_needs_a_proxy_and_an_operator(workspace: Workspace) -> None:
    store = StateStore(store_url(workspace))
    asyncio.run(require_safe(workspace, store))
    with pytest.raises(NerError, match="unencrypted") as raised:
        asyncio.run(require_safe(exposed(workspace), store))
    assert raised.value.where == "params.yaml: serving.expose"
    with pytest.raises(NerError, match="no operator") as raised:
        asyncio.run(require_safe(exposed(workspace, "127.0.0.1"), store))
    assert "ner operator add" in (raised.value.remedy or "")
    asyncio.run(Operators(store).add("anna"))
    asyncio.run(require_safe(exposed(workspace, "127.0.0.1"), store))


def test_where_an_exposed_gateway_listens_and_to_which_names(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listening_address(workspace)[0] == "127.0.0.1"
    assert listening_address(exposed(workspace, "127.0.0.1", "::1"))[0] == "127.0.0.1"
    assert listening_address(exposed(workspace, "127.0.0.1", "10.0.0.0/8"))[0] == "0.0.0.0"
    monkeypatch.setenv("NER_BIND", "127.0.0.2")
    assert listening_address(exposed(workspace, "10.0.0.0/8"))[0] == "127.0.0.2"
    config = workspace_config(exposed(workspace, "127.0.0.1"), "token")
    assert config.exposed
    assert not config.open_reports
    assert config.hosts is not None
    assert {"ner.example.org", "localhost"} <= config.hosts


def test_from_other_machines_orders_need_tls_and_an_operators_token(harness: Any) -> None:
    gateway = harness(exposed=True)
    behind = ProxyHeadersMiddleware(gateway.app, ["127.0.0.1"])

    async def use(client: httpx.AsyncClient, operators: Operators) -> None:
        token = await operators.add("anna")
        transport = httpx.ASGITransport(behind, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as outside:
            plain = {"x-forwarded-for": "203.0.113.5", "x-forwarded-proto": "http"}
            secure = plain | {"x-forwarded-proto": "https"}
            answers = [
                (await outside.get("/admin/actions", headers=headers | authorization)).status_code
                for headers in (plain, secure)
                for authorization in (bearer(token), SHARED)
            ]
            assert answers == [403, 403, 200, 401]
            secure |= {"origin": "https://gateway"}
            bodies = {"token": "a-token-for-tests"}, {"token": token}
            signed = [await outside.post("/admin/session", json=body, headers=secure) for body in bodies]
            assert [response.status_code for response in signed] == [401, 204]
            assert "Secure" in signed[1].headers["set-cookie"]
            text = {"text": "Anna", "language": "en"}
            assert (await outside.post("/v1/entities", json=text, headers=plain)).status_code == 200
        assert (await client.get("/admin/actions", headers=SHARED)).status_code == 200, "on this machine"

    run(gateway, use)
