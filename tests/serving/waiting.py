"""Waiting for what is to come, and for what must not: by what happens, not by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it does not come.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def settle(steps: int = 200) -> None:
    """Let everything go on that can without time passing: so many steps of the event loop."""
    for _ in range(steps):
        await asyncio.sleep(0)
