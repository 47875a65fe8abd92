"""Environment of every process the project starts: nothing phones home, and imports stay within the workspace."""

from __future__ import annotations

import os
from collections.abc import Mapping

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


def quiet_environment(**more: str) -> dict[str, str]:
    """The current environment with telemetry off, waiting threads asleep, and ``more`` on top."""
    return {**os.environ, **QUIET, **more}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for what needs no secret: models, trainings, others' servers."""
    return {name: value for name, value in environment.items() if name not in SECRETS}


def check_threads() -> None:
    """Refuse a ``NER_THREADS`` that is no number here, not after a model has been started with it.

    Raises:
        NerError: it is none.
    """
    if os.environ.get("NER_THREADS"):
        from multiner.pipeline.models.transformer.inference import thread_count

        thread_count()


def silence_telemetry() -> None:
    """Switch telemetry off, and let waiting threads sleep, for this process and those it starts."""
    os.environ.update(QUIET)
