"""Errors that a person can act on; the command line prints them without a stack trace."""

from __future__ import annotations


class NerError(Exception):
    """Something the user can mend: says what happened, where, and what to do next.

    Args:
        message: what happened, one sentence.
        where: file (and line: ``"train.txt:12"``), parameter or address it happened at.
        remedy: what to do next.
    """

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return f"{place}{self.message}{remedy}"
