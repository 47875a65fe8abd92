"""Which language a text is in, told by its letters."""

from __future__ import annotations

import re
from collections.abc import Sequence

AUTO = "auto"
CYRILLIC = re.compile(r"[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
LATIN = re.compile(
    r"[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1d00-\u1d25\u1d2c-\u1d5c\u1d62-\u1d65\u1d6b-\u1d77"
    r"\u1d79-\u1dbe\u1e00-\u1eff\u2c60-\u2c7f\ua722-\ua787\ua78b-\ua7ff\uab30-\uab64\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a]"
)
LETTER = re.compile(r"[^\W\d_]")
CYRILLIC_LANGUAGES = frozenset({"be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"})
CYRILLIC_SHARE = 0.3  # Russian texts carry whole Latin names; English ones rarely more than a Cyrillic word
FLAG_SHARE = 0.3  # where the choice of language is in doubt, so that the two agree
MIXED, UNSUPPORTED_SCRIPT = "mixed", "unsupported_script"


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


def flags(text: str, language: str, languages: Sequence[str]) -> list[str]:
    """Reasons to trust the answer to ``text`` less.

    Args:
        text: any text.
        language: the language whose model answers.
        languages: all there are.

    Returns:
        ``mixed`` where at least 30 % of the letters are in the script of another one of ``languages``;
        ``unsupported_script`` where at least 30 % are in a script of none of them.
    """
    letters = len(LETTER.findall(text))
    if not letters:
        return []
    cyrillic, latin = len(CYRILLIC.findall(text)), len(LATIN.findall(text))
    counts = {True: cyrillic, False: latin}
    own = language in CYRILLIC_LANGUAGES
    covered = {own, *(code in CYRILLIC_LANGUAGES for code in languages)}
    other = sum(counts[script] for script in covered - {own})
    unsupported = letters - sum(counts[script] for script in covered)
    found = {MIXED: other, UNSUPPORTED_SCRIPT: unsupported}
    return [flag for flag, count in found.items() if count and count / letters >= FLAG_SHARE]
