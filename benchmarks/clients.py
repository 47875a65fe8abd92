"""Closed-loop clients in a process of their own: each sends its next request when the last one is answered.

A plan comes as JSON on standard input, the outcome goes as JSON to standard output; see :class:`Plan` and
:class:`Outcome`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from random import Random
from typing import Any

import httpx

Entities = list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What the clients do.

    Attributes:
        url: where they post to.
        protocol: ``gateway`` (``/v1/entities``), ``mlflow`` (``/invocations``), ``v2`` (Open Inference Protocol), or of
            the rivals' own adapters: ``text`` (one a request) or ``texts`` (a list).
        language: of the texts.
        texts: asked one a request, in a shuffled round that all clients share.
        clients: how many ask at once.
        seconds: that count, after ``warm_up`` seconds that do not.
        seed: of the shuffling.
        expected: the entities of each text; others are counted as different.
    """

    url: str
    protocol: str
    language: str
    texts: list[str]
    clients: int
    seconds: float
    warm_up: float = 2.0
    seed: int = 13
    expected: list[Entities] | None = None


@dataclass
class Outcome:
    """What came of it: milliseconds of each answered request, and what went wrong by kind.

    ``requests`` counts all, those before and after the time that counts too; ``wall_seconds`` and the clients' own
    ``cpu_seconds`` are from the first to the end of the last.
    """

    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    different: int = 0
    requests: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


def body(protocol: str, language: str, text: str) -> bytes:
    """A request for one text."""
    requests = {
        "gateway": {"text": text, "language": language},
        "mlflow": {"dataframe_split": {"columns": ["text"], "data": [[text]]}},
        "text": {"text": text},
        "texts": {"texts": [text]},
        "v2": {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]},
    }
    return json.dumps(requests[protocol]).encode()


def entities(protocol: str, answer: Any) -> Entities:
    """The entities of the one text of an answer."""
    if protocol == "v2":
        return json.loads(answer["outputs"][0]["data"][0])["entities"]
    rows = {"gateway": lambda: answer["results"], "mlflow": lambda: answer["predictions"], "text": lambda: [answer]}
    return rows.get(protocol, lambda: answer)()[0]["entities"]


def ask_alone(url: str, protocol: str, language: str, texts: Sequence[str]) -> Iterator[Entities]:
    """The entities of each text, asked one after the other with nothing beside it.

    Raises:
        httpx.HTTPError: no answer, or a status of failure.
    """
    with httpx.Client(timeout=120, trust_env=False, headers={"Content-Type": "application/json"}) as client:
        for text in texts:
            response = client.post(url, content=body(protocol, language, text)).raise_for_status()
            yield entities(protocol, response.json())


async def drive(plan: Plan) -> Outcome:
    """Run the plan."""
    order = list(range(len(plan.texts)))
    Random(plan.seed).shuffle(order)
    numbers, bodies = cycle(order), [body(plan.protocol, plan.language, text) for text in plan.texts]
    outcome, failures = Outcome(), Counter()
    limits = httpx.Limits(max_connections=plan.clients, max_keepalive_connections=plan.clients)

    async def ask(client: httpx.AsyncClient, begin: float) -> None:
        end = begin + plan.seconds
        while (sent := time.perf_counter()) < end:
            number = next(numbers)
            try:
                response = await client.post(plan.url, content=bodies[number])
                problem = "" if response.status_code == 200 else str(response.status_code)
            except httpx.HTTPError as error:
                problem = type(error).__name__
            done = time.perf_counter()
            outcome.requests += 1
            if not begin <= done <= end:
                continue
            if problem:
                failures[problem] += 1
                continue
            outcome.milliseconds.append(1000 * (done - sent))
            if plan.expected is not None:
                outcome.different += entities(plan.protocol, response.json()) != plan.expected[number]

    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient(timeout=120, trust_env=False, limits=limits, headers=headers) as client:
        first, cpu = time.perf_counter(), time.process_time()
        begin = first + plan.warm_up  # the client's own start counts for nothing
        await asyncio.gather(*(ask(client, begin) for _ in range(plan.clients)))
        outcome.wall_seconds, outcome.cpu_seconds = time.perf_counter() - first, time.process_time() - cpu
    outcome.seconds, outcome.failures = plan.seconds, dict(failures)
    return outcome


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(drive(Plan(**json.load(sys.stdin))))), sys.stdout)
