"""Our model as the rivals serve it: the same files, code and answers as behind the gateway."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from multiner.pipeline.inference.answers import answers
from multiner.pipeline.inference.documents import load_ensemble

BATCH = 16
"""Requests that a call answers at most, as the gateway's micro-batches."""
WAIT_SECONDS = 0.001
"""The least wait for a batch to fill that all rivals accept; the gateway waits for none."""


def load() -> Callable[[list[str]], list[dict[str, Any]]]:
    """What answers a batch of texts with the MLflow model in the folder ``NER_MODEL``."""
    ensemble = load_ensemble(Path(os.environ["NER_MODEL"]) / "artifacts")
    return lambda texts: answers(ensemble, texts)
