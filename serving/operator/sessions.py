"""The sessions that operators have opened with the token, valid at all gateways that share store and token."""

from __future__ import annotations

import hmac
import secrets

from sqlalchemy import Column, Connection, Double, String, Table, delete, insert, select

from multiner.serving.routing.state_store import METADATA, StateStore, clock

LIFETIME = 12 * 3600  # seconds
SESSIONS = 100  # at once; a further one ends the oldest
TABLE = Table(
    "sessions", METADATA, Column("digest", String(64), primary_key=True), Column("ends", Double, nullable=False)
)


class Sessions:
    """Sessions, of which the store holds digests alone; those opened with another token are void.

    All methods raise StateUnavailable if the store fails.
    """

    def __init__(self, store: StateStore, token: bytes) -> None:
        self._store, self._token = store, token

    async def open(self) -> str:
        """The secret of a new session."""
        secret = secrets.token_urlsafe(32)

        def add(connection: Connection) -> None:
            now = clock(connection)
            connection.execute(insert(TABLE).values(digest=self._digest(secret), ends=now + LIFETIME))
            newest = select(TABLE.c.digest).order_by(TABLE.c.ends.desc()).limit(SESSIONS).scalar_subquery()
            connection.execute(delete(TABLE).where((TABLE.c.ends <= now) | TABLE.c.digest.not_in(newest)))

        await self._store.run(add)
        return secret

    async def is_open(self, secret: str) -> bool:
        """Whether the session has neither ended nor expired."""
        query = select(TABLE.c.ends).where(TABLE.c.digest == self._digest(secret))
        return await self._store.run(
            lambda connection: (connection.execute(query).scalar_one_or_none() or 0) > clock(connection)
        )

    async def end(self, secret: str) -> None:
        """End the session at all gateways."""
        change = delete(TABLE).where(TABLE.c.digest == self._digest(secret))
        await self._store.run(lambda connection: connection.execute(change))

    def _digest(self, secret: str) -> str:
        return hmac.digest(self._token, secret.encode("utf-8", "surrogatepass"), "sha256").hex()
