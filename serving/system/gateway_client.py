"""Requests to the running gateway of a workspace, with its operator's token."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.errors import NerError
from multiner.serving.gateway import state

if TYPE_CHECKING:
    import httpx

START_SECONDS = 300  # until every model of a fresh gateway is up, on a busy machine
SWITCH_SECONDS = 300


def started_route(gateway: state.GatewayState, language: str) -> dict[str, Any]:
    """The route of a language, once its start is over.

    Raises:
        NerError: the start takes too long, or the gateway does not know the language.
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
    """The route of a language as it is now.

    Raises:
        NerError: the gateway does not answer, or does not know the language.
    """
    routes = health(gateway)["languages"]
    if language not in routes:
        remedy = "Restart it: ner down, then ner deploy."
        raise NerError(f"the running gateway does not know {language!r}", remedy=remedy)
    return routes[language]


def connection(gateway: state.GatewayState, timeout: float) -> httpx.Client:
    """An HTTP client of the gateway, without a proxy."""
    import httpx

    return httpx.Client(base_url=gateway.url, timeout=timeout, trust_env=False)


def answers(gateway: state.GatewayState) -> bool:
    """Whether it answers right now."""
    try:
        health(gateway, attempts=1)
    except NerError:
        return False
    return True


def health(gateway: state.GatewayState, attempts: int = 3) -> dict[str, Any]:
    """Its ``/health``.

    Raises:
        NerError: it does not answer.
    """
    import httpx

    for attempt in range(1, attempts + 1):
        try:
            with connection(gateway, timeout=10) as http:
                return http.get("/health").json()
        except (httpx.HTTPError, ValueError):
            if attempt < attempts:
                time.sleep(1)
    raise NerError(
        f"the gateway (process {gateway.pid}) does not answer",
        where=gateway.url,
        remedy="Restart it: ner down, then ner deploy.",
        transient=True,
    )


def post(gateway: state.GatewayState, path: str, value: dict[str, Any]) -> dict[str, Any]:
    """The answer of an admin endpoint.

    Raises:
        NerError: the gateway refuses, or breaks off; transient with its status 503.
    """
    import httpx

    try:
        token = Path(gateway.token_file).read_text(encoding="ascii").strip()
        with connection(gateway, timeout=SWITCH_SECONDS) as http:
            response = http.post(path, json=value, headers={"Authorization": f"Bearer {token}"})
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
            where=f"{gateway.url}{path}",
            remedy=f"The logs of the gateway and of the versions it starts are in {logs}.",
            transient=response.status_code == 503,
        )
    return answer
