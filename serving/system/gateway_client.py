"""Requests to a running gateway; those of its operator carry the token."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.serving.gateway import state

START_SECONDS = 300  # for all models of a new gateway to come up, on a busy machine
SWITCH_SECONDS = 300


def started_route(gateway: state.GatewayState, language: str) -> dict[str, Any]:
    """As :func:`route`, once the language's model no longer starts.

    Raises:
        NerError: the start takes too long, or as :func:`route`.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        current = route(gateway, language)
        if current["state"] != "starting":
            return current
        time.sleep(0.3)
    message = f"the model for {language!r} did not come up within {START_SECONDS} s"
    raise NerError(message, where=gateway.url, transient=True)


def route(gateway: state.GatewayState, language: str) -> dict[str, Any]:
    """The state of a language's route.

    Raises:
        NerError: the gateway does not answer, or does not know the language.
    """
    remedy = "Restart it: ner down, then ner deploy."
    for pause in (1, 1, 0):
        if routes := routes_at(gateway.url):
            break
        time.sleep(pause)
    else:
        message = f"the gateway (process {gateway.pid}) does not answer"
        raise NerError(message, where=gateway.url, remedy=remedy, transient=True)
    if language not in routes:
        raise NerError(f"the running gateway does not know {language!r}", remedy=remedy)
    return routes[language]


def routes_at(url: str) -> dict[str, dict[str, Any]]:
    """The state of each language's route from the gateway's ``/health``; empty if it does not answer."""
    try:
        return httpx.get(f"{url}/health", timeout=10, trust_env=False).json().get("languages", {})
    except (httpx.HTTPError, ValueError):
        return {}


def served_versions(url: str) -> dict[str, dict[str, str]]:
    """What each version of a language is: ``live`` or ``a canary``; empty if the gateway does not answer."""
    return {
        code: {
            version: role
            for version, role in ((running_canary(entry), "a canary"), (entry.get("version"), "live"))
            if version
        }
        for code, entry in routes_at(url).items()
    }


def running_canary(route: dict[str, Any]) -> str | None:
    """The version that is tried out on a share of a language's calls."""
    canary = route.get("canary") or {}
    return canary.get("version") if canary.get("state") == "running" else None


def post(gateway: state.GatewayState, path: str, value: dict[str, Any]) -> dict[str, Any]:
    """The answer of an admin endpoint.

    Raises:
        NerError: the gateway refuses, or breaks off; transient with its status 503.
    """
    url = f"{gateway.url}{path}"
    try:
        token = Path(gateway.token_file).read_text(encoding="ascii").strip()
        headers = {"Authorization": f"Bearer {token}"}
        response = httpx.post(url, json=value, headers=headers, timeout=SWITCH_SECONDS, trust_env=False)
    except OSError as error:
        raise NerError(f"the gateway's token cannot be read: {error.strerror}", where=gateway.token_file) from None
    except httpx.HTTPError as error:
        message = f"the gateway broke off the switch ({type(error).__name__})"
        raise NerError(message, where=gateway.url, transient=True) from None
    answer = response.json()
    if response.status_code != 200:
        logs = Path(gateway.token_file).parent / "logs"
        raise NerError(
            answer.get("detail", "the switch failed"),
            where=url,
            remedy=f"The logs of the gateway and of the versions it starts are in {logs}.",
            transient=response.status_code == 503,
        )
    return answer
