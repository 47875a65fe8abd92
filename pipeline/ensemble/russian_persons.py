"""Rules for Russian persons: with their initials, and with the surname first.

«И.И. Иванов» has five tokens, of which the models may predict the last ones alone.

«Соловьёва Татьяна» is predicted as two persons. A surname and a given name side by side that agree in case and gender
belong to one person. Those of two persons differ in case («Орлову Анна не верит»), but may agree by chance after a word
such as «жена» («жена Орлова Анна»).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from multiner.pipeline.core.document import Document, Span

PERSON = "PER"
_INITIAL = re.compile("[А-ЯЁA-Z]|Дж")
_MASCULINE = "[бвгджзйклмнпрстфхцчшщь]|илья|никита|кузьма|лука|данила|фома"
# Endings of surnames, and of the given names that agree with them (ё written as е)
_AGREEMENTS = [
    (re.compile(f"[^\\W\\d_]{{2,}}(?:{surname})"), re.compile(f"[^\\W\\d_]*(?:{given})"))
    for surname, given in (
        ("[ое]в|[иы]н|[сц]к[ио]й|енко", _MASCULINE),
        ("(?:[ое]в|[иы]н)а|[сц]кая|енко", "[ая]|любовь"),
        ("[сц]кого|енко", "[ая]"),
        ("(?:[ое]в|[иы]н)у|[сц]кую|[сц]кому|енко", "[ую]|любовь"),
        ("(?:[ое]в|[иы]н)ым|[сц]ким|енко", "[ое]м|[ое]й"),
        ("(?:[ое]в|[иы]н|[сц]к)ой|енко", "[ое]й|[ыиею]"),
        ("(?:[ое]в|[иы]н)е|[сц]ком|енко", "[еи]"),
    )
]
_SURNAME = re.compile(r"\w{2,}(?:[ое]в(?:[ауе]|ым|ой)?|[сц]к(?:ий|ой|ая|ого|ому|им|ую|ом))")
_PATRONYMIC = re.compile(r"\w+(?:ич|вн|чн)(?:[ауеы]|ем|ой)?")
# Words of kinship, between which and a person's own name the name of a relative may stand in the genitive
_KIN = re.compile(
    "(?:жен|вдов|супруг|сестр|дочк|внучк|невест|подруг|мам|тет|бабушк)(?:а|ы|е|у|ой|я|и|ю|ей)|дочь?|дочер(?:и|ью)|мать|"
    "матер(?:и|ью)|брат|сын|отец|дядя|дед|внук"
)


def complete_persons(document: Document, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Persons with their initials, and with the surname that stands first.

    ``spans`` are those of a Russian document, in order and not overlapping.
    """
    return join_surname_first(document, _with_initials(document, spans))


def _with_initials(document: Document, spans: Iterable[Span]) -> Iterator[Span]:
    """The spans; a person begins at its first initial, and never with a full stop."""
    words = [document.text[token.start : token.end] for token in document.tokens]
    firsts = {sentence.start for sentence in document.sentences}
    end = 0  # of the span before
    for span in spans:
        start = span.start
        if span.label == PERSON:
            if words[start] == "." and start - end >= 1 and _INITIAL.fullmatch(words[start - 1]):
                start -= 1
            while (
                start - end >= 2
                and words[start - 1] == "."
                and _INITIAL.fullmatch(words[start - 2])
                and not firsts & {start - 1, start}
            ):
                start -= 2
            if words[start] == "." and start + 1 < span.end:
                start += 1
        end = span.end
        yield span if start == span.start else Span(start, span.end, span.label, span.score)


def join_surname_first(document: Document, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join each surname with the given name directly behind it; the score is the lower of the two.

    ``spans`` are those of a Russian document, in order and not overlapping.
    """
    joined: list[Span] = []
    for span in spans:
        if joined and _is_one_person(document, joined[-1], span):
            surname = joined.pop()
            score = None if surname.score is None or span.score is None else min(surname.score, span.score)
            span = Span(surname.start, span.end, PERSON, score)
        joined.append(span)
    return tuple(joined)


def _is_one_person(document: Document, surname: Span, given: Span) -> bool:
    if not surname.label == given.label == PERSON or surname.end != given.start or surname.end - surname.start != 1:
        return False
    gap = document.text[document.tokens[surname.start].end : document.tokens[given.start].start]
    if not gap or gap.strip() or any(sentence.start == given.start for sentence in document.sentences):
        return False
    words = ["", *document.norms(max(0, surname.start - 1), given.end)][surname.start > 0 :]
    before, last, first, *rest = (word.casefold().replace("ё", "е") for word in words)
    if _KIN.fullmatch(before) or _SURNAME.fullmatch(first) or (rest and not _PATRONYMIC.fullmatch(" ".join(rest))):
        return False
    return any(one.fullmatch(last) and other.fullmatch(first) for one, other in _AGREEMENTS)
