"""Airflow's REST API: what is repeated."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from multiner.serving.airflow import api


@pytest.mark.parametrize("broken", [httpx.RemoteProtocolError, httpx.ReadError])
def test_a_call_whose_connection_breaks_is_repeated(
    monkeypatch: pytest.MonkeyPatch, broken: type[httpx.TransportError]
) -> None:
    client = api.AirflowClient("http://127.0.0.1:1", "user", "password")
    client._token = "token"
    answers = [broken("Server disconnected"), httpx.Response(200, json={"state": "success"})]

    def request(*_: Any, **__: Any) -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(client._http, "request", request)
    monkeypatch.setattr(api, "BUSY_PAUSES", (0,))
    assert client.call("GET", "/dags/data/dagRuns/1") == {"state": "success"}
    assert answers == []
