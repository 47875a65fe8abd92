"""The language of a text: by the script of its letters, and among languages of one script by a classifier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from multiner.pipeline.text.tokenizer import sentence_starts

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

AUTO = "auto"
CYRILLIC = re.compile(r"[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
LATIN = re.compile(
    r"[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1d00-\u1d25\u1d2c-\u1d5c\u1d62-\u1d65\u1d6b-\u1d77"
    r"\u1d79-\u1dbe\u1e00-\u1eff\u2c60-\u2c7f\ua722-\ua787\ua78b-\ua7ff\uab30-\uab64\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a]"
)
LETTER = re.compile(r"[^\W\d_]")
CYRILLIC_SHARE = 0.3  # Russian texts hold whole Latin names; English ones rarely more than one Cyrillic word
FLAG_SHARE = 0.3  # equal to CYRILLIC_SHARE, so that texts near that border are flagged
SAMPLE = 10_000  # characters of a text that show its language among those of a script
SENTENCE_LETTERS = 8  # a sentence with fewer letters does not raise a flag by itself
CERTAIN = 0.75  # probability of a language from which on it is preferred to the first one of its script
MIXED, UNSUPPORTED_SCRIPT = "mixed", "unsupported_script"


@lru_cache
def is_cyrillic(language: str) -> bool:
    """Whether a language is mostly written in Cyrillic letters, by the likely subtags of Unicode's CLDR."""
    from babel.core import get_global

    return "_Cyrl" in get_global("likely_subtags").get(language, "")


@lru_cache
def language_name(code: str) -> str:
    """The English name of a language; the code itself where CLDR has none."""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(code).english_name or code
    except (UnknownLocaleError, ValueError):
        return code


def one_of_each_script(text: str, languages: Sequence[str]) -> list[str]:
    """``languages`` with one for each script; of several in a script, the one that ``text`` is in comes first.

    Where the classifier is not certain, or does not know the languages, it is the first of them.
    """
    choice = []
    for cyrillic in (True, False):
        rivals = tuple(code for code in languages if is_cyrillic(code) == cyrillic)
        if len(rivals) > 1 and (letters := (CYRILLIC if cyrillic else LATIN).search(text)):
            choice.append(_identified(text[letters.start() :], rivals))
        else:
            choice += rivals[:1]
    return sorted(choice, key=list(languages).index)


def _identified(text: str, languages: tuple[str, ...]) -> str:
    """That one of ``languages`` which ``text`` is in, by py3langid."""
    identifier = _identifier(languages)
    if len(identifier.labels) < 2:
        return languages[0]
    language, probability = identifier.classify(text[:SAMPLE])
    return str(language) if probability >= CERTAIN else languages[0]


@lru_cache(maxsize=8)
def _identifier(languages: tuple[str, ...]) -> LanguageIdentifier:
    """py3langid's classifier for those of ``languages`` that it knows; loaded only if it is needed."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in languages if code in identifier.labels])
    return identifier


def cyrillic_share(text: str) -> float | None:
    """Share of Cyrillic among the Cyrillic and Latin letters of ``text``; None where it has no such letters."""
    cyrillic, latin = len(CYRILLIC.findall(text)), len(LATIN.findall(text))
    return cyrillic / (cyrillic + latin) if cyrillic + latin else None


def detect(text: str, languages: Sequence[str]) -> str:
    """The one of ``languages`` that ``text`` is written in: by its script, then by :func:`one_of_each_script`.

    It is the first of all for a text without Cyrillic and Latin letters, and where no language uses its script.
    """
    share = cyrillic_share(text)
    if share is None:
        return languages[0]
    cyrillic = share >= CYRILLIC_SHARE
    candidates = one_of_each_script(text, languages)
    return next((code for code in candidates if is_cyrillic(code) == cyrillic), languages[0])


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
    scripts = {is_cyrillic(code) for code in (*languages, *passages)}
    letters = sum(len(LETTER.findall(text)) for text in passages.values())
    if not letters:
        return []
    other = sum(_in_scripts(text, scripts - {is_cyrillic(code)}) for code, text in passages.items())
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
