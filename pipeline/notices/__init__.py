"""Notices of events that a person may want to know of: always in a local file, and if configured by webhook and mail.

send(workspace, "promotion", "ner-en version 7 is champion", model="ner-en", version="7")
"""

from __future__ import annotations

import logging
import platform
import time
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.notices import channels, local_file
from multiner.pipeline.notices.channels import VARIABLES, without_addresses
from multiner.pipeline.notices.local_file import FILE, Notice, notices_file, read, was_sent

__all__ = ["FILE", "VARIABLES", "Event", "Notice", "notices_file", "read", "send", "was_sent", "without_addresses"]

log = logging.getLogger(__name__)
Event = Literal["failure", "promotion", "refusal", "drift", "canary", "rollback", "late"]
DEFAULTS = {"events": get_args(Event), "sender": "ner@localhost", "recipients": [], "timeout_seconds": 5}
TEXT_LENGTH = 4000  # characters of a notice's text
LOCK_SECONDS = 1.0  # of the timeout, for the local file's lock


def send(workspace: Workspace, event: Event, text: str, **facts: Any) -> None:
    """Append a notice to the local file, then send it to the configured webhook and mail server.

    Raises nothing: where a notice cannot be written or sent, the log says so, and the local file, if it can. Blocks for
    ``notices.timeout_seconds`` at most; what is slower goes on in the background while the process runs. Callers in an
    event loop call it in a thread.

    Args:
        event: what kind of event; those in ``notices.events`` leave this machine.
        text: what happened, for people; its first line is the subject of a mail.
        facts: what programs may want, such as ``language``, ``model``, ``version``; no texts of users.
    """
    try:
        options = DEFAULTS | workspace.params.get("notices", {})
        deadline = time.monotonic() + options["timeout_seconds"]
        at = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"profile": workspace.profile, **facts}
        notice = Notice(at, event, text[:TEXT_LENGTH], platform.node(), facts)
        file = notices_file(workspace)
        try:
            local_file.append(file, notice, min(LOCK_SECONDS, options["timeout_seconds"]))
        except (OSError, ValueError) as error:
            log.warning("the notice %r was not written to %s: %s", text[:200], file, error)
        if event in options["events"]:
            channels.deliver(notice, options, file, deadline)
    except Exception as error:  # whatever it is, the caller's work is more important
        log.warning("the notice %r was not sent: %s", text[:200], type(error).__name__)
