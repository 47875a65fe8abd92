"""The operator's desk: carries out what the page and the API order, and knows how it goes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.serving import executors
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.airflow.run_tracker import RunTracker
from multiner.serving.http.problems import Problem, headline
from multiner.serving.operator import dag_runs
from multiner.serving.operator.actions import Action, ActionLog, Kind

if TYPE_CHECKING:
    from multiner.serving.operator.facts_reader import FactsReader
    from multiner.serving.routing.inference_service import InferenceService

log = logging.getLogger("serving")
LOOK_SECONDS = 1.0  # between two looks at the same DAG run, however many watch it
PATIENCE = 2.0  # seconds that a caller waits for what Airflow says of its runs
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator orders.

    ``language`` is None for what concerns all. With a rollback go ``champion``, the version that the operator took for
    the champion, and ``reason``, why, in a line.
    """

    kind: Kind
    language: str | None = None
    champion: str | None = None
    reason: str | None = None


class Desk:
    """Starts actions and follows them.

    Args:
        board: whose routes are switched.
        facts: are read anew after a switch.
    """

    def __init__(self, board: InferenceService, facts: FactsReader) -> None:
        self._board, self._facts = board, facts
        self._workspace = board.config.workspace
        self.log = ActionLog(self._workspace.paths.run / "actions.json" if self._workspace else None)
        self._airflow: AirflowClient | None = None
        self._asking = asyncio.Lock()
        self._trackers: dict[str, RunTracker] = {}  # by action, as the next two are
        self._looked: dict[str, float] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}  # under way
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def without_airflow(self) -> str | None:
        """Why no DAG can be started from here, whether or not an Airflow runs; None where one can."""
        problem = dag_runs.not_set_up(self._workspace) if self._workspace else None
        return problem.detail if problem else None

    async def close(self) -> None:
        """Stop; switches under way are broken off, DAG runs go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._airflow:
            self._airflow.close()

    async def start(self, order: Order, *, who: str, request_id: str) -> Action:
        """Set an action going, and return without waiting for its end; ``who`` and ``request_id`` are for the record.

        Raises:
            Problem: 409, something excludes it; 503, Airflow is needed and does not run.
        """
        if self._workspace is None:
            raise Problem(503, "no-workspace", "There is nothing to order here", "This gateway has no workspace.")
        await self.refresh()  # what has ended meanwhile excludes nothing
        action = self.log.begin(order.kind, order.language, who=who, request_id=request_id, reason=order.reason)
        try:
            if order.kind in ("validate", "retrain"):
                await self._start_dag(action)
            else:
                self._spawn(self._switch(action, order.champion))
        except Problem as problem:
            self.log.end(action, "failed", problem.detail)
            raise
        except BaseException as error:  # whatever it is, it must not keep others out
            self.log.end(action, "failed", _unexpected(error))
            raise
        finally:
            await self.log.save()
        return action

    async def refresh(self) -> None:
        """Look how the DAG runs of all unfinished actions stand; an Airflow that hangs is not waited for long."""
        actions = [action for action in self.log.running() if action.runs]
        for action in actions:
            due = time.monotonic() - self._looked.get(action.id, float("-inf")) >= LOOK_SECONDS
            if due and action.id not in self._looks:
                self._looked[action.id] = time.monotonic()
                self._looks[action.id] = look = self._spawn(self._look(action))
                look.add_done_callback(lambda _, id=action.id: self._looks.pop(id))
        if not self._looks:
            return
        done, _ = await asyncio.wait(self._looks.values(), timeout=PATIENCE)
        for look in done:
            look.result()
        for action in actions:
            if action.id in self._looks:
                action.message = "Airflow has not answered yet; what it runs goes on by itself."

    async def _look(self, action: Action) -> None:
        before = (action.state, action.message)
        tracker = self._trackers.setdefault(action.id, RunTracker(self._board.config.languages, action.runs))
        try:
            await self._ask(tracker.poll)
        except Problem:
            action.message = "Airflow does not answer now; what it runs goes on by itself."
            return
        action.runs = list(tracker.runs.values())
        state, message = dag_runs.verdict(tracker)
        if state != "running":
            del self._looked[action.id], self._trackers[action.id]
            self._facts.forget()
            self.log.end(action, state, message)
        action.message = message
        if (state, message) != before:
            await self.log.save()

    async def _start_dag(self, action: Action) -> None:
        dag = "data" if action.action == "validate" else f"retrain_{action.language}"
        note = f"started from the gateway's page (request {action.request_id})"
        action.runs = [await self._ask(lambda client: dag_runs.start(client, dag, f"operator__{action.id}", note))]
        action.message = "Waiting for Airflow to begin."

    async def _ask(self, question: Callable[[AirflowClient], T]) -> T:
        """What Airflow answers, asked in a thread by one at a time; problems where it does not."""

        def ask() -> T:
            if self._airflow is None:
                self._airflow = dag_runs.connect(self._workspace)
            return question(self._airflow)

        async with self._asking:
            try:
                return await executors.run(executors.AIRFLOW, ask)
            except (NerError, httpx.HTTPError, ValueError, LookupError, TypeError) as error:  # or its answer is no JSON
                if self._airflow:
                    self._airflow.close()
                    self._airflow = None  # its password may be another after a restart
                raise dag_runs.no_answer(error, self._workspace) from None

    async def _switch(self, action: Action, champion: str | None) -> None:
        language = action.language
        try:
            message = await (
                self._rollback(action, champion) if action.action == "rollback" else self._deploy(language)
            )
            self.log.end(action, "success", message)
        except NerError as error:
            remedy = f" {error.remedy}" if error.remedy else ""
            self.log.end(action, "failed", f"{headline(error)}.{remedy}")
        except asyncio.CancelledError:
            self.log.end(action, "failed", "The gateway was stopped meanwhile.")
            raise
        except Exception as error:
            log.exception("action failed", extra={"fields": {"id": action.id}})
            self.log.end(action, "failed", _unexpected(error))
        finally:
            self._facts.forget()
            await self.log.save()

    async def _deploy(self, language: str) -> str:
        """Bring the registry's champion live, as ``ner deploy`` does."""
        done = await self._board.reconcilers[language].reconcile(insist=True)
        if done == "no champion":
            raise NerError(f"{language} has no champion in the registry", remedy="Train and promote one first.")
        return f"Version {self._board.routes[language].describe()['version']} is live: {done}."

    async def _rollback(self, action: Action, champion: str | None) -> str:
        """Make the champion before champion again in the registry, then bring it live, as ``ner rollback`` does."""
        from multiner.pipeline import registry

        language, by = action.language, f"operator's desk ({action.who}), request {action.request_id}"
        version = await executors.run(
            executors.REGISTRY,
            registry.rollback,
            self._workspace,
            language,
            expected=champion,
            by=by,
            reason=action.reason,
        )
        try:
            return f"Version {version} is champion again. {await self._deploy(language)}"
        except NerError as error:
            raise NerError(
                f"version {version} is champion again in the registry, but does not come up: {headline(error)}",
                remedy="What was live before still answers.",
            ) from error

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _unexpected(error: BaseException) -> str:
    return f"Unexpected error ({type(error).__name__}); the gateway's log has more."
