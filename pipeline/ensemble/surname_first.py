"""Russian persons written surname first, of which the models have made two: «Соловьёва Татьяна» is one person.

Two names side by side in one case and gender stand in apposition: they are one person's. The names of two persons
differ in case («Орлову Анна не верит»), but may look alike after a word such as «жена» («жена Орлова Анна»).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from multiner.pipeline.core.document import Document, Span

PERSON = "PER"
_MASCULINE = "[бвгджзйклмнпрстфхцчшщь]|илья|никита|кузьма|лука|данила|фома"
# How surnames end, and how the given names end that agree with them (ё as е)
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
# Whose bearer is named in the genitive before the person's own name
_KIN = re.compile(
    "(?:жен|вдов|супруг|сестр|дочк|внучк|невест|подруг|мам|тет|бабушк)(?:а|ы|е|у|ой|я|и|ю|ей)|дочь?|дочер(?:и|ью)|мать|"
    "матер(?:и|ью)|брат|сын|отец|дядя|дед|внук"
)


def join_surname_first(document: Document, spans: Iterable[Span]) -> tuple[Span, ...]:
    """``spans`` with each surname and the given name right behind it as one, whose score is the lower of the two.

    Args:
        document: a Russian one.
        spans: in order, none overlapping another.
    """
    joined: list[Span] = []
    for span in spans:
        if joined and _is_one_person(document, joined[-1], span):
            before = joined.pop()
            score = None if before.score is None or span.score is None else min(before.score, span.score)
            span = Span(before.start, span.end, PERSON, score)
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
