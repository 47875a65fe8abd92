"""Names in Russian texts that do not show their case: sentences in capitals, and texts without any capital.

The models were trained on edited text, and miss names in other letters. Here the words of such a sentence get the case
that they have elsewhere in the document, else the one that edited text gives them most often. By the dictionary of
pymorphy3, and its readings of unknown words: a name has a capital, an abbreviation of an organisation or a country has
capitals only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Document, Sentence

if TYPE_CHECKING:
    from pymorphy3 import MorphAnalyzer
    from pymorphy3.analyzer import Parse

CACHE = 20_000  # words
_CYRILLIC = re.compile("[а-яё]")
_VOWEL = re.compile("[аеёиоуыэюя]")
# Grammemes of OpenCorpora
_NAME = frozenset({"Name", "Surn", "Patr", "Geox", "Orgn", "Trad"})
_FUNCTION_WORD = frozenset({"PREP", "CONJ", "PRCL", "NPRO", "INTJ", "NUMR"})


def restore_case(document: Document) -> Document:
    """The document with names in their usual case, as norms of its tokens; text and offsets stay as they are.

    It is the same document if all its sentences show the case of names. Raises Cancelled if nobody waits for it.
    """
    sentences = _sentences_without_case(document)
    if not sentences:
        return document
    forms = _forms_elsewhere(document, {sentence.start for sentence in sentences})
    tokens = list(document.tokens)
    for sentence in sentences:
        check_cancelled()
        words = document.norms(sentence.start, sentence.end)
        lower = [word.lower() for word in words]
        for at, word in enumerate(lower):
            if _CYRILLIC.search(word):
                form = forms.get(word) or (word.upper() if _is_initial(lower, at) else usual_form(word))
                if form != words[at]:
                    tokens[sentence.start + at] = replace(tokens[sentence.start + at], norm=form)
    return replace(document, tokens=tuple(tokens))


def _sentences_without_case(document: Document) -> list[Sentence]:
    """All sentences of a document without any capital; else those of two Russian words or more in capitals."""
    if document.text.islower():
        return list(document.sentences)
    return [each for each in document.sentences if _in_capitals(document.norms(each.start, each.end))]


def _in_capitals(words: Sequence[str]) -> bool:
    return "".join(words).isupper() and sum(bool(_CYRILLIC.search(word.lower())) for word in words) > 1


def _forms_elsewhere(document: Document, without_case: Collection[int]) -> dict[str, str]:
    """Word in lower case → its most frequent form in the document; first words of sentences do not count.

    ``without_case`` are the first tokens of the sentences that do not count at all.
    """
    counts: dict[str, Counter[str]] = {}
    for sentence in document.sentences:
        if sentence.start not in without_case:
            for word in document.norms(sentence.start + 1, sentence.end):
                counts.setdefault(word.lower(), Counter())[word] += 1
    return {lower: forms.most_common(1)[0][0] for lower, forms in counts.items()}


def _is_initial(words: Sequence[str], at: int) -> bool:
    """Whether a word of a sentence, in lower case, is an initial: a person's surname stands beside the initials."""

    def has_form(index: int) -> bool:
        return len(words[index]) == 1 and words[index].isalpha() and words[index + 1 : index + 2] == ["."]

    if not has_form(at):
        return False
    first = last = at
    while first >= 2 and has_form(first - 2):
        first -= 2
    while last + 2 < len(words) and has_form(last + 2):
        last += 2
    beside = [*words[max(0, first - 1) : first], *words[last + 2 : last + 3]]
    return any(len(word) > 1 and any("Surn" in parse.tag for parse in _parses(word)) for word in beside)


@lru_cache(CACHE)
def usual_form(word: str) -> str:
    """A Russian word in lower case with the capitals that edited text most often gives it."""
    if len(word) == 1 or not _CYRILLIC.search(word) or _is_function_word(word):
        return word
    parses = _parses(word)
    known = _analyzer().word_is_known(word)
    if "Abbr" in (best := parses[0].tag) and ("Orgn" in best or "Geox" in best):
        return word.upper()
    if "-" in word and not known:
        return "-".join(map(usual_form, word.split("-")))
    if not known:
        return word.capitalize() if _VOWEL.search(word) else word.upper()
    names = sum(parse.score for parse in parses if parse.tag.grammemes & _NAME)
    if 2 * names <= sum(parse.score for parse in parses):
        return word
    return "-".join(part if _is_function_word(part) else part.capitalize() for part in word.split("-"))


def _is_function_word(word: str) -> bool:
    return any(parse.is_known and parse.tag.grammemes & _FUNCTION_WORD for parse in _parses(word))


def _parses(word: str) -> list[Parse]:
    return _analyzer().parse(word)


@lru_cache(1)
def _analyzer() -> MorphAnalyzer:
    """pymorphy3 with its Russian dictionary, which only texts without case need: 25 MB."""
    from pymorphy3 import MorphAnalyzer

    return MorphAnalyzer(lang="ru")
