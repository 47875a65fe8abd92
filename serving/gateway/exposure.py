"""The switch ``serving.expose``: a gateway that other machines reach by this name, through a proxy that adds TLS."""

from __future__ import annotations

import logging
import os
from ipaddress import ip_network

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving import addresses
from multiner.serving.http.request_guard import is_loopback
from multiner.serving.operator.operators import Operators
from multiner.serving.routing.state_store import StateStore, StateUnavailable

log = logging.getLogger("serving")


def listening_address(workspace: Workspace) -> tuple[str, int]:
    """Host and port of the gateway; on all addresses if it is exposed through a proxy on another machine.

    Raises:
        NerError: as :func:`.gateway_address`.
    """
    host, port = addresses.gateway_address(workspace)
    settings = workspace.params["serving"]
    proxies_elsewhere = not all(ip_network(proxy).is_loopback for proxy in settings["trusted_proxies"])
    if settings["expose"] and proxies_elsewhere and is_loopback(host) and not os.environ.get("NER_BIND"):
        return "0.0.0.0", port
    return host, port


async def require_safe(workspace: Workspace, store: StateStore) -> None:
    """Refuse to start a gateway that is exposed without a proxy or without operators.

    Raises:
        NerError: there is no proxy or no operator.
    """
    settings = workspace.params["serving"]
    if not settings["expose"]:
        return
    where = "params.yaml: serving.expose"
    if not settings["trusted_proxies"]:
        raise NerError(
            "the gateway is exposed, but no proxy that adds TLS is named: tokens would travel unencrypted",
            where=where,
            remedy="Name its address in serving.trusted_proxies (docs/operations/proxy.md), or set expose: null.",
        )
    try:
        operators = await Operators(store).all()
    except StateUnavailable as error:  # no token of an operator is right then, and texts are answered all the same
        log.warning("operators unknown", extra={"fields": {"error": str(error)}})
        return
    if not operators:
        raise NerError(
            "the gateway is exposed, but nobody could give it orders: there is no operator",
            where=where,
            remedy="Add one: ner operator add NAME",
        )
