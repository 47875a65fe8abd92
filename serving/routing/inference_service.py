"""The inference service: texts in, entities out. The API and the page ask it; it asks the models of all languages."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.text.languages import AUTO, flags
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.serving import executors
from multiner.serving.backends.backend import Backend, ServedModel
from multiner.serving.http.entity_requests import Item
from multiner.serving.http.metrics import Metrics
from multiner.serving.http.problems import Problem
from multiner.serving.routing.config import GatewayConfig
from multiner.serving.routing.linked_names import add_names
from multiner.serving.routing.model_problems import as_problems
from multiner.serving.routing.parts import make_parts
from multiner.serving.routing.segmentation import ModelText, merge_answers, split_by_language
from multiner.serving.routing.state_store import StateUnavailable
from multiner.serving.routing.traffic import Traffic
from multiner.serving.routing.uncertain_answers import UncertainAnswers

T = TypeVar("T")
LONG = 10_000  # characters; a longer call is large


class InferenceService:
    """The models of all languages, with their queues, batches, shadows, canaries and reconcilers."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        parts = make_parts(config, self.metrics)
        self.routes, self.shadows, self.canaries = parts.routes, parts.shadows, parts.canaries
        self.reconcilers, self.second_version = parts.reconcilers, parts.second_version
        self._batchers, self._canary_records = parts.batchers, parts.canary_records
        self._uncertain = UncertainAnswers(config.uncertain) if config.uncertain else None
        self.traffic = Traffic(config.traffic, config.state) if config.traffic else None
        self._tasks: list[asyncio.Task] = []
        self.leaving = False  # the gateway is about to end: proxies are to send it nothing more

    def leave(self) -> None:
        """Be no longer ready; requests that still come are answered."""
        self.leaving = True

    def start(self) -> None:
        """Start to follow the registry for all languages, in the background."""
        seconds = self.config.reconcile_seconds
        self._tasks = [asyncio.create_task(each.follow(seconds)) for each in self.reconcilers.values()]
        if self.traffic:
            self._tasks.append(asyncio.create_task(self.traffic.follow()))
        if not self.canaries:
            self._tasks.append(asyncio.create_task(self._forget_canaries()))

    async def _forget_canaries(self) -> None:
        """Remove the records of canaries: from now on they do not follow what is live."""
        with contextlib.suppress(StateUnavailable):
            for records in self._canary_records.values():
                await records.forget()

    async def close(self) -> None:
        """End the reconcilers, shadows and routes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.traffic:
            await self.traffic.write()
        shadows, canaries, routes = self.shadows.values(), self.canaries.values(), self.routes.values()
        await asyncio.gather(
            self.second_version.close(),
            *(each.close() for each in shadows),
            *(each.close() for each in canaries),
            *(each.close() for each in routes),
        )

    async def deploy(self, language: str, version: str) -> str:
        """Bring a version live until the registry has another champion; returns as :meth:`ModelRouter.switch`.

        Raises:
            NerError: no such version, or it does not come up.
        """
        model = await executors.run(executors.REGISTRY, self.config.resolve, language, version)
        if model is None:
            raise NerError(f"the registry has no version {version} for {language!r}")
        return await self.reconcilers[language].deploy(model)

    async def answer(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        """As :meth:`answer_each`, but the first problem is raised.

        Raises:
            Problem: 409, 429, 502, 503 or 504.
        """
        results = []
        for answer in await self.answer_each(items):
            if isinstance(answer, Problem):
                raise answer
            results.append(answer)
        return results

    async def answer_each(self, items: Sequence[Item], *, patient: bool = False) -> list[dict[str, Any] | Problem]:
        """The result or the problem of each text, in order; all texts of a language go to its model in one call.

        Where the language is ``auto``, each model gets the sentences in its language (:mod:`.segmentation`).

        Args:
            items: the texts.
            patient: wait without limit for a place in the model's queue.
        """
        deadline = self._deadline(patient)
        try:
            plans = await self._plan(items, deadline)
        except Problem as problem:
            return [problem] * len(items)
        calls: dict[tuple[str, bool], dict[int, str]] = {}  # by language and wish for tokens: text by item
        for index, texts in enumerate(plans):
            for each in texts:
                calls.setdefault((each.language, items[index].tokens), {})[index] = each.text
        outcomes = await asyncio.gather(
            *(
                self._ask(language, list(texts.values()), tokens, patient, deadline)
                for (language, tokens), texts in calls.items()
            )
        )
        answers = {
            (index, language): answer
            for ((language, _), texts), outcome in zip(calls.items(), outcomes, strict=True)
            for index, answer in zip(texts, outcome, strict=True)
        }
        results = [
            self._result(item, texts, [answers[index, each.language] for each in texts])
            for index, (item, texts) in enumerate(zip(items, plans, strict=True))
        ]
        to_link = [
            result for item, result in zip(items, results, strict=True) if item.link and not isinstance(result, Problem)
        ]
        if to_link:
            try:
                await self._in_time(AUTO, add_names(to_link), deadline)
            except Problem as problem:
                return [problem] * len(items)
        return results

    def _deadline(self, patient: bool) -> float | None:
        """When a request that begins now must be answered, on the event loop's clock; None: at any time."""
        return None if patient else asyncio.get_running_loop().time() + self.config.limits.seconds

    async def _plan(self, items: Sequence[Item], deadline: float | None) -> list[list[ModelText]]:
        """As :meth:`_plans`, in a thread if it takes long, so that other requests go on.

        Raises:
            Problem: 504, it took too long.
        """
        if sum(len(item.text) for item in items) <= LONG:
            return self._plans(items)
        return await self._in_time(AUTO, executors.run(executors.PLANNING, self._plans, items), deadline)

    def _plans(self, items: Sequence[Item]) -> list[list[ModelText]]:
        """For each item the texts of the models."""
        return [split_by_language(item.text, item.language, self.config.languages) for item in items]

    async def _ask(
        self, language: str, texts: Sequence[str], tokens: bool, patient: bool, deadline: float | None
    ) -> list[tuple[ServedModel, dict[str, Any]] | Problem]:
        safe = [without_surrogates(text) for text in texts]

        async def answer(backend: Backend) -> tuple[list[dict[str, Any]], float]:
            start = time.perf_counter()
            return await backend.answer(safe, tokens=tokens), time.perf_counter() - start

        large, route = sum(map(len, safe)) > LONG, self.routes[language]

        async def by_live() -> tuple[ServedModel, tuple[list[dict[str, Any]], float]]:
            if patient or tokens or large:  # a stream's texts come in batches; the others fit no batch
                model, (answers, seconds) = await route.ask(answer, patient=patient, large=large)
                self.metrics.called(language, len(answers))
            else:
                model, answers, seconds = await self._batchers[language].answer(safe)
            return model, (answers, seconds)

        canary = self.canaries.get(language)
        work = canary.calls.call(answer, by_live, large=large) if canary else by_live()
        try:
            model, (answers, seconds) = await self._in_time(language, work, deadline)
        except Problem as problem:
            return [problem] * len(texts)
        entities = [answer["entities"] for answer in answers]
        if canary and route.canary and model == route.canary.model:
            self.metrics.called(language, len(answers))
            canary.calls.compare(safe, entities, seconds)
        elif language in self.shadows:
            self.shadows[language].offer(safe, entities, model.version, seconds)
        if self.traffic:
            self.traffic.add(model, safe, entities)
        if self._uncertain:
            self._uncertain.offer(model, safe, entities)
        self.metrics.answered(language, entities)
        return [(model, answer) for answer in answers]

    def _result(
        self, item: Item, texts: Sequence[ModelText], outcomes: Sequence[tuple[ServedModel, dict[str, Any]] | Problem]
    ) -> dict[str, Any] | Problem:
        """The result of a text; the problem if one of its models has not answered, never half a result."""
        models, answers = [], []
        for outcome in outcomes:
            if isinstance(outcome, Problem):
                return outcome
            model, answer = outcome
            models.append({"name": model.name, "version": model.version})
            answers.append(answer)
        try:
            with as_problems(texts[0].language):
                result = merge_answers(item.text, texts, answers, models)
        except Problem as problem:
            return problem
        result["entities"] = item.options.apply(item.text, result["entities"])
        if "tokens" in result:
            result["tokens"] = item.options.recount(item.text, result["tokens"])
        doubts = flags({each.language: each.text for each in texts}, self.config.languages)
        return result | ({"flags": doubts} if doubts else {})

    async def call(
        self, language: str, call: Callable[[Backend], Coroutine[Any, Any, T]], *, large: bool
    ) -> tuple[ServedModel, T]:
        """The version of a language that answers, and its answer to ``call``; the time limit includes waiting.

        Args:
            language: its code.
            call: calls a backend.
            large: as in :meth:`multiner.serving.routing.queue.CallQueue.run`.

        Raises:
            Problem: 429, 502, 503 or 504.
        """
        canary, by_live = self.canaries.get(language), partial(self.routes[language].ask, call, large=large)
        work = canary.calls.call(call, by_live, large=large) if canary else by_live()
        return await self._in_time(language, work, self._deadline(patient=False))

    async def _in_time(self, language: str, work: Awaitable[T], deadline: float | None) -> T:
        with as_problems(language):
            async with asyncio.timeout_at(deadline):
                return await work

    def models(self) -> list[dict[str, Any]]:
        """The model, the canary and the shadow of each language."""
        shadows = {code: shadow.describe() for code, shadow in self.shadows.items()}
        return [self.state_of(code) | {"shadow": shadows.get(code)} for code in self.routes]

    def state_of(self, language: str) -> dict[str, Any]:
        """The state of a language's model and of its latest canary."""
        canary = self.canaries.get(language)
        return self.routes[language].describe() | {"canary": canary.describe() if canary else None}

    def health(self) -> dict[str, Any]:
        """The overall status (``ok``, ``starting``, ``degraded``, ``down``) and that of each language."""
        states = [route.state for route in self.routes.values()]
        if all(state in ("live", "unloaded") for state in states):
            status = "ok"
        elif "starting" in states:
            status = "starting"
        else:
            status = "degraded" if any(route.ready for route in self.routes.values()) else "down"
        return {"status": status, "languages": {code: self.state_of(code) for code in self.routes}}
