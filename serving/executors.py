"""Threads for what would block the event loop: a few for each kind of work, so that one that hangs holds up no other.

asyncio's own executor is shared by all that runs, and left to what asyncio itself does there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

# what computes takes turns, which leaves the event loop most of the interpreter's time
PLANNING = ThreadPoolExecutor(1, "planning")
COMPARING = ThreadPoolExecutor(1, "comparing")
REGISTRY = ThreadPoolExecutor(4, "registry")  # aliases and versions: the reconcilers' looks, and operators' orders
FACTS = ThreadPoolExecutor(2, "facts")
AIRFLOW = ThreadPoolExecutor(1, "airflow")
FILES = ThreadPoolExecutor(2, "files")  # actions on record, the review queue, logs


async def run(executor: Executor, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """What ``function`` returns, called in one of the executor's threads.

    A caller that is cancelled while its call waits for a thread is forgotten; a call that has begun goes on to its end.
    """
    return await asyncio.get_running_loop().run_in_executor(executor, partial(function, *arguments, **named))
