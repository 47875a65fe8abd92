"""The versions that gateways use: live, warm, or ordered by an operator."""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import http_address
from multiner.serving.gateway import state
from multiner.serving.routing.holds import HOLDS
from multiner.serving.routing.state_store import address_of
from multiner.serving.system import gateway_client


def versions_in_use(workspace: Workspace) -> dict[str, set[str]]:
    """The versions in use, by language.

    Raises:
        NerError: a gateway runs but does not answer, or the database of the operators' orders does not.
    """
    versions: dict[str, set[str]] = {}
    for language, version in [*_at_gateways(workspace), *_ordered(workspace)]:
        if version is not None:
            versions.setdefault(language, set()).add(str(version))
    return versions


def _at_gateways(workspace: Workspace) -> list[tuple[str, Any]]:
    own = state.read_state(workspace)
    addresses = [address for address in (own.url if own else None, http_address("NER_GATEWAY_URL")) if address]
    pairs = []
    for address in addresses:
        routes = gateway_client.routes_at(address)
        if not routes:
            raise NerError(
                "the gateway does not answer, so the versions in use are unknown", where=address, transient=True
            )
        pairs += [(code, route.get(key)) for code, route in routes.items() for key in ("version", "previous")]
    return pairs


def _ordered(workspace: Workspace) -> list[tuple[str, Any]]:
    url = state.store_url(workspace)
    if url == f"sqlite:///{workspace.paths.run / 'state.db'}" and not (workspace.paths.run / "state.db").is_file():
        return []
    try:
        engine = create_engine(address_of(url))
        with engine.connect() as connection:
            if not inspect(connection).has_table(HOLDS.name):
                return []
            rows = connection.execute(select(HOLDS.c.language, HOLDS.c.version, HOLDS.c.champion)).all()
        return [(row.language.rpartition("/")[2], version) for row in rows for version in (row.version, row.champion)]
    except SQLAlchemyError as error:
        message = f"the operators' orders cannot be read ({type(error).__name__}), so the versions in use are unknown"
        raise NerError(message, transient=True) from None
