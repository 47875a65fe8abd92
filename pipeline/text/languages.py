"""Which language a text or a sentence is in, told by its letters."""

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
CYRILLIC_SHARE = 0.3  # Russian texts carry whole Latin names; English ones rarely more than a Cyrillic word
FLAG_SHARE = 0.3  # where the choice of language is in doubt, so that the two agree
SENTENCE = 8  # letters that make a sentence worth a flag of its own
MIXED, UNSUPPORTED_SCRIPT = "mixed", "unsupported_script"


def cyrillic_share(text: str) -> float | None:
    """Share of Cyrillic among the Cyrillic and Latin letters of ``text``; None where it has neither."""
    cyrillic, latin = len(CYRILLIC.findall(text)), len(LATIN.findall(text))
    return cyrillic / (cyrillic + latin) if cyrillic + latin else None


def detect(text: str, languages: Sequence[str]) -> str:
    """The one of ``languages`` whose script ``text`` is written in.

    Args:
        text: any text.
        languages: candidates; the first of a script stands for it, and the first of all is the fallback (for a
            text without letters of these scripts, or where no candidate uses its script).
    """
    share = cyrillic_share(text)
    if share is None:
        return languages[0]
    cyrillic = share >= CYRILLIC_SHARE
    return next((code for code in languages if (code in CYRILLIC_LANGUAGES) == cyrillic), languages[0])


def flags(read: Mapping[str, str], languages: Sequence[str]) -> list[str]:
    """Reasons to trust an answer less.

    Args:
        read: what of the text each language's model read.
        languages: all there are.

    Returns:
        ``mixed`` where at least 30 % of the letters are in the script of another one of ``languages`` than that whose
        model read them; ``unsupported_script`` where at least 30 % of all, or half of those of a sentence, are in a
        script of none of them.
    """
    scripts = {code in CYRILLIC_LANGUAGES for code in (*languages, *read)}
    letters = sum(len(LETTER.findall(text)) for text in read.values())
    if not letters:
        return []
    foreign = {code: scripts - {code in CYRILLIC_LANGUAGES} for code in read}
    other = sum(_in_scripts(text, foreign[code]) for code, text in read.items())
    unsupported = letters - sum(_in_scripts(text, scripts) for text in read.values())
    found = [MIXED] if other >= FLAG_SHARE * letters and other else []
    if unsupported and (
        unsupported >= FLAG_SHARE * letters or any(_unreadable(text, scripts) for text in read.values())
    ):
        found.append(UNSUPPORTED_SCRIPT)
    return found


def _in_scripts(text: str, scripts: Set[bool]) -> int:
    """Letters of the scripts: Cyrillic (True), Latin (False)."""
    return sum(len((CYRILLIC if script else LATIN).findall(text)) for script in scripts)


def _unreadable(text: str, scripts: Set[bool]) -> bool:
    """Whether a sentence, of more than a short word, is for the most part in another script."""
    for start, end in pairwise([*sentence_starts(text), len(text)]):
        letters = len(LETTER.findall(text[start:end]))
        if letters >= SENTENCE and 2 * _in_scripts(text[start:end], scripts) <= letters:
            return True
    return False
