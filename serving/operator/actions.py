"""What operators set going: one of a kind at a time, kept over restarts, the last ones to be looked up."""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from multiner.pipeline.core.files import read_json, write_json
from multiner.serving import executors
from multiner.serving.http.problems import Problem

log = logging.getLogger("serving")
KEPT = 50
Kind = Literal["validate", "retrain", "deploy", "rollback"]
TITLES = {"validate": "Validation", "retrain": "Retraining", "deploy": "Deployment", "rollback": "Rollback"}


class DagTask(BaseModel):
    """A task of a DAG run: ``state`` is Airflow's, or ``waiting``."""

    name: str
    state: str
    tries: int = 0
    seconds: float | None = None


class DagRun(BaseModel):
    """A run of a DAG; ``ended`` is when, as Airflow has it."""

    dag: str
    run: str
    state: str = "queued"
    ended: str | None = None
    tasks: list[DagTask] = []
    url: str | None = None

    @property
    def finished(self) -> bool:
        """Whether its state is final."""
        return self.state in ("success", "failed")


class Action(BaseModel):
    """An order and what became of it; ``runs`` are the DAG run it started and those that this set off in turn."""

    id: str
    action: Kind
    language: str | None = None
    state: Literal["running", "success", "failed"] = "running"
    started: str
    ended: str | None = None
    who: str
    request_id: str
    reason: str | None = None
    message: str = ""
    runs: list[DagRun] = []

    @property
    def lane(self) -> str:
        """What one at a time may use: the DAG, or the language's route."""
        name = {"validate": "data", "retrain": "retrain"}.get(self.action, "switch")
        return f"{name}_{self.language}" if self.language else name

    @property
    def title(self) -> str:
        """In words."""
        return f"{TITLES[self.action]} ({self.language})" if self.language else TITLES[self.action]


class ActionLog:
    """The last actions, the newest first.

    Args:
        file: where they are kept; None: in memory only.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._writing = asyncio.Lock()
        self.actions = _read(file) if file else []

    def begin(
        self, kind: Kind, language: str | None, *, who: str, request_id: str, reason: str | None = None
    ) -> Action:
        """Note that an action begins.

        Raises:
            Problem: 409, one that excludes it is under way.
        """
        id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        given = {"who": who, "request_id": request_id, "reason": reason}
        action = Action(id=id, action=kind, language=language, started=_now(), **given)
        if other := next((each for each in self.running() if each.lane == action.lane), None):
            raise conflict(f"{other.title} runs since {other.started} (action {other.id}).")
        self.actions = [action, *self.actions][:KEPT]
        self._tell(action)
        return action

    def running(self) -> list[Action]:
        """Those that have not ended."""
        return [action for action in self.actions if action.state == "running"]

    def find(self, id: str) -> Action:
        """An action.

        Raises:
            Problem: 404, there is none.
        """
        found = next((action for action in self.actions if action.id == id), None)
        if found is None:
            raise Problem(404, "not-found", "Not Found", f"No such action among the last {KEPT}.")
        return found

    def end(self, action: Action, state: Literal["success", "failed"], message: str) -> None:
        """Note how an action ended."""
        action.state, action.message, action.ended = state, message, _now()
        self._tell(action)

    async def save(self) -> None:
        """Put everything on disk."""
        if self._file:
            async with self._writing:
                value = [action.model_dump(mode="json") for action in self.actions]
                await executors.run(executors.FILES, write_json, self._file, value)

    def _tell(self, action: Action) -> None:
        fields = action.model_dump(include={"id", "action", "language", "state", "who", "request_id"})
        log.info("action", extra={"fields": fields | {"outcome": action.message}})


def conflict(detail: str) -> Problem:
    """Something that runs already excludes what was asked for."""
    return Problem(409, "running", "This is under way already", detail)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(file: Path) -> list[Action]:
    """What an earlier process left; what it had not ended itself counts as broken off, a DAG's run goes on."""
    try:
        actions = [Action.model_validate(value) for value in read_json(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, ValidationError):
        log.warning("the list of actions cannot be read and starts anew", extra={"fields": {"file": str(file)}})
        return []
    for action in actions:
        if action.state == "running" and not action.runs:
            action.state, action.ended = "failed", _now()
            action.message = "The gateway ended meanwhile; what is live now stands above."
    return actions
