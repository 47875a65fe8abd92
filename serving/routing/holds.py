"""The latest order of an operator for a language: it holds at all gateways until the registry's champion changes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass

from sqlalchemy import BigInteger, Column, Connection, String, Table, select, update

from multiner.serving.routing.state_store import METADATA, StateStore, StateUnavailable, insert_new

log = logging.getLogger("serving")
HOLDS = Table(
    "holds",
    METADATA,
    Column("language", String, primary_key=True),
    Column("issued", BigInteger, nullable=False),  # the number of the latest order that began
    Column("number", BigInteger, nullable=False),  # the number of the latest order that was carried out
    Column("version", String),
    Column("champion", String),
)


@dataclass(frozen=True, slots=True)
class Hold:
    """An operator's order.

    ``number`` counts the orders for the language, ``version`` is the version ordered (None: follow the registry), and
    ``champion`` the registry's champion at that time (None: it had none).
    """

    number: int = 0
    version: str | None = None
    champion: str | None = None


class Holds:
    """The orders for a language in the shared store; an order never replaces one that began later.

    Args:
        store: the shared store.
        language: the key of the orders.
    """

    def __init__(self, store: StateStore, language: str) -> None:
        self._store, self._language = store, language
        self.own = Hold()  # the latest order that was carried out here
        self._latest = Hold()  # at the latest reading
        self._readable = True
        self._numbering = asyncio.Lock()  # orders get their numbers in the order in which they came

    async def latest(self) -> Hold:
        """The order that holds; the one read before if the store cannot be read."""
        columns = select(HOLDS.c.number, HOLDS.c.version, HOLDS.c.champion).where(HOLDS.c.language == self._language)
        try:
            row = await self._store.run(lambda connection: connection.execute(columns).one_or_none())
        except StateUnavailable as error:
            if self._readable:
                log.error("orders unreadable", extra={"fields": {"language": self._language, "error": str(error)}})
            self._readable = False
        else:
            self._latest, self._readable = Hold(*row) if row else Hold(), True
        return self._latest

    async def begin(self) -> int:
        """A number for a new order, higher than those of all orders before at all gateways.

        Raises:
            StateUnavailable: the store cannot be written.
        """

        def count(connection: Connection) -> int:
            insert_new(connection, HOLDS, language=self._language, issued=0, number=0)
            add = update(HOLDS).where(HOLDS.c.language == self._language).values(issued=HOLDS.c.issued + 1)
            return connection.execute(add.returning(HOLDS.c.issued)).scalar_one()

        async with self._numbering:
            return await self._store.run(count)

    async def carry_out(self, hold: Hold) -> bool:
        """Record an order that was carried out here, for all gateways; False if a later order is on record.

        Raises:
            StateUnavailable: the store cannot be written.
        """
        change = update(HOLDS).where(HOLDS.c.language == self._language, HOLDS.c.number < hold.number)
        change = change.values(asdict(hold))
        recorded = await self._store.run(lambda connection: connection.execute(change).rowcount == 1)
        if recorded:
            self.own = self._latest = hold
        return recorded

    async def end(self, hold: Hold) -> None:
        """Follow the registry again, unless a later order is on record; a store that fails is asked again later."""
        change = update(HOLDS).where(HOLDS.c.language == self._language, HOLDS.c.number == hold.number)
        change = change.values(version=None, champion=None)
        try:
            await self._store.run(lambda connection: connection.execute(change))
        except StateUnavailable:
            log.warning("the end of an order is not on record", extra={"fields": {"language": self._language}})
