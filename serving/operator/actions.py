"""The actions that operators have ordered: one of a kind at a time, on disk, the last ones listed."""

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
from multiner.serving.airflow.run_tracker import DagRun
from multiner.serving.http.problems import Problem

log = logging.getLogger("serving")
LISTED = 50
Kind = Literal["validate", "retrain", "deploy", "rollback"]
State = Literal["running", "success", "failed"]
TITLES = {"validate": "Validation", "retrain": "Retraining", "deploy": "Deployment", "rollback": "Rollback"}


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


class ActionLog:
    """The last actions, the newest first; they are stored in ``file``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writing = asyncio.Lock()
        self.actions = _read(file)

    def begin(
        self, kind: Kind, language: str | None, *, who: str, request_id: str, reason: str | None = None
    ) -> Action:
        """Add an action that begins; Problem 409 where an action that excludes it is under way."""
        id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        action = Action(
            id=id, action=kind, language=language, started=_now(), who=who, request_id=request_id, reason=reason
        )
        if other := next((each for each in self.running() if each.lane == action.lane), None):
            raise conflict(f"{other.title} runs since {other.started} (action {other.id}).")
        self.actions = [action, *self.actions][:LISTED]
        self._log(action)
        return action

    def running(self) -> list[Action]:
        """The actions that have not ended."""
        return [action for action in self.actions if action.state == "running"]

    def find(self, id: str) -> Action:
        """The action with this id; Problem 404 where there is none."""
        action = next((action for action in self.actions if action.id == id), None)
        if action is None:
            raise Problem(404, "not-found", "Not Found", f"No such action among the last {LISTED}.")
        return action

    def end(self, action: Action, state: State, message: str) -> None:
        """Note how an action ended."""
        action.state, action.message, action.ended = state, message, _now()
        self._log(action)

    async def save(self) -> None:
        """Write all actions to the file."""
        async with self._writing:
            value = [action.model_dump(mode="json") for action in self.actions]
            await executors.run(executors.FILES, write_json, self._file, value)

    def _log(self, action: Action) -> None:
        fields = action.model_dump(include={"id", "action", "language", "state", "who", "request_id"})
        log.info("action", extra={"fields": fields | {"outcome": action.message}})


def conflict(detail: str) -> Problem:
    """Something that runs already excludes the order."""
    return Problem(409, "running", "This is under way already", detail)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(file: Path) -> list[Action]:
    """The actions that an earlier process has written; its switches count as broken off, its DAG runs go on."""
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
