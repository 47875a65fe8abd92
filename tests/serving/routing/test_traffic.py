"""The counts of live traffic: what is counted, where it adds up, and that no fault of it reaches a caller."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert, text

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.drift.sketch import Sketch, vocabulary
from multiner.serving.backends.backend import ServedModel
from multiner.serving.routing import traffic
from multiner.serving.routing.state_store import StateStore
from multiner.serving.routing.traffic import MOST_A_SECOND, TRAFFIC, Traffic, TrafficConfig, read_traffic

TODAY = datetime.now(UTC).date()
TYPES = {"en": ["PER", "LOC"], "ru": ["PER"]}
MODEL = ServedModel("en", "ner-en", "7", "unused")


def config(**settings: Any) -> TrafficConfig:
    usual: dict[str, Any] = {"prefix": "cpu/", "vocabulary": lambda model: None, "types": TYPES, "weeks": 8}
    return TrafficConfig(**usual | settings)


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(f"sqlite:///{tmp_path / 'state.db'}")


def read(store: StateStore, since: date = TODAY - timedelta(days=1)) -> dict[tuple[str, str, str], Sketch]:
    return asyncio.run(store.run(partial(read_traffic, prefix="cpu/", since=since)))


def test_what_a_gateway_answers_is_in_the_store_without_any_text(harness: Any, tmp_path: Path) -> None:
    state = StateStore(f"sqlite:///{tmp_path / 'state.db'}")
    known = vocabulary(["Ada sleeps"])

    async def main() -> None:
        gateway = harness(state=state, traffic=config(vocabulary=lambda model: known))
        async with gateway.client() as client:
            for texts in (["Ada sleeps."], ["Ada sleeps.", "Анна спит."]):
                answer = await client.post("/v1/entities", json={"text": texts})
                assert answer.status_code == 200
                await gateway.service.traffic.write()  # reads the vocabulary after the first text
            await client.post("/v1/entities", json={"text": "Zyxwvut sleeps."})

    asyncio.run(main())
    sketches = read(state)
    assert {key[:2] for key in sketches} == {("en", "1"), ("ru", "1")}
    by_language = {language: sketch for (language, _, _), sketch in sketches.items()}
    assert (by_language["en"].texts, by_language["ru"].texts) == (3, 1)
    assert sum(by_language["en"].histogram("entities PER")) == pytest.approx(3)
    assert sum(by_language["en"].histogram("unknown")) == pytest.approx(2), "once the vocabulary was read"
    assert by_language["en"].histogram("unknown")[5] == 1
    assert sum(by_language["ru"].histogram("script")) == 1
    assert "Zyxwvut" not in str((tmp_path / "state.db").read_bytes())


def test_the_counts_of_several_gateways_and_times_add_up(store: StateStore) -> None:
    async def main() -> None:
        for _ in range(2):
            gateway = Traffic(config(), store)
            for _ in range(3):
                gateway.add(MODEL, ["Ada sleeps."], [[]])
                await gateway.write()
                await gateway.write()

    asyncio.run(main())
    ((key, sketch),) = read(store).items()
    assert key == ("en", "7", TODAY.isoformat())
    assert sketch.texts == 6
    assert sum(sketch.histogram("sentence")) == 6


def test_only_some_texts_a_second_are_looked_at_but_all_are_counted(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([100.0, 100.9, 101.0])
    monkeypatch.setattr(traffic, "time", SimpleNamespace(monotonic=lambda: next(seconds)))

    async def main() -> None:
        gateway = Traffic(config(), store)
        for _ in range(3):
            gateway.add(MODEL, ["Ada"] * 15, [[]] * 15)
        await gateway.write()

    asyncio.run(main())
    (sketch,) = read(store).values()
    assert sketch.texts == 45
    assert sum(sketch.histogram("length")) == MOST_A_SECOND + 15


def test_old_days_are_dropped(store: StateStore) -> None:
    def old(connection: Any) -> None:
        for weeks in (1, 2, 3):
            day = (TODAY - timedelta(weeks=weeks)).isoformat()
            connection.execute(
                insert(TRAFFIC).values(language="cpu/en", version="6", day=day, measure="texts", bin=0, weight=4)
            )

    async def main() -> None:
        await store.run(old)
        gateway = Traffic(config(weeks=2), store)
        gateway.add(MODEL, ["Ada"], [[]])
        await gateway.write()

    asyncio.run(main())
    days = {day for _, version, day in read(store, TODAY - timedelta(weeks=9)) if version == "6"}
    assert days == {(TODAY - timedelta(weeks=weeks)).isoformat() for weeks in (1, 2)}


def test_what_cannot_be_written_is_written_later(store: StateStore, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        gateway = Traffic(config(), store)
        gateway.add(MODEL, ["Ada"], [[]])
        await store.run(lambda connection: connection.execute(text("DROP TABLE traffic")))
        for _ in range(3):
            await gateway.write()
        await store.run(lambda connection: TRAFFIC.create(connection))
        gateway.add(MODEL, ["Boris"], [[]])
        await gateway.write()

    asyncio.run(main())
    (sketch,) = read(store).values()
    assert sketch.texts == 2
    events = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert events == ["counts of traffic not written"], "once, not every minute"


def test_no_fault_in_counting_reaches_a_caller(
    harness: Any, store: StateStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("Ada sleeps.")

    def no_vocabulary(model: ServedModel) -> None:
        raise NerError("the registry is away")

    monkeypatch.setattr(traffic, "add_text", fail)

    async def main() -> list[int]:
        gateway = harness(state=store, traffic=config(vocabulary=no_vocabulary))
        async with gateway.client() as client:
            codes = []
            for _ in range(2):
                codes.append((await client.post("/v1/entities", json={"text": "Ada sleeps."})).status_code)
                await gateway.service.traffic.write()
        return codes

    assert asyncio.run(main()) == [200, 200]
    events = [(record.message, record.fields["error"]) for record in caplog.records if record.levelno == logging.ERROR]
    assert ("traffic not counted", "ValueError") in events
    assert ("no vocabulary of the training texts", "the registry is away") in events
    assert "Ada" not in str(events), "a message may quote a text"
