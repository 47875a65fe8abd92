"""Clients of a gateway that ask texts of unheard-of words, in a process of their own, for a fixed time.

python benchmarks/strangers.py URL CLIENTS RATE SECONDS SEED COUNTS.json LANGUAGE…
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from clients import body
from texts import invented

from multiner.pipeline.core.files import write_json


async def ask(
    url: str, clients: int, rate: float, seconds: float, seed: int, languages: Sequence[str]
) -> dict[str, Any]:
    """How many texts were answered, of how many characters, and how often something else came, by kind.

    Args:
        url: of the gateway's predictions.
        clients: that ask at once.
        rate: texts a second of all clients together, at most; 0: each client asks again as soon as it is answered.
        seconds: how long they ask.
        seed: of the texts.
        languages: of the texts.
    """
    texts, begin = invented(seed), time.monotonic()
    end, turns = begin + seconds, count()
    done, failures = Counter(answered=0, characters=0), Counter()

    async def one(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            language, text = next(texts)
            if language not in languages:
                continue
            if rate:
                await asyncio.sleep(max(0.0, begin + next(turns) / rate - time.monotonic()))
            try:
                response = await client.post(url, content=body("gateway", language, text))
            except httpx.HTTPError as error:
                failures[type(error).__name__] += 1
                continue
            if response.status_code == 200:
                done.update(answered=1, characters=len(text))
            else:
                failures[str(response.status_code)] += 1

    async with httpx.AsyncClient(timeout=120, trust_env=False, headers={"Content-Type": "application/json"}) as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))
    return {**done, "failures": dict(failures)}


if __name__ == "__main__":
    url, clients, rate, seconds, seed, counts, *languages = sys.argv[1:]
    write_json(Path(counts), asyncio.run(ask(url, int(clients), float(rate), float(seconds), int(seed), languages)))
