"""Counts of live traffic for `ner drift`: a sketch for each language, model version and day, never a text.

No request waits for any of this: texts are counted once their answer was sent, a limited number each second, and
the counts go to the state store, where those of all gateways add up, every minute. What fails is logged and left out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Column, Connection, Float, Integer, String, Table, delete, select

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.drift.sketch import Sketch, add_entities, add_text, traits
from multiner.serving import executors
from multiner.serving.backends.backend import ServedModel
from multiner.serving.http.after_response import after_response
from multiner.serving.routing.state_store import INSERTS, METADATA, StateStore, StateUnavailable

log = logging.getLogger("serving")
TRAFFIC = Table(
    "traffic",
    METADATA,
    Column("language", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("day", String, primary_key=True),  # UTC, as 2026-01-31
    Column("measure", String, primary_key=True),
    Column("bin", Integer, primary_key=True),
    Column("weight", Float, nullable=False),
)
TEXTS = "texts"  # in place of a measure: the number of texts, in bin 0
MOST_A_SECOND = 20  # texts of a language that are counted, so that the gateway never spends much time on it
SECONDS = 60  # between writes
NOT_COUNTED, NOT_WRITTEN = "traffic not counted", "counts of traffic not written"
NO_VOCABULARY = "no vocabulary of the training texts"
REMEMBERED = 4  # model versions of a language whose vocabularies are kept


@dataclass(frozen=True, slots=True)
class TrafficConfig:
    """What is counted and for how long.

    ``prefix`` begins the languages' keys in the store. ``vocabulary`` gives the hashes of the words in a version's
    training texts, None where they are not known (blocking). Counts are kept for ``weeks``.
    """

    prefix: str
    vocabulary: Callable[[ServedModel], Set[int] | None]
    types: Mapping[str, Sequence[str]]
    weeks: int


class Traffic:
    """The counts of one gateway since they were last written.

    Args:
        config: what is counted.
        store: what all gateways share.
    """

    def __init__(self, config: TrafficConfig, store: StateStore) -> None:
        self._config, self._store = config, store
        self._sketches: dict[tuple[str, str, str], Sketch] = {}  # by language, version and day
        self._vocabularies: dict[ServedModel, Set[int] | None] = {}
        self._unread: set[ServedModel] = set()  # versions that have answered, whose vocabulary has not been read
        self._second: dict[str, tuple[int, int]] = {}  # by language: the current second, and its texts so far
        self._failures: dict[str, str] = {}  # the latest reason that was logged, by event

    def add(self, model: ServedModel, texts: Sequence[str], answers: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Count texts and the entities that a version has found in them, after the answer has been sent."""
        after_response(partial(self._add_safely, model, texts, answers))

    def _add_safely(self, model: ServedModel, texts: Sequence[str], answers: Sequence[Any]) -> None:
        try:
            self._add(model, texts, answers)
        except Exception as error:  # no fault in counting may reach a caller; its message may quote a text
            self._log_once(NOT_COUNTED, type(error).__name__)

    def _add(self, model: ServedModel, texts: Sequence[str], answers: Sequence[Any]) -> None:
        language, day = model.language, datetime.now(UTC).date().isoformat()
        sketch = self._sketches.setdefault((language, model.version, day), Sketch())
        sketch.texts += len(texts)
        if model not in self._vocabularies:
            self._unread.add(model)
        second = int(time.monotonic())
        at, number = self._second.get(language, (second, 0))
        room = MOST_A_SECOND - (number if at == second else 0)
        self._second[language] = second, MOST_A_SECOND - room + min(room, len(texts))
        for text, entities in zip(texts[:room], answers[:room], strict=True):
            sentences = add_text(sketch, text, self._vocabularies.get(model))
            add_entities(sketch, sentences, traits(entities), self._config.types.get(language, ()))

    async def follow(self) -> None:
        """Write the counts at intervals until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            try:
                await self.write()
            except Exception as error:  # of a damaged reference, for example; the next minute's counts are written
                self._log_once(NOT_WRITTEN, type(error).__name__)

    async def write(self) -> None:
        """Add the counts to those in the store, drop old ones there, and read the vocabularies of new versions."""
        sketches, self._sketches = self._sketches, {}
        if sketches:
            rows = [
                {"language": f"{self._config.prefix}{language}", "version": version, "day": day,
                 "measure": measure, "bin": index, "weight": weight}
                for (language, version, day), sketch in sketches.items()
                for (measure, index), weight in [((TEXTS, 0), float(sketch.texts)), *sketch.counts.items()]
            ]  # fmt: skip
            oldest = (datetime.now(UTC).date() - timedelta(weeks=self._config.weeks)).isoformat()
            try:
                await self._store.run(partial(_add_rows, rows=rows, oldest=oldest))
            except StateUnavailable as error:
                self._log_once(NOT_WRITTEN, str(error))
                for key, sketch in sketches.items():  # for the next time; their size is bounded
                    self._sketches.setdefault(key, Sketch()).merge(sketch)
            else:
                self._failures.pop(NOT_WRITTEN, None)
        for model in list(self._unread):
            await self._read_vocabulary(model)

    async def _read_vocabulary(self, model: ServedModel) -> None:
        self._unread.discard(model)
        try:
            words = await executors.run(executors.REGISTRY, self._config.vocabulary, model)
        except NerError as error:
            self._log_once(NO_VOCABULARY, str(error))
            if error.transient:
                return  # asked again after the next text of the version
            words = None
        self._vocabularies[model] = words
        while len(self._vocabularies) > REMEMBERED * max(1, len(self._config.types)):
            del self._vocabularies[next(iter(self._vocabularies))]

    def _log_once(self, event: str, reason: str) -> None:
        if self._failures.get(event) != reason:
            self._failures[event] = reason
            log.error(event, extra={"fields": {"error": reason}})


def _add_rows(connection: Connection, rows: list[dict[str, Any]], oldest: str) -> None:
    insert = INSERTS[connection.dialect.name](TRAFFIC)
    key = list(TRAFFIC.primary_key.columns)
    total = TRAFFIC.c.weight + insert.excluded.weight
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_={"weight": total}), rows)
    connection.execute(delete(TRAFFIC).where(TRAFFIC.c.day < oldest))


def read_traffic(connection: Connection, prefix: str, since: date) -> dict[tuple[str, str, str], Sketch]:
    """The sketches in the store from a day on, by language, version and day."""
    query = select(TRAFFIC).where(TRAFFIC.c.language.startswith(prefix, autoescape=True))
    sketches: dict[tuple[str, str, str], Sketch] = {}
    for language, version, day, measure, index, weight in connection.execute(
        query.where(TRAFFIC.c.day >= since.isoformat())
    ):
        sketch = sketches.setdefault((language.removeprefix(prefix), version, day), Sketch())
        if measure == TEXTS:
            sketch.texts += round(weight)
        else:
            sketch.counts[measure, index] += weight
    return sketches
