"""Clients of a gateway that ask texts of unheard-of words, in a process of their own, for a fixed time.

python benchmarks/strangers.py URL CLIENTS SECONDS SEED COUNTS.json LANGUAGE…
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from clients import body
from texts import invented

from multiner.pipeline.core.files import write_json


async def ask(url: str, clients: int, seconds: float, seed: int, languages: Sequence[str]) -> dict[str, Any]:
    """How many texts were answered, of how many characters, and how often something else came, by kind."""
    texts, end = invented(seed), time.monotonic() + seconds
    done, failures = Counter(answered=0, characters=0), Counter()

    async def one(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            language, text = next(texts)
            if language not in languages:
                continue
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
    url, clients, seconds, seed, counts, *languages = sys.argv[1:]
    write_json(Path(counts), asyncio.run(ask(url, int(clients), float(seconds), int(seed), languages)))
