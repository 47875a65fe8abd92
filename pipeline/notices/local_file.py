"""The local file of notices: a line of JSON each, the newest last, with older lines in numbered copies."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import Workspace

FILE = "NER_NOTICES_FILE"  # a file in place of .run/notices.jsonl
LARGEST = 1_000_000  # bytes
COPIES = 3


@dataclass(frozen=True, slots=True)
class Notice:
    """An event: when (ISO 8601, UTC), what kind, the text for people, the machine, and facts for programs.

    ``event`` is ``undelivered`` where another notice could not be sent.
    """

    at: str
    event: str
    text: str
    host: str
    facts: dict[str, Any] = field(default_factory=dict)


def notices_file(workspace: Workspace) -> Path:
    """Where a workspace's notices are."""
    return Path(os.environ.get(FILE) or default_file(workspace.root))


def default_file(root: Path) -> Path:
    """The notices of the workspace in a folder, without the variable."""
    return root / ".run" / "notices.jsonl"


class _Lines(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        raise  # the error that is being handled; by default it is printed and dropped


def append(file: Path, notice: Notice, seconds: float) -> None:
    """Append a notice; a file that has become large is moved to a numbered copy first.

    Args:
        seconds: to wait for another process that appends, at most.

    Raises:
        OSError: the file cannot be written, or is locked for longer (``filelock.Timeout``).
        ValueError: the notice cannot be written as JSON.
    """
    from filelock import FileLock  # here, so that the command starts without it

    line = json.dumps(asdict(notice), ensure_ascii=False, default=str).encode(errors="replace").decode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f"{file.name}.lock"), timeout=seconds):
        handler = _Lines(file, maxBytes=LARGEST, backupCount=COPIES, encoding="utf-8", delay=True)
        try:
            handler.emit(logging.makeLogRecord({"msg": line}))
        finally:
            handler.close()


def read(file: Path) -> Iterator[Notice]:
    """The notices of the file and its copies, the oldest first; a line that a full disk cut off is left out."""
    for copy in [*(file.with_name(f"{file.name}.{number}") for number in range(COPIES, 0, -1)), file]:
        if not copy.is_file():
            continue
        for line in copy.read_text(encoding="utf-8", errors="replace").split("\n"):  # U+2028 ends none
            try:
                yield Notice(**json.loads(line))
            except (ValueError, TypeError):
                continue


def was_sent(workspace: Workspace, event: str, since: datetime, **facts: Any) -> bool:
    """Whether the local file has a notice of an event, not older than ``since``, with these facts."""
    return any(
        notice.event == event and datetime.fromisoformat(notice.at) >= since and facts.items() <= notice.facts.items()
        for notice in read(notices_file(workspace))
    )
