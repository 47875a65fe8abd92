"""The canary of a language in the shared store: which version is tried out, its counts over all gateways, its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, Connection, Double, Row, String, Table, delete, select, update

from multiner.serving.routing.canary.rule import CanaryCounts
from multiner.serving.routing.state_store import METADATA, StateStore, clock, insert_new

COUNTS = [each.name for each in fields(CanaryCounts)]
CanaryState = Literal["running", "passed", "failed", "rolled_back", "ended"]
TABLE = Table(
    "canaries",
    METADATA,
    Column("language", String, primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the latest canary
    Column("adopted", String),
    Column("version", String),
    Column("against", String),
    Column("state", String),
    Column("reason", String),
    Column("begun", Double),
    Column("ended", Double),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
)


@dataclass(frozen=True, slots=True)
class CanaryRecord:
    """The latest canary of a language, and the version ``adopted``, which all other calls go to.

    ``version`` was tried out beside ``against``. ``state`` is ``running``, ``passed``, ``failed`` (the registry's
    alias is still to be moved back), ``rolled_back``, or ``ended`` (by an operator, or another champion). Times are
    seconds since 1970; ``age`` is the canary's.
    """

    number: int = 0
    adopted: str | None = None
    version: str | None = None
    against: str | None = None
    state: CanaryState | None = None
    reason: str | None = None
    begun: float | None = None
    ended: float | None = None
    age: float = 0.0
    counts: CanaryCounts = field(default_factory=CanaryCounts)

    def is_of(self, version: str) -> bool:
        """Whether this canary tries ``version`` out, or has failed and is to be rolled back."""
        return self.version == version and self.state in ("running", "failed")


class CanaryRecords:
    """The records of one language; a change is refused if another gateway has ended that canary meanwhile.

    All methods raise StateUnavailable if the store fails.

    Args:
        store: the shared store.
        language: the key of the record.
    """

    def __init__(self, store: StateStore, language: str) -> None:
        self._store, self._language = store, language

    async def latest(self) -> CanaryRecord:
        """The record as it is."""
        return await self._store.run(self._read)

    async def adopt(self, record: CanaryRecord, version: str, reason: str) -> None:
        """Give all calls to a version; a canary that runs ends for this reason."""

        def change(connection: Connection) -> None:
            self._insert(connection)
            connection.execute(self._of(record).values(adopted=version))
            failed = self._of(record).where(TABLE.c.state == "failed", TABLE.c.version != version)
            connection.execute(failed.values(state="rolled_back"))  # the gateway ended before it could note that
            running = self._of(record).where(TABLE.c.state.in_(("running", "failed")))
            connection.execute(running.values(state="ended", reason=reason, ended=clock(connection)))

        await self._store.run(change)

    async def begin(self, record: CanaryRecord, version: str) -> CanaryRecord:
        """Begin the canary of a version, unless another gateway has; returns the record."""

        def change(connection: Connection) -> CanaryRecord:
            new = {"number": record.number + 1, "version": version, "state": "running", "begun": clock(connection)}
            new |= {"against": record.adopted, "reason": None, "ended": None} | asdict(CanaryCounts())
            connection.execute(self._of(record).values(new))
            return self._read(connection)

        return await self._store.run(change)

    async def add(self, record: CanaryRecord, counts: CanaryCounts) -> CanaryRecord:
        """Add the counts of this gateway, if the canary still runs; returns the record."""

        def change(connection: Connection) -> CanaryRecord:
            sums = {name: TABLE.c[name] + getattr(counts, name) for name in COUNTS}
            connection.execute(self._of(record).where(TABLE.c.state == "running").values(sums))
            return self._read(connection)

        return await self._store.run(change)

    async def end(self, record: CanaryRecord, state: CanaryState, reason: str, **values: Any) -> bool:
        """End the canary; False if it has ended already."""

        def change(connection: Connection) -> bool:
            running = self._of(record).where(TABLE.c.state == record.state)
            values["ended"] = record.ended or clock(connection)
            return connection.execute(running.values(state=state, reason=reason, **values)).rowcount == 1

        return await self._store.run(change)

    async def forget(self) -> None:
        """Remove the record: canaries are switched off, so that it will no longer be true."""
        await self._store.run(
            lambda connection: connection.execute(delete(TABLE).where(TABLE.c.language == self._language))
        )

    def _of(self, record: CanaryRecord) -> Any:
        return update(TABLE).where(TABLE.c.language == self._language, TABLE.c.number == record.number)

    def _insert(self, connection: Connection) -> None:
        insert_new(connection, TABLE, language=self._language, number=0, **asdict(CanaryCounts()))

    def _read(self, connection: Connection) -> CanaryRecord:
        row = connection.execute(select(TABLE).where(TABLE.c.language == self._language)).one_or_none()
        return _record(row, clock(connection)) if row else CanaryRecord()


def _record(row: Row[Any], now: float) -> CanaryRecord:
    values = row._asdict()
    del values["language"]
    counts = CanaryCounts(*(values.pop(name) for name in COUNTS))
    age = (values["ended"] or now) - values["begun"] if values["begun"] else 0.0
    return CanaryRecord(**values, age=age, counts=counts)
