"""Which language a text is in, told by its letters."""

from __future__ import annotations

import re
from collections.abc import Sequence

AUTO = "auto"
CYRILLIC = re.compile(r"[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
LETTER = re.compile(r"[^\W\d_]")
CYRILLIC_LANGUAGES = frozenset({"be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"})
CYRILLIC_SHARE = 0.3  # Russian texts carry whole Latin names; English ones rarely more than a Cyrillic word


def cyrillic_share(text: str) -> float | None:
    """Share of Cyrillic among the letters of ``text``; None where it has no letters."""
    letters = sum(1 for _ in LETTER.finditer(text))
    return sum(1 for _ in CYRILLIC.finditer(text)) / letters if letters else None


def detect(text: str, languages: Sequence[str]) -> str:
    """The one of ``languages`` whose script ``text`` is written in.

    Args:
        text: any text.
        languages: candidates; the first of a script stands for it, and the first of all is the fallback (for a
            text without letters, or where no candidate uses its script).
    """
    share = cyrillic_share(text)
    if share is None:
        return languages[0]
    cyrillic = share >= CYRILLIC_SHARE
    return next((code for code in languages if (code in CYRILLIC_LANGUAGES) == cyrillic), languages[0])
