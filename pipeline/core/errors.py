"""Errors that a person can act on; the command line prints them without a stack trace."""

from __future__ import annotations

from collections.abc import Sequence

PERMANENT = 1  # exit code: a person must mend something
TRANSIENT = 75  # exit code EX_TEMPFAIL of sysexits.h: the same command may succeed later


class NerError(Exception):
    """An error that the user can mend: what happened, where, and what to do next.

    Args:
        message: what happened, one sentence.
        where: the file (and line: ``"train.txt:12"``), parameter or address.
        remedy: what to do next.
        transient: the cause may pass by itself (a network, a busy machine), so a scheduler should try again.
    """

    def __init__(
        self, message: str, *, where: str | None = None, remedy: str | None = None, transient: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy
        self.transient = transient

    @property
    def exit_code(self) -> int:
        """The exit code of a command that this error ends."""
        return TRANSIENT if self.transient else PERMANENT

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return f"{place}{self.message}{remedy}"


def joined(errors: Sequence[NerError]) -> NerError:
    """One error that tells all of ``errors`` (one or more); transient where every one of them is."""
    if len(errors) == 1:
        return errors[0]
    return NerError("\n".join(str(error) for error in errors), transient=all(error.transient for error in errors))
