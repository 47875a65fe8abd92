"""The language of a text, detected by the script of its letters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from itertools import pairwise

from multiner.pipeline.text.tokenizer import sentence_starts

AUTO = "auto"
CYRILLIC = re.compile(r"[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
LATIN = re.compile(
    r"[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1d00-\u1d25\u1d2c-\u1d5c\u1d62-\u1d65\u1d6b-\u1d77"
    r"\u1d79-\u1dbe\u1e00-\u1eff\u2c60-\u2c7f\ua722-\ua787\ua78b-\ua7ff\uab30-\uab64\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a]"
)
LETTER = re.compile(r"[^\W\d_]")
CYRILLIC_LANGUAGES = frozenset({"be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"})
CYRILLIC_SHARE = 0.3  # Russian texts hold whole Latin names; English ones rarely more than one Cyrillic word
FLAG_SHARE = 0.3  # equal to CYRILLIC_SHARE, so that texts near that border are flagged
SENTENCE_LETTERS = 8  # a sentence with fewer letters does not raise a flag by itself
MIXED, UNSUPPORTED_SCRIPT = "mixed", "unsupported_script"


def cyrillic_share(text: str) -> float | None:
    """Share of Cyrillic among the Cyrillic and Latin letters of ``text``; None where it has no such letters."""
    cyrillic, latin = len(CYRILLIC.findall(text)), len(LATIN.findall(text))
    return cyrillic / (cyrillic + latin) if cyrillic + latin else None


def detect(text: str, languages: Sequence[str]) -> str:
    """The first of ``languages`` that is written in the script of ``text``.

    It is the first of all for a text without Cyrillic and Latin letters, and where no language uses its script.
    """
    share = cyrillic_share(text)
    if share is None:
        return languages[0]
    cyrillic = share >= CYRILLIC_SHARE
    return next((code for code in languages if (code in CYRILLIC_LANGUAGES) == cyrillic), languages[0])


def flags(passages: Mapping[str, str], languages: Sequence[str]) -> list[str]:
    """Reasons to trust an answer less.

    Args:
        passages: by language, the part of the text that its model read.
        languages: all languages that are served.

    Returns:
        ``mixed`` where a model read letters in the script of another of ``languages``, at least 30 % of all letters;
        ``unsupported_script`` where no language uses the script of at least 30 % of all letters, or of half of the
        letters of a sentence.
    """
    scripts = {code in CYRILLIC_LANGUAGES for code in (*languages, *passages)}
    letters = sum(len(LETTER.findall(text)) for text in passages.values())
    if not letters:
        return []
    other = sum(_in_scripts(text, scripts - {code in CYRILLIC_LANGUAGES}) for code, text in passages.items())
    unsupported = letters - sum(_in_scripts(text, scripts) for text in passages.values())
    reasons = [MIXED] if other >= FLAG_SHARE * letters and other else []
    if unsupported and (
        unsupported >= FLAG_SHARE * letters or any(_unreadable(text, scripts) for text in passages.values())
    ):
        reasons.append(UNSUPPORTED_SCRIPT)
    return reasons


def _in_scripts(text: str, scripts: Set[bool]) -> int:
    """Number of letters in the scripts: Cyrillic (True), Latin (False)."""
    return sum(len((CYRILLIC if script else LATIN).findall(text)) for script in scripts)


def _unreadable(text: str, scripts: Set[bool]) -> bool:
    """Whether half of the letters of a sentence, of SENTENCE_LETTERS or more, are in none of ``scripts``."""
    for start, end in pairwise([*sentence_starts(text), len(text)]):
        letters = len(LETTER.findall(text[start:end]))
        if letters >= SENTENCE_LETTERS and 2 * _in_scripts(text[start:end], scripts) <= letters:
            return True
    return False
