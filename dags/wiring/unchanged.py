"""Whether anything has changed since the last run, so that a run on schedule has something to do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import Asset

from multiner.pipeline.core.dvc_command import dvc
from wiring.assets import RAW_DATA, live


def live_since(events: Mapping[Asset, Sequence[Any]], data: str, languages: Iterable[str]) -> datetime | None:
    """When the last retraining on this version of the data was deployed in every language.

    Args:
        events: of the Assets ``ner-data`` and ``ner-live-…``, each the oldest first.
        data: DVC's hash of the data.
        languages: those that are retrained.

    Returns:
        None where other data was published last, or a language's retraining or promotion failed.
    """
    published = list(events[RAW_DATA])
    if not published or published[-1].extra.get("data") != data:
        return None
    latest = [list(events[live(language)])[-1:] for language in languages]
    moments = [event.timestamp for events_of in latest for event in events_of]
    if len(moments) < len(latest) or min(moments) < published[-1].timestamp:
        return None
    return max(moments)


def stages_up_to_date(root: Path) -> bool:
    """Whether DVC would run no stage: data, code and parameters are those of the outputs; False if DVC fails."""
    status = subprocess.run(dvc("status", "--json"), cwd=root, capture_output=True, text=True, check=False)
    return status.returncode == 0 and json.loads(status.stdout) == {}
