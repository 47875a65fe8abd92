"""The operator's desk: carries out the orders of the page and the API, and follows them to their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from multiner.pipeline.core.errors import NerError
from multiner.serving import executors
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.airflow.run_tracker import RunTracker
from multiner.serving.http.payload import RequestModel
from multiner.serving.http.problems import Problem, headline
from multiner.serving.operator import dag_runs
from multiner.serving.operator.actions import LEASE_SECONDS, Action, ActionLog, Kind
from multiner.serving.routing.state_store import StateStore, StateUnavailable

if TYPE_CHECKING:
    from multiner.serving.operator.facts_reader import FactsReader
    from multiner.serving.routing.inference_service import InferenceService

log = logging.getLogger("serving")
LOOK_SECONDS = 1.0  # between two looks at the same DAG run, however many watch it
PATIENCE = 2.0  # seconds that a caller waits for what Airflow says of its runs
T = TypeVar("T")


class Order(RequestModel, frozen=True):
    """An operator's order; a rollback may name the version that the operator took for the champion, and a reason."""

    action: Kind
    language: str | None = None
    champion: str | None = None
    reason: str | None = None


class Desk:
    """Starts actions and follows them; ``facts`` are read again after a switch."""

    def __init__(self, service: InferenceService, facts: FactsReader, store: StateStore) -> None:
        self._service, self._facts = service, facts
        self._workspace = service.config.workspace
        self._log = ActionLog(store)
        self._airflow: AirflowClient | None = None
        self._asking = asyncio.Lock()
        self._trackers: dict[str, RunTracker] = {}  # by action, as the next two are
        self._looked: dict[str, float] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}  # under way
        self._silent: set[str] = set()  # actions of which Airflow said nothing at the latest look
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def without_airflow(self) -> str | None:
        """Why no DAG can be started here even if an Airflow runs; None where one can."""
        problem = dag_runs.not_set_up(self._workspace)
        return problem.detail if problem else None

    async def close(self) -> None:
        """Stop; switches are broken off, DAG runs go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._airflow:
            self._airflow.close()

    async def start(self, order: Order, *, who: str, request_id: str) -> Action:
        """Start an action, not waiting for its end; Problem 409 where something excludes it, 503 without Airflow."""
        await self.actions()  # an action that has ended excludes nothing
        begin = self._log.begin(order.action, order.language, who=who, request_id=request_id, reason=order.reason)
        action = await begin
        try:
            if order.action in ("validate", "retrain"):
                with self._leased(action):
                    await self._start_dag(action)
                await self._log.save(action)
            else:
                self._spawn(self._switch(action, order.champion))
        except StateUnavailable:
            raise  # what has begun counts as broken off soon
        except BaseException as error:
            action.end("failed", error.detail if isinstance(error, Problem) else _unexpected(error))
            await self._log.save(action)
            raise
        return action

    async def actions(self) -> list[Action]:
        """The last actions, the newest first; waits ``PATIENCE`` seconds at most for what Airflow says of them."""
        actions = await self._log.last()
        for action in actions:
            if action.state != "running" or not action.runs:
                continue
            due = time.monotonic() - self._looked.get(action.id, float("-inf")) >= LOOK_SECONDS
            if due and action.id not in self._looks:
                self._looked[action.id] = time.monotonic()
                self._looks[action.id] = look = self._spawn(self._look(action))
                look.add_done_callback(partial(self._end_look, action.id))
        if not self._looks:
            return actions
        done, _ = await asyncio.wait(self._looks.values(), timeout=PATIENCE)
        for look in done:
            look.result()
        actions = await self._log.last()
        for action in actions:
            if action.id in self._looks:
                action.message = "Airflow has not answered yet; what it runs goes on by itself."
            elif action.id in self._silent:
                action.message = "Airflow does not answer now; what it runs goes on by itself."
        return actions

    def _end_look(self, id: str, _: asyncio.Task[None]) -> None:
        self._looks.pop(id)

    async def _look(self, action: Action) -> None:
        before = (action.state, action.message, action.runs)
        tracker = self._trackers.setdefault(action.id, RunTracker(self._service.config.languages, action.runs))
        for run in action.runs:  # another gateway may have seen more of them begin
            tracker.runs.setdefault(run.dag, run)
        self._silent.add(action.id)
        try:
            await self._ask(tracker.poll)
        except Problem:
            return
        self._silent.discard(action.id)
        action.runs = list(tracker.runs.values())
        state, message = dag_runs.verdict(tracker)
        if state != "running":
            del self._looked[action.id], self._trackers[action.id]
            self._facts.forget()
            action.end(state, message)
        action.message = message
        if (state, message, action.runs) != before:
            await self._log.save(action)

    async def _start_dag(self, action: Action) -> None:
        dag = "data" if action.action == "validate" else f"retrain_{action.language}"
        note = f"started from the gateway's page (request {action.request_id})"
        action.runs = [await self._ask(lambda client: dag_runs.start(client, dag, f"operator__{action.id}", note))]
        action.message = "Waiting for Airflow to begin."

    async def _ask(self, question: Callable[[AirflowClient], T]) -> T:
        """The answer of Airflow, asked in a thread, one question at a time; Problem 503 where it does not answer."""

        def ask() -> T:
            if self._airflow is None:
                self._airflow = dag_runs.connect(self._workspace)
            return question(self._airflow)

        async with self._asking:
            try:
                return await executors.run(executors.AIRFLOW, ask)
            except (NerError, httpx.HTTPError, ValueError, LookupError, TypeError) as error:  # the last: no such JSON
                if self._airflow:
                    self._airflow.close()
                    self._airflow = None  # after a restart its password may be another
                raise dag_runs.no_answer(error, self._workspace) from None

    async def _switch(self, action: Action, champion: str | None) -> None:
        language = action.language
        try:
            assert language is not None  # an order to switch names one
            is_rollback = action.action == "rollback"
            work = self._rollback(action, language, champion) if is_rollback else self._deploy(language)
            with self._leased(action):
                action.end("success", await work)
        except NerError as error:
            remedy = f" {error.remedy}" if error.remedy else ""
            action.end("failed", f"{headline(error)}.{remedy}")
        except asyncio.CancelledError:
            action.end("failed", "The gateway was stopped meanwhile.")
            raise
        except Exception as error:
            log.exception("action failed", extra={"fields": {"id": action.id}})
            action.end("failed", _unexpected(error))
        finally:
            self._facts.forget()
            try:
                await self._log.save(action)
            except StateUnavailable as error:
                log.error("an action's end is not on record", extra={"fields": {"id": action.id, "error": str(error)}})

    @contextlib.contextmanager
    def _leased(self, action: Action) -> Iterator[None]:
        """Renew the action's lease meanwhile."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_SECONDS / 3)
                with contextlib.suppress(StateUnavailable):  # one of the next may come in time
                    await self._log.renew(action)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()

    async def _deploy(self, language: str) -> str:
        """Bring the registry's champion live, as ``ner deploy`` does."""
        outcome = await self._service.reconcilers[language].reconcile(insist=True)
        if outcome == "no champion":
            raise NerError(f"{language} has no champion in the registry", remedy="Train and promote one first.")
        return f"Version {self._service.routes[language].describe()['version']} is live: {outcome}."

    async def _rollback(self, action: Action, language: str, champion: str | None) -> str:
        """Make the previous champion champion again in the registry, then bring it live, as ``ner rollback`` does."""
        from multiner.pipeline import registry
        from multiner.pipeline.registry.announcements import announce_rollback

        by = f"operator's desk ({action.who}), request {action.request_id}"
        rollback = partial(registry.rollback, self._workspace, language, expected=champion, by=by, reason=action.reason)
        version = await executors.run(executors.REGISTRY, rollback)
        executors.NOTICES.submit(announce_rollback, self._workspace, language, version, action.reason)
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
