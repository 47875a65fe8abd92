"""The language of a text: by the script of its letters, and among languages of one script by a classifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from multiner.pipeline.text.scripts import LATIN, first_letter, letters, letters_in, script_of
from multiner.pipeline.text.tokenizer import sentence_starts

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

AUTO = "auto"
SCRIPT_SHARE = 0.3  # of a script beside Latin: such texts hold whole Latin names, Latin ones rarely another word
FLAG_SHARE = 0.3  # equal to SCRIPT_SHARE, so that texts near that border are flagged
SAMPLE = 10_000  # characters of a text that show its language among those of a script
SENTENCE_LETTERS = 8  # a sentence with fewer letters does not raise a flag by itself
CERTAIN = 0.75  # probability of a language from which on it is preferred to the first one of its script
MIXED, UNSUPPORTED_SCRIPT = "mixed", "unsupported_script"


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
    by_script: dict[str, list[str]] = {}
    for code in languages:
        by_script.setdefault(script_of(code), []).append(code)
    choice = []
    for script, (first, *others) in by_script.items():
        start = first_letter(text, script) if others else None
        choice.append(first if start is None else _identified(text[start:], (first, *others)))
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


def main_script(text: str, scripts: Iterable[str]) -> str | None:
    """That one of ``scripts``, or Latin, which ``text`` is written in; None where it has no letters of these.

    It is the commonest script beside Latin if at least 30 % of the letters are in it, else Latin.
    """
    counts = {script: letters_in(text, [script]) for script in {LATIN, *scripts}}
    if not (total := sum(counts.values())):
        return None
    other = max(sorted(counts.keys() - {LATIN}), key=counts.__getitem__, default=LATIN)
    return other if counts[other] >= SCRIPT_SHARE * total else LATIN


def detect(text: str, languages: Sequence[str]) -> str:
    """The one of ``languages`` that ``text`` is written in: by its script, then by :func:`one_of_each_script`.

    It is the first of all for a text without letters in their scripts or Latin, and where no language uses its script.
    """
    script = main_script(text, map(script_of, languages))
    if script is None:
        return languages[0]
    return next((code for code in one_of_each_script(text, languages) if script_of(code) == script), languages[0])


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
    scripts = {script_of(code) for code in (*languages, *passages)}
    total = sum(map(letters, passages.values()))
    if not total:
        return []
    other = sum(letters_in(text, scripts - {script_of(code)}) for code, text in passages.items())
    unsupported = total - sum(letters_in(text, scripts) for text in passages.values())
    reasons = [MIXED] if other >= FLAG_SHARE * total and other else []
    if unsupported and (
        unsupported >= FLAG_SHARE * total or any(_unreadable(text, scripts) for text in passages.values())
    ):
        reasons.append(UNSUPPORTED_SCRIPT)
    return reasons


def _unreadable(text: str, scripts: Set[str]) -> bool:
    """Whether half of the letters of a sentence, of SENTENCE_LETTERS or more, are in none of ``scripts``."""
    for start, end in pairwise([*sentence_starts(text), len(text)]):
        number = letters(text[start:end])
        if number >= SENTENCE_LETTERS and 2 * letters_in(text[start:end], scripts) <= number:
            return True
    return False
