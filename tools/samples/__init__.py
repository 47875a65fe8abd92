"""Parts of the generator of the bundled sample corpora."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """The entries of a list written as one text: parted by bars, or by blanks where there is no bar."""
    return text.split("|") if "|" in text else text.split()
