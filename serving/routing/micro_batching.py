"""Micro-batches: short requests that wait for a model share a call, since a call costs more than its short texts.

A model gives a text the same answer alone and in a batch. A request that finds the model free is called at once;
nothing waits for a batch to fill. Large requests have calls of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from multiner.serving import tracing
from multiner.serving.answers import ModelFailed
from multiner.serving.backends.backend import Backend, ServedModel

if TYPE_CHECKING:
    from opentelemetry.trace import Link

TEXTS, CHARACTERS = 16, 4000  # of a batch, at most
Answer = tuple[ServedModel, list[dict[str, Any]], float]  # the last: seconds of the model's call
Ask = Callable[[Callable[[Backend], Coroutine[Any, Any, None]]], Coroutine[Any, Any, Any]]


@dataclass(eq=False, slots=True)
class Job:
    """A request's texts, its future answer, the turn whose batch it has joined, and its span, if it is traced."""

    texts: Sequence[str]
    answer: asyncio.Future[Answer]
    turn: Turn | None = None
    request: Link | None = field(default_factory=tracing.link)


@dataclass(eq=False, slots=True)
class Turn:
    """A place in the model's queue, and the batch of jobs that it calls the model with.

    One that has ``left`` takes no more jobs; its place may still come before its task is cancelled.
    """

    task: asyncio.Task[Any] | None = None
    jobs: list[Job] = field(default_factory=list)
    left: bool = False

    def leave(self) -> None:
        """Give the place up, unless somebody still waits for a job of its batch."""
        if self.task is not None and all(job.answer.done() for job in self.jobs):
            self.left = True
            self.task.cancel()


class MicroBatcher:
    """Calls a model with batches of the requests that wait.

    Each request takes its own place in the queue, so that limits, order and refusals are those of the queue. When a
    place's turn comes, its batch is the first job in line, and as many behind it as fit.

    Args:
        ask: takes a place in the model's queue and applies a function to the live backend.
        count: gets the number of texts of each call that was answered.
    """

    def __init__(self, ask: Ask, count: Callable[[int], None]) -> None:
        self._ask = ask
        self._count = count
        self._waiting: list[Job] = []

    async def answer(self, texts: Sequence[str]) -> Answer:
        """The live version, its answer to each text, and the seconds of its call.

        If the caller is cancelled while waiting, the model never sees the texts.

        Raises:
            NoModel, CallsFull, BackendGone, BackendTimeout, ModelFailed: as in :meth:`.model_router.ModelRouter.ask`.
        """
        job, turn = Job(texts, asyncio.get_running_loop().create_future()), Turn()
        self._waiting.append(job)
        turn.task = asyncio.create_task(self._ask(lambda backend: self._run(turn, backend)))
        turn.task.add_done_callback(lambda task: self._ended(task, turn, job))
        try:
            return await job.answer
        finally:
            if job in self._waiting:
                self._waiting.remove(job)
            for each in {turn, job.turn}:
                if each is not None:
                    each.leave()

    async def _run(self, turn: Turn, backend: Backend) -> None:
        if not turn.jobs and not turn.left:  # a turn with jobs is repeated with another backend
            self._fill(turn)
        jobs = [job for job in turn.jobs if not job.answer.done()]
        if not jobs:
            return
        try:
            await self._call(backend, jobs)
        except ModelFailed:
            if len(jobs) == 1:
                raise
            for job in jobs:  # only the request with the faulty text shall fail
                try:
                    await self._call(backend, [job])
                except ModelFailed as error:
                    _fail(job, error)

    def _fill(self, turn: Turn) -> None:
        """Move the first job in line, and those behind it that fit, to the turn."""
        texts = characters = 0
        for job in list(self._waiting):
            more, longer = texts + len(job.texts), characters + sum(map(len, job.texts))
            if not turn.jobs or (more <= TEXTS and longer <= CHARACTERS):
                texts, characters = more, longer
                self._waiting.remove(job)
                turn.jobs.append(job)
                job.turn = turn

    async def _call(self, backend: Backend, jobs: Sequence[Job]) -> None:
        start = time.perf_counter()
        texts = [text for job in jobs for text in job.texts]
        with tracing.span("batch", links=[job.request for job in jobs], texts=len(texts), requests=len(jobs)):
            answers = await backend.answer(texts)
        self._count(len(answers))
        at, seconds = 0, time.perf_counter() - start
        for job in jobs:
            if not job.answer.done():
                job.answer.set_result((backend.model, answers[at : at + len(job.texts)], seconds))
            at += len(job.texts)

    def _ended(self, task: asyncio.Task[Any], turn: Turn, own: Job) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        for job in turn.jobs or [job for job in self._waiting if job is own]:
            _fail(job, error)


def _fail(job: Job, error: BaseException) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)
