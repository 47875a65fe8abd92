"""Where notices go beside the local file: a webhook that takes what Slack takes, and a mail server."""

from __future__ import annotations

import html
import logging
import os
import platform
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from email.message import EmailMessage
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.secret_files import secret_of
from multiner.pipeline.notices import local_file
from multiner.pipeline.notices.local_file import Notice

log = logging.getLogger(__name__)
WEBHOOK = ("NER_NOTICE_WEBHOOK", "NER_NOTICE_WEBHOOK_FILE")  # the address, or a file that holds it
MAIL_SERVER = ("NER_NOTICE_SMTP", "NER_NOTICE_SMTP_FILE")
VARIABLES = (*WEBHOOK, *MAIL_SERVER)
SUBJECT_LENGTH = 120
TRIES_AGAIN = 3
WAITS = 0.25  # seconds before the first further try, at most; each later one twice as long
Options = Mapping[str, Any]


class NotDelivered(Exception):
    """A notice was not taken; the message says why, without the address, which may hold a secret."""


def without_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without the addresses of notices, for processes that send none."""
    return {name: value for name, value in environment.items() if name not in VARIABLES}


def deliver(notice: Notice, options: Options, file: Path, deadline: float) -> None:
    """Send a notice to the addresses in the environment, all at once; return at the deadline at the latest.

    Args:
        options: the section ``notices`` of the parameters.
        file: the local file, where a failed delivery is noted.
        deadline: by the monotonic clock.
    """
    threads = []
    for variables, channel in ((WEBHOOK, _post), (MAIL_SERVER, _mail)):
        if os.environ.get(variables[0]) or os.environ.get(variables[1]):
            target = (channel, variables, notice, options, file)
            threads.append(Thread(target=_try, args=target, daemon=True, name=variables[0]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            log.warning("%s has not taken a notice within %g seconds", thread.name, options["timeout_seconds"])


def _try(
    channel: Callable[[str, Notice, Options], None],
    variables: tuple[str, str],
    notice: Notice,
    options: Options,
    file: Path,
) -> None:
    variable = variables[0]
    try:
        address = os.environ.get(variable) or secret_of(variables[1]) or ""
        channel(address, notice, options)
        return
    except (NotDelivered, NerError) as error:
        reason = str(error)
    except Exception as error:  # of a thread; its message may hold the address
        reason = getattr(error, "strerror", None) or type(error).__name__
    text = f"the notice of {notice.at} ({notice.event}) did not reach {variable}: {reason}"
    log.warning(text)
    try:
        local_file.append(file, Notice(notice.at, "undelivered", text, platform.node()), options["timeout_seconds"])
    except OSError as error:
        log.warning("%s: %s", file, error)


def _post(address: str, notice: Notice, options: Options) -> None:
    """Post a notice as JSON; ``text`` is what Slack, Mattermost and others show, the rest is for programs."""
    import httpx  # takes a third of the time in which `ner` starts
    from httpx_retries import Retry, retry_request

    text = html.escape(f"[ner] {notice.event}: {notice.text}", quote=False)  # Slack reads <…> as a link or a mention
    retry = Retry(total=TRIES_AGAIN, allowed_methods=["POST"], backoff_factor=WAITS,
                  max_backoff_wait=options["timeout_seconds"])  # fmt: skip
    with httpx.Client(timeout=options["timeout_seconds"]) as http:
        response = retry_request(http, "POST", address, json={"text": text, "notice": _plain(notice)}, retry=retry)
    if not response.is_success:
        raise NotDelivered(f"status {response.status_code}")


def _plain(notice: Notice) -> dict[str, Any]:
    fields = asdict(notice)
    simple = (str, int, float, bool, type(None))
    facts = {name: value if isinstance(value, simple) else str(value) for name, value in notice.facts.items()}
    return fields | {"facts": facts}


def _mail(address: str, notice: Notice, options: Options) -> None:
    """Send a notice by mail, encrypted where the server offers it, and always with ``smtps://``."""
    if not options["recipients"]:
        raise NotDelivered("params.yaml names no notices.recipients")
    server = urlsplit(address)
    if server.scheme not in ("smtp", "smtps") or not server.hostname:
        raise NotDelivered("not an address such as smtp://user:password@host:587")
    encrypted = ssl.create_default_context()
    host, seconds = server.hostname, options["timeout_seconds"]
    smtp: smtplib.SMTP
    if server.scheme == "smtps":
        smtp = smtplib.SMTP_SSL(host, server.port or 465, timeout=seconds, context=encrypted)
    else:
        smtp = smtplib.SMTP(host, server.port or 25, timeout=seconds)
    with smtp:
        smtp.ehlo()
        if server.scheme == "smtp" and smtp.has_extn("starttls"):
            smtp.starttls(context=encrypted)
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(_message(notice, options))


def _message(notice: Notice, options: Options) -> EmailMessage:
    message = EmailMessage()
    subject = " ".join(f"[ner] {notice.event}: {notice.text.partition(chr(10))[0]}".split())
    message["Subject"] = subject[:SUBJECT_LENGTH]
    message["From"] = options["sender"]
    message["To"] = ", ".join(options["recipients"])
    facts = {"at": notice.at, "host": notice.host, **notice.facts}
    message.set_content("\n".join([notice.text, "", *(f"{name}: {value}" for name, value in facts.items())]))
    return message
