"""Short requests that wait for a model together are asked together: a call costs more than the texts of a short one.

A model answers a text the same alone and among others, so only the time tells. What finds the model free is asked at
once; nothing is ever waited for. Large requests are asked alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from multiner.serving.answers import ModelFailed
from multiner.serving.backends.backend import Backend, ServedModel

TEXTS, CHARACTERS = 16, 4000  # in a call that is gathered, at most
Answer = tuple[ServedModel, list[dict[str, Any]], float]  # and the seconds that the model's call took
Ask = Callable[[Callable[[Backend], Coroutine[Any, Any, None]]], Coroutine[Any, Any, Any]]


@dataclass(eq=False, slots=True)
class Job:
    """A request's texts, and its answer to be; ``turn`` is what carries it, from when it is carried."""

    texts: Sequence[str]
    answer: asyncio.Future[Answer]
    turn: Turn | None = None


@dataclass(eq=False, slots=True)
class Turn:
    """A place in the model's queue, and the jobs that are asked when it comes.

    One that ``left`` takes no jobs any more: its place may come before its cancelled task learns of that.
    """

    task: asyncio.Task[Any] | None = None
    jobs: list[Job] = field(default_factory=list)
    left: bool = False

    def leave(self) -> None:
        """Give the place up, unless somebody still waits for what it carries."""
        if self.task is not None and all(job.answer.done() for job in self.jobs):
            self.left = True
            self.task.cancel()


class MicroBatcher:
    """Asks a model for requests, gathering those that wait.

    Each request takes a place of its own in the queue, so that limits, order and refusals are those of the queue.
    When a place's turn comes, it carries whatever is first in line by then, and as many behind it as fit.

    Args:
        ask: takes a place in the model's queue and calls what it is given with the live backend.
        called: told the number of texts of each call that was answered.
    """

    def __init__(self, ask: Ask, called: Callable[[int], None] = lambda texts: None) -> None:
        self._ask = ask
        self._called = called
        self._waiting: list[Job] = []

    async def answer(self, texts: Sequence[str]) -> Answer:
        """The live version, its answer to each text, and the seconds of its call.

        Who is cancelled while waiting is never asked.

        Raises:
            NoModel, CallsFull, BackendGone, BackendTimeout, ModelFailed: as in :meth:`.model_router.ModelRouter.ask`.
        """
        job, turn = Job(texts, asyncio.get_running_loop().create_future()), Turn()
        self._waiting.append(job)
        turn.task = asyncio.create_task(self._ask(lambda backend: self._carry(turn, backend)))
        turn.task.add_done_callback(lambda task: self._ended(task, turn, job))
        try:
            return await job.answer
        finally:
            if job in self._waiting:
                self._waiting.remove(job)
            for each in {turn, job.turn}:
                if each is not None:
                    each.leave()

    async def _carry(self, turn: Turn, backend: Backend) -> None:
        if not turn.jobs and not turn.left:  # else asked again, of another backend
            self._take(turn)
        jobs = [job for job in turn.jobs if not job.answer.done()]
        if not jobs:
            return
        try:
            await self._call(backend, jobs)
        except ModelFailed:
            if len(jobs) == 1:
                raise
            for job in jobs:  # only whose text it was is to bear it
                try:
                    await self._call(backend, [job])
                except ModelFailed as error:
                    _fail(job, error)

    def _take(self, turn: Turn) -> None:
        """Move the first in line, and those behind it that fit, to the turn."""
        texts = characters = 0
        for job in list(self._waiting):
            more, longer = texts + len(job.texts), characters + sum(map(len, job.texts))
            if not turn.jobs or (more <= TEXTS and longer <= CHARACTERS):
                texts, characters = more, longer
                self._waiting.remove(job)
                turn.jobs.append(job)
                job.turn = turn

    async def _call(self, backend: Backend, jobs: Sequence[Job]) -> None:
        begun = time.perf_counter()
        answers = await backend.answer([text for job in jobs for text in job.texts])
        self._called(len(answers))
        at, seconds = 0, time.perf_counter() - begun
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
