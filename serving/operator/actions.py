"""The actions that operators have ordered at any gateway: one of a kind at a time, the last ones listed."""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel
from sqlalchemy import Column, Connection, Double, String, Table, Text, delete, select, update

from multiner.serving.airflow.run_tracker import DagRun
from multiner.serving.http.problems import Problem
from multiner.serving.routing.state_store import METADATA, StateStore, clock, insert_new

log = logging.getLogger("serving")
LISTED = 50
LEASE_SECONDS = 30.0  # within which the gateway that carries an action out says that it still does
LAPSED = "The gateway ended meanwhile; what is live now stands above."
Kind = Literal["validate", "retrain", "deploy", "rollback"]
State = Literal["running", "success", "failed"]
TITLES = {"validate": "Validation", "retrain": "Retraining", "deploy": "Deployment", "rollback": "Rollback"}
TABLE = Table(
    "actions",
    METADATA,
    Column("id", String, primary_key=True),
    Column("begun", Double, nullable=False),
    Column("lane", String, unique=True),  # null: the action has ended
    Column("lease", Double),  # when an action counts as broken off; null: Airflow carries it out
    Column("value", Text, nullable=False),
)


class Action(BaseModel):
    """An order and what became of it; ``runs`` are the DAG run that it started and those that this set off."""

    id: str
    action: Kind
    language: str | None = None
    state: State = "running"
    started: str
    ended: str | None = None
    who: str
    request_id: str
    reason: str | None = None
    message: str = ""
    runs: list[DagRun] = []

    @property
    def lane(self) -> str:
        """What only one action at a time may use: the DAG, or the language's route."""
        name = {"validate": "data", "retrain": "retrain"}.get(self.action, "switch")
        return f"{name}_{self.language}" if self.language else name

    @property
    def title(self) -> str:
        """The action in words."""
        return f"{TITLES[self.action]} ({self.language})" if self.language else TITLES[self.action]

    def end(self, state: State, message: str) -> None:
        """Note how the action ended."""
        self.state, self.message, self.ended = state, message, _now()
        self.log_state()

    def log_state(self) -> None:
        """Tell the gateway's log how the action stands."""
        fields = self.model_dump(include={"id", "action", "language", "state", "who", "request_id"})
        log.info("action", extra={"fields": fields | {"outcome": self.message}})


class ActionLog:
    """The last actions of all gateways, in the shared store; all methods raise StateUnavailable if it fails."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def begin(
        self, kind: Kind, language: str | None, *, who: str, request_id: str, reason: str | None = None
    ) -> Action:
        """Add an action that begins; Problem 409 where an action that excludes it is under way at any gateway."""
        id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        action = Action(
            id=id, action=kind, language=language, started=_now(), who=who, request_id=request_id, reason=reason
        )

        def add(connection: Connection) -> Action | None:
            _end_lapsed(connection)
            now = clock(connection)
            row = {"id": id, "begun": now, "lane": action.lane, "lease": now + LEASE_SECONDS}
            while not insert_new(connection, TABLE, **row, value=action.model_dump_json()):
                other = select(TABLE.c.value).where(TABLE.c.lane == action.lane)
                if value := connection.execute(other).scalar_one_or_none():
                    return Action.model_validate_json(value)
            newest = select(TABLE.c.id).order_by(TABLE.c.begun.desc()).limit(LISTED).scalar_subquery()
            connection.execute(delete(TABLE).where(TABLE.c.lane.is_(None), TABLE.c.id.not_in(newest)))
            return None

        if other := await self._store.run(add):
            raise conflict(f"{other.title} runs since {other.started} (action {other.id}).")
        action.log_state()
        return action

    async def last(self) -> list[Action]:
        """The last actions, the newest first."""

        def read(connection: Connection) -> list[Action]:
            _end_lapsed(connection)
            values = connection.execute(select(TABLE.c.value).order_by(TABLE.c.begun.desc()).limit(LISTED)).scalars()
            return [Action.model_validate_json(value) for value in values]

        return await self._store.run(read)

    async def save(self, action: Action) -> None:
        """Write how far an action is, or how it ended; one that has ended meanwhile does not run again."""
        change = update(TABLE).where(TABLE.c.id == action.id).values(value=action.model_dump_json())
        if action.runs:  # Airflow carries them out, whatever becomes of this gateway
            change = change.values(lease=None)
        if action.state == "running":
            change = change.where(TABLE.c.lane.is_not(None))
        else:
            change = change.values(lane=None, lease=None)
        await self._store.run(lambda connection: connection.execute(change))

    async def renew(self, action: Action) -> None:
        """Say that this gateway still carries the action out."""

        def extend(connection: Connection) -> None:
            running = update(TABLE).where(TABLE.c.id == action.id, TABLE.c.lane.is_not(None))
            connection.execute(running.values(lease=clock(connection) + LEASE_SECONDS))

        await self._store.run(extend)


def find(actions: list[Action], id: str) -> Action:
    """The action with this id; Problem 404 where there is none."""
    action = next((action for action in actions if action.id == id), None)
    if action is None:
        raise Problem(404, "not-found", "Not Found", f"No such action among the last {LISTED}.")
    return action


def conflict(detail: str) -> Problem:
    """Something that runs already excludes the order."""
    return Problem(409, "running", "This is under way already", detail)


def _end_lapsed(connection: Connection) -> None:
    """End the actions of gateways that no longer renew their leases."""
    now = clock(connection)
    for id, value in connection.execute(select(TABLE.c.id, TABLE.c.value).where(TABLE.c.lease < now)).all():
        action = Action.model_validate_json(value)
        if action.state == "running":
            action.end("failed", LAPSED)
        change = update(TABLE).where(TABLE.c.id == id, TABLE.c.lease < now)
        connection.execute(change.values(lane=None, lease=None, value=action.model_dump_json()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
