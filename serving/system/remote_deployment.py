"""Deployment to a gateway that runs elsewhere, as in a container: it follows the registry, and we wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import httpx

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError


def live_on(gateway: str) -> dict[str, str | None]:
    """The live version of each language at a gateway; empty where it does not answer."""
    try:
        health = httpx.get(f"{gateway}/health", timeout=10, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return {code: route.get("version") for code, route in health.get("languages", {}).items()}


def await_live(
    workspace: Workspace,
    gateway: str,
    languages: Sequence[str] | None = None,
    *,
    patience: float = 600,
    if_running: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Wait until ``gateway`` serves the registry's champions.

    Args:
        workspace: whose registry.
        gateway: address of the gateway.
        languages: by default all that have a champion; without those served by an endpoint elsewhere.
        patience: seconds to wait.
        if_running: where the gateway does not answer at first, do not wait.
        announce: gets a line about each step.

    Raises:
        RegistryUnavailable: the registry cannot be read.
        NerError: a champion is not live in time.
    """
    from multiner.pipeline.registry import champion

    if if_running and not live_on(gateway):
        announce(f"no gateway answers at {gateway}: nothing to do; it starts with the registry's champions")
        return
    endpoints = workspace.params["serving"]["endpoints"]  # there others decide on the version
    here = [code for code in languages or workspace.languages if code not in endpoints]
    champions = {code: champion(workspace, code) for code in here}
    versions = {code: str(best.version) for code, best in champions.items() if best}
    deadline = time.monotonic() + patience
    if not live_on(gateway):
        announce(f"{gateway} does not answer, or has nothing live: waiting up to {patience:.0f} s")
    while True:
        live = live_on(gateway)
        late = sorted(code for code, version in versions.items() if live.get(code) != version)
        if not late:
            break
        if time.monotonic() > deadline:
            message = f"{', '.join(late)}: the champion is not live after {patience:.0f} s"
            raise NerError(message, where=gateway, transient=True)
        time.sleep(2)
    for code, version in versions.items():
        announce(f"{code}: version {version} is live at {gateway}")
