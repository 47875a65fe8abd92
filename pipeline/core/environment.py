"""Environment of every process that the project starts: no telemetry, and no proxy for loopback."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

from multiner.pipeline.core.errors import NerError

THREADS = "NER_THREADS"
SECRETS = (
    "NER_AIRFLOW_PASSWORD",
    "NER_AIRFLOW_PASSWORD_FILE",
    "NER_GATEWAY_TOKEN_FILE",
    "NER_STATE_URL",
    "NER_STATE_URL_FILE",
)
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # Waiting threads sleep: spinning ones would take the cores from other processes.
    "OMP_WAIT_POLICY": "PASSIVE",
    "THP_MEM_ALLOC_ENABLE": "1",  # PyTorch's blocks of 2 MiB and more lie in huge pages
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of mallopt(3)
LARGE_BLOCK = 4 * 2**20  # bytes


def no_proxy(*hosts: str) -> dict[str, str]:
    """The current ``NO_PROXY``, in both spellings, with the loopback addresses and ``hosts`` added.

    The parts of the system call each other on loopback, which a proxy cannot reach.
    """
    current = ",".join(os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    names = dict.fromkeys(name.strip() for name in [*current.split(","), *LOOPBACK, *hosts])
    value = "*" if "*" in names else ",".join(filter(None, names))  # some programs ignore a "*" among other names
    return {"no_proxy": value, "NO_PROXY": value}


def quiet_environment(**more: str) -> dict[str, str]:
    """The current environment without telemetry and without a proxy for loopback; ``more`` overrides its values."""
    return {**os.environ, **QUIET, **no_proxy(), **more}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without our secrets, for processes that need none: models, trainings, third-party servers."""
    return {name: value for name, value in environment.items() if name not in SECRETS}


def thread_count() -> int:
    """The CPU threads to use: ``NER_THREADS``, which must be a positive number, else the cores this process may use."""
    setting = os.environ.get(THREADS)
    if not setting:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not setting.isdecimal() or not int(setting):
        raise NerError(f"not a number of threads: {setting!r}", where=f"${THREADS}", remedy="Set it to 1 or more.")
    return int(setting)


def map_large_blocks() -> None:
    """Let glibc map each block of 4 MiB and more by itself, so that it goes back to the system when it is freed.

    Otherwise a training leaves free blocks of ever more sizes in the heap: after some hundred steps a third of its time
    went into the search for one that fits. Elsewhere than with glibc this does nothing.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(MMAP_THRESHOLD, LARGE_BLOCK)


def silence_telemetry() -> None:
    """Set the variables of :func:`quiet_environment` in this process, and so in each process that it starts."""
    os.environ.update(QUIET | no_proxy())
