"""The commands ``ner operator``: who may give orders to the gateway, by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.extras import needs

if TYPE_CHECKING:
    from multiner.serving.operator.operators import Operators

T = TypeVar("T")


@click.group()
def operator() -> None:
    """Give operators tokens of their own.

    With a token an operator signs in on the page /models and uses /admin; the journal names the operator.
    """


@operator.command()
@click.argument("name")
@needs("serve")
def add(name: str) -> None:
    """Add an operator, and print the token.

    The token is shown only now: its hash alone is stored.
    """
    click.echo(_ask(lambda operators: operators.add(name)))
    click.echo(f"This is the token of {name}; it is not shown again.", err=True)


@operator.command("list")
@needs("serve")
def show() -> None:
    """List the operators, and when they were added."""
    for name, added in _ask(lambda operators: operators.all()).items():
        click.echo(f"{name}\t{datetime.fromtimestamp(added, UTC).isoformat(timespec='seconds')}")


@operator.command()
@click.argument("name")
@needs("serve")
def remove(name: str) -> None:
    """Remove an operator; the token and the sessions opened with it end at once."""
    _ask(lambda operators: operators.remove(name))
    click.echo(f"{name} is no operator any more")


def _ask(question: Callable[[Operators], Awaitable[T]]) -> T:
    """The answer of the store that the workspace's gateways share."""
    from multiner.serving.gateway.state import store_url
    from multiner.serving.operator.operators import Operators
    from multiner.serving.routing.state_store import StateStore

    store = StateStore(store_url(Workspace.load()))

    async def ask() -> T:
        return await question(Operators(store))

    try:
        return asyncio.run(ask())
    finally:
        store.close()
