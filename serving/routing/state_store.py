"""The state that all gateways of a deployment share: operators' orders and sessions, in one database.

SQLite serves the gateways of one host, PostgreSQL those of several. Live traffic never waits for the database.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, MetaData, Table, create_engine, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from multiner.pipeline.core.errors import NerError
from multiner.serving import executors

METADATA = MetaData()  # each module adds the tables that it uses
PATIENCE = 5  # seconds that a caller waits for the database
INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
T = TypeVar("T")


class StateUnavailable(NerError):
    """The database of the shared state fails or does not answer."""


def address_of(url: str) -> URL:
    """The address of the shared state, with the driver of the extra postgres unless it names another."""
    address = make_url(url)
    return address.set(drivername="postgresql+psycopg2") if address.drivername == "postgresql" else address


class StateStore:
    """A database; its tables are made when it is first used.

    Args:
        url: as SQLAlchemy takes it, of SQLite or PostgreSQL.

    Raises:
        NerError: the URL is none, or names another database or a driver that is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            address = address_of(url)
            if address.get_backend_name() not in INSERTS:
                raise NerError("the shared state needs SQLite or PostgreSQL", where="NER_STATE_URL")
            options: dict[str, Any] = {"timeout": PATIENCE}
            if address.get_backend_name() == "postgresql":
                limit = f"-c statement_timeout={1000 * PATIENCE}"
                options = {"connect_timeout": PATIENCE, "tcp_user_timeout": 1000 * PATIENCE, "options": limit}
            self._engine = create_engine(address, connect_args=options, pool_pre_ping=True)
        except (SQLAlchemyError, ValueError, ImportError) as error:
            remedy = "Give such as postgresql://user:password@host/database; its driver comes with the extra postgres."
            message = f"no usable address of a database ({type(error).__name__})"  # the URL may hold a password
            raise NerError(message, where="NER_STATE_URL", remedy=remedy) from None
        self._preparing, self._prepared = threading.Lock(), False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Call ``work`` in a thread, in one transaction.

        Raises:
            StateUnavailable: the database fails, or does not answer in time.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                return await executors.run(executors.STATE, self._run, work)
        except TimeoutError:
            raise StateUnavailable("the database of the shared state does not answer", transient=True) from None

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            self._prepare()
            with self._engine.begin() as connection:
                return work(connection)
        except (SQLAlchemyError, OSError) as error:
            reason = str(getattr(error, "orig", error)).strip().partition("\n")[0][:200]
            raise StateUnavailable(f"the database of the shared state fails: {reason}", transient=True) from error

    def _prepare(self) -> None:
        with self._preparing:
            if self._prepared:
                return
            if self._engine.dialect.name == "sqlite" and (file := self._engine.url.database):
                Path(file).parent.mkdir(parents=True, exist_ok=True)
            try:
                METADATA.create_all(self._engine)
            except DBAPIError:  # another gateway has just made the tables
                METADATA.create_all(self._engine)
            self._prepared = True

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def insert_new(connection: Connection, table: Table, **values: Any) -> bool:
    """Insert a row unless one excludes it; returns whether it was inserted."""
    insert = INSERTS[connection.dialect.name](table).values(values)
    return connection.execute(insert.on_conflict_do_nothing()).rowcount == 1


def clock(connection: Connection) -> float:
    """Seconds since 1970 by the database's clock, which is the same for all hosts."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
