"""Threads for work that would block the event loop: a few for each kind, so that none waits for a kind that hangs.

asyncio's own executor is left to asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

# a single thread each: computing in turn leaves the event loop most of the interpreter's time
PLANNING = ThreadPoolExecutor(1, "planning")
LINKING = ThreadPoolExecutor(1, "linking")
COMPARING = ThreadPoolExecutor(1, "comparing")
REGISTRY = ThreadPoolExecutor(4, "registry")  # aliases and versions: reconcilers and operators' orders
FACTS = ThreadPoolExecutor(2, "facts")
AIRFLOW = ThreadPoolExecutor(1, "airflow")
STATE = ThreadPoolExecutor(4, "state")  # the database that gateways share
NOTICES = ThreadPoolExecutor(1, "notices")  # sent without waiting for their end
FILES = ThreadPoolExecutor(2, "files")  # the review queue, logs


async def run(executor: Executor, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call ``function`` in a thread of the executor.

    If the caller is cancelled, a call that waits for a thread is dropped; one that has begun goes on to its end.
    """
    return await asyncio.get_running_loop().run_in_executor(executor, partial(function, *arguments, **options))
