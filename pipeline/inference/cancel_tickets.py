"""Tickets: what lets a call to a served process be called off.

``mlflow models serve`` runs a call to its end, whoever has gone meanwhile. So the gateway issues a ticket with each
call, an empty file of a random name in a folder that only its user can enter, and the model looks now and then whether
it is still there. The gateway takes it away when the call has ended, or is to end.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "NER_TICKETS"
"""The environment variable that tells a served process where the tickets are."""
_NAME = re.compile(r"[0-9a-f]{32}")


class Ticket:
    """The right of one call to go on, until it is withdrawn."""

    def __init__(self, folder: Path) -> None:
        self.name = secrets.token_hex(16)
        self._path = folder / self.name
        self._path.touch()

    def withdraw(self) -> None:
        """End the call. May be called twice."""
        self._path.unlink(missing_ok=True)


@contextmanager
def issued(folder: Path) -> Iterator[Ticket]:
    """A ticket in ``folder``, withdrawn at the latest when the context ends."""
    ticket = Ticket(folder)
    try:
        yield ticket
    finally:
        ticket.withdraw()


def withdrawn(name: str) -> Callable[[], bool]:
    """Tells whether the ticket of this name has been withdrawn, or never was.

    Where no folder is named, or no ticket (``""``), nothing is ever withdrawn: the process serves without a gateway.
    """
    folder = os.environ.get(FOLDER)
    if not folder or not name:
        return lambda: False
    if not _NAME.fullmatch(name):  # no way to ask for other files
        return lambda: True
    path = Path(folder) / name
    return lambda: not path.exists()
