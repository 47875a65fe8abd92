"""What tests of the whole system share: texts to ask with what any model finds in them, and waiting."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXTS = {"en": "Angela Merkel visited Berlin on Monday.", "ru": "Владимир Орлов приехал в Москву."}
ENTITIES = {"en": [("Angela Merkel", "PER"), ("Berlin", "LOC")], "ru": [("Владимир Орлов", "PER"), ("Москву", "LOC")]}


def check_entities(language: str, entities: list[dict[str, Any]]) -> None:
    """Those of the language's text, whatever a weak model finds besides, each where it stands."""
    text = TEXTS[language]
    assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in entities)
    assert {(entity["text"], entity["label"]) for entity in entities} >= set(ENTITIES[language]), entities


def wait_for(
    condition: Callable[[], Any], seconds: float, process: subprocess.Popen[Any] | None = None, log: Path | None = None
) -> Any:
    """What ``condition`` gives once that is true; the process that is to bring it about, and its log, are named."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            pytest.fail(log.read_text()[-8000:] if log else "it does not come")
        time.sleep(0.2)
    return value
