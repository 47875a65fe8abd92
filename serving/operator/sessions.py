"""The sessions that operators have opened with a token, valid at all gateways that share store and token."""

from __future__ import annotations

import hmac
import secrets

from sqlalchemy import Column, Connection, Double, String, Table, delete, insert, outerjoin, select

from multiner.serving.operator.operators import SHARED
from multiner.serving.operator.operators import TABLE as OPERATORS
from multiner.serving.routing.state_store import METADATA, StateStore, clock

LIFETIME = 12 * 3600  # seconds
SESSIONS = 100  # at once; a further one ends the oldest
TABLE = Table(
    "operator_sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("ends", Double, nullable=False),
    Column("operator", String(40)),  # null: the gateway's token opened it
)


class Sessions:
    """Sessions, of which the store holds digests alone; those opened with another token are void.

    All methods raise StateUnavailable if the store fails.
    """

    def __init__(self, store: StateStore, token: bytes) -> None:
        self._store, self._token = store, token

    async def open(self, operator: str | None = None) -> str:
        """The secret of a new session, of an operator (None: of whoever has the gateway's token)."""
        secret = secrets.token_urlsafe(32)

        def add(connection: Connection) -> None:
            now = clock(connection)
            connection.execute(
                insert(TABLE).values(digest=self._digest(secret), ends=now + LIFETIME, operator=operator)
            )
            newest = select(TABLE.c.digest).order_by(TABLE.c.ends.desc()).limit(SESSIONS).scalar_subquery()
            connection.execute(delete(TABLE).where((TABLE.c.ends <= now) | TABLE.c.digest.not_in(newest)))

        await self._store.run(add)
        return secret

    async def holder(self, secret: str) -> str | None:
        """Whose session this is (``SHARED``: the gateway's token opened it); None if it has ended or expired.

        The session of an operator who was removed has ended.
        """
        names = outerjoin(TABLE, OPERATORS, TABLE.c.operator == OPERATORS.c.name)
        query = select(TABLE.c.ends, TABLE.c.operator, OPERATORS.c.name).select_from(names)

        def read(connection: Connection) -> str | None:
            row = connection.execute(query.where(TABLE.c.digest == self._digest(secret))).one_or_none()
            if row is None or row.ends <= clock(connection):
                return None
            return SHARED if row.operator is None else row.name

        return await self._store.run(read)

    async def end(self, secret: str) -> None:
        """End the session at all gateways."""
        change = delete(TABLE).where(TABLE.c.digest == self._digest(secret))
        await self._store.run(lambda connection: connection.execute(change))

    def _digest(self, secret: str) -> str:
        return hmac.digest(self._token, secret.encode("utf-8", "surrogatepass"), "sha256").hex()
