"""How many connections the gateway holds open at once, and which gives way where there are more."""

from __future__ import annotations

import resource
from typing import Generic, TypeVar

from multiner.pipeline.core.errors import NerError

T = TypeVar("T")
CONNECTIONS = 512
RESERVE = 512  # descriptors beside: what is just being accepted or closed, models, logs, the registry


class Places(Generic[T]):
    """Places for connections, which wait to be asked something or are at work on an answer.

    Where all are taken, the one that has waited longest gives way: who opens connections and asks nothing keeps nobody
    out. uvicorn's ``limit_concurrency`` is no such bound: it closes nothing, and with as many idle connections it
    answers every request 503.

    Args:
        most: places.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._waiting: dict[T, None] = {}  # the one that has waited longest comes first
        self._working: set[T] = set()

    def enter(self, connection: T) -> T | None:
        """Take in a connection, which waits.

        Returns:
            the connection that loses its place: the new one itself where all others are at work; None: there was room.
        """
        self._waiting[connection] = None
        if len(self._waiting) + len(self._working) <= self.most:
            return None
        longest = next(iter(self._waiting))
        del self._waiting[longest]
        return longest

    def work(self, connection: T) -> None:
        """It has been asked something; one that lost its place does not get it back."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._working.add(connection)

    def wait(self, connection: T) -> None:
        """It has answered."""
        if connection in self._working:
            self._working.remove(connection)
            self._waiting[connection] = None

    def leave(self, connection: T) -> None:
        """It is closed."""
        self._waiting.pop(connection, None)
        self._working.discard(connection)


def allow_descriptors(connections: int) -> None:
    """Let this process open as many files as so many connections need: the soft limit is 1,024 on most systems.

    Raises:
        NerError: the hard limit does not permit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + RESERVE
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NerError(
            f"{connections} connections need {needed} open files; this system allows {hard}",
            where="params.yaml: serving.connections",
            remedy="Lower it, or raise the limit: ulimit -Hn, LimitNOFILE= of a service.",
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
