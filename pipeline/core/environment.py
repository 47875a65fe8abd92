"""Environment of every process the project starts: nothing phones home, loopback is reached without a proxy."""

from __future__ import annotations

import os
from collections.abc import Mapping

from multiner.pipeline.core.errors import NerError

THREADS = "NER_THREADS"
SECRETS = ("NER_AIRFLOW_PASSWORD", "NER_AIRFLOW_PASSWORD_FILE")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # Waiting threads sleep: spinning ones take the cores from whatever else runs beside them.
    "OMP_WAIT_POLICY": "PASSIVE",
}


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def no_proxy(*hosts: str) -> dict[str, str]:
    """``NO_PROXY``, in both spellings, with this machine's loopback addresses and ``hosts`` added to what it holds.

    The parts of the system call each other on loopback; a proxy for the network beyond knows nothing of these.
    """
    given = ",".join(os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    names = dict.fromkeys(name.strip() for name in [*given.split(","), *LOOPBACK, *hosts])
    value = "*" if "*" in names else ",".join(filter(None, names))  # beside other names, some programs ignore a "*"
    return {"no_proxy": value, "NO_PROXY": value}


def quiet_environment(**more: str) -> dict[str, str]:
    """The current environment with telemetry off, no proxy for loopback, waiting threads asleep, ``more`` on top."""
    return {**os.environ, **QUIET, **no_proxy(), **more}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for what needs no secret: models, trainings, others' servers."""
    return {name: value for name, value in environment.items() if name not in SECRETS}


def thread_count() -> int:
    """CPU threads to use: what ``NER_THREADS`` says, else the cores this process may run on.

    Raises:
        NerError: ``NER_THREADS`` is no positive number.
    """
    named = os.environ.get(THREADS)
    if not named:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not named.isdecimal() or not int(named):
        raise NerError(f"no number of threads: {named!r}", where=f"${THREADS}", remedy="Set it to 1 or more.")
    return int(named)


def silence_telemetry() -> None:
    """Switch telemetry off, reach loopback without a proxy, let waiting threads sleep: here and in what is started."""
    os.environ.update(QUIET | no_proxy())
