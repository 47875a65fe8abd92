"""The operators by name, each with a token of their own, valid at all gateways that share the store."""

from __future__ import annotations

import hashlib
import re
import secrets
import time

from sqlalchemy import Column, Connection, Double, String, Table, delete, select

from multiner.pipeline.core.errors import NerError
from multiner.serving.routing.state_store import METADATA, StateStore, clock, insert_new

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
SHARED = "token"  # in place of an operator's name: whoever has the gateway's own token
VALID_SECONDS = 1.0  # for which the operators are not read again, however many wrong tokens come
TABLE = Table(
    "operators",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("added", Double, nullable=False),
)


class Operators:
    """The operators, of whose tokens the store holds digests alone; all methods raise StateUnavailable if it fails."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._names: dict[str, str] = {}  # by digest
        self._due = float("-inf")  # when they are to be read again, in monotonic seconds

    async def add(self, name: str) -> str:
        """Add an operator, and return the token, which nobody can read later.

        Raises:
            NerError: the name has other characters, or there is such an operator.
        """
        if not NAME.fullmatch(name) or name == SHARED:
            raise NerError(
                f"{name!r} cannot be an operator's name",
                remedy="Give 1 to 40 letters, digits, dots, hyphens or underscores, such as anna.",
            )
        token = secrets.token_urlsafe(32)  # 256 random bits: a digest without salt or many rounds is safe

        def insert(connection: Connection) -> bool:
            return insert_new(connection, TABLE, name=name, digest=digest(token), added=clock(connection))

        if not await self._store.run(insert):
            remedy = f"For a new token remove the old one first: ner operator remove {name}"
            raise NerError(f"there is an operator {name} already", remedy=remedy)
        return token

    async def remove(self, name: str) -> None:
        """Remove an operator; the token and the sessions opened with it end. NerError if there is no such operator."""
        change = delete(TABLE).where(TABLE.c.name == name)
        if not await self._store.run(lambda connection: connection.execute(change).rowcount):
            raise NerError(f"there is no operator {name}", remedy="See: ner operator list")

    async def all(self) -> dict[str, float]:
        """When each operator was added, in seconds since 1970, by name."""
        query = select(TABLE.c.name, TABLE.c.added).order_by(TABLE.c.name)
        return dict(await self._store.run(lambda connection: [(*row,) for row in connection.execute(query)]))

    async def name_of(self, token: str) -> str | None:
        """Whose token this is; None if it is nobody's."""
        if time.monotonic() >= self._due:
            query = select(TABLE.c.digest, TABLE.c.name)
            self._names = dict(await self._store.run(lambda connection: [(*row,) for row in connection.execute(query)]))
            self._due = time.monotonic() + VALID_SECONDS
        return self._names.get(digest(token))


def digest(token: str) -> str:
    """The form in which the store holds a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
