"""Candidate spans of the legs, described by features for the chooser: a row of numbers a span.

The features are those that tell in published combination studies when to trust whom: every leg's calibrated score for
the very span, how far the legs agree, and what kind of name it is and where it stands.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.decoding import Marginals, viterbi
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.iob2 import decode as spans_of
from multiner.pipeline.ensemble.name_features import (
    ELSEWHERE,
    SEEN,
    Gazetteer,
    Mentions,
)

_LIMIT = 8.0  # a log-odds beyond it says no more
LENGTHS = ("length 1", "length 2", "length 3", "longer")
SHAPES = ("capitals", "title case", "lower case", "mixed case", "digits")
PLACES = ("first", "last", "after opening", "before closing", "after @ or #", "sentence in capitals", "lower sentence")
RELATIONS = ("same", "other type", "overlaps", "nothing")
OPENING, CLOSING = frozenset("\"'«“‘(["), frozenset("\"'»”’)]")


def feature_names(legs: Sequence[str], types: Sequence[str]) -> list[str]:
    """The columns of :func:`describe`, in order."""
    systems = [*legs, "pool"]
    return [
        *(f"score {system}" for system in systems),
        *(f"{relation} in {leg}" for leg in legs for relation in RELATIONS),
        *(f"agreement {count}" for count in range(len(legs) + 1)),
        *(f"type {type_}" for type_ in types),
        *(f"score pool, type {type_}" for type_ in types),
        *LENGTHS,
        *SHAPES,
        *PLACES,
        *SEEN,
        *ELSEWHERE,
    ]


@dataclass(frozen=True)
class Views:
    """What the systems (each leg, then the pool) say of a document.

    Attributes:
        found: the spans of each system, scored by their marginal probability.
        marginals: of each system, by the index of each sentence in which any of them found a span.
    """

    found: list[list[Span]]
    marginals: dict[int, list[Marginals]]


def read_views(document: Document, stacked: np.ndarray, labels: Sequence[str]) -> Views:
    """Decode what every system says.

    Args:
        document: with its sentences.
        stacked: calibrated probabilities ``[systems, tokens, labels]``.
        labels: as :func:`multiner.pipeline.core.iob2.bio_labels` orders them.
    """
    begin = {label[2:]: index for index, label in enumerate(labels) if label.startswith("B-")}
    found: list[list[Span]] = [[] for _ in stacked]
    marginals: dict[int, list[Marginals]] = {}
    for number, sentence in enumerate(document.sentences):
        check_cancelled()
        rows = stacked[:, sentence.start : sentence.end]
        if not rows[:, :, 1:].size or not (rows.argmax(axis=-1) > 0).any():
            continue  # O is likeliest everywhere, for every system
        decoded = [spans_of([labels[index] for index in viterbi(each)]) for each in rows]
        if not any(decoded):
            continue
        marginals[number] = [Marginals(each) for each in rows]
        for system, spans in enumerate(decoded):
            for span in spans:
                score = marginals[number][system].span(span.start, span.end, begin[span.label])
                place = (span.start + sentence.start, span.end + sentence.start)
                found[system].append(Span(*place, span.label, score))
    return Views(found, marginals)


def describe(
    document: Document, views: Views, types: Sequence[str], gazetteer: Gazetteer
) -> tuple[list[Span], np.ndarray]:
    """The distinct spans that any system found, and their features.

    Args:
        document: what the views are of.
        views: what the systems say.
        types: entity types.
        gazetteer: names of the training documents.

    Returns:
        candidates without scores, in order; float64 ``[candidates, features]``, columns as :func:`feature_names`.
    """
    distinct = sorted({(span.start, span.end, span.label) for spans in views.found for span in spans})
    candidates = [Span(*each) for each in distinct]
    mentions = Mentions(document, views.found[-1])
    starts = [[span.start for span in spans] for spans in [*views.found[:-1], candidates]]
    rows: list[list[float]] = []
    for number, marginals in views.marginals.items():
        check_cancelled()
        sentence = document.sentences[number]
        *inside, here = (
            spans[bisect_left(first, sentence.start) : bisect_left(first, sentence.end)]
            for spans, first in zip([*views.found[:-1], candidates], starts, strict=True)
        )
        words = document.norms(sentence.start, sentence.end)
        letters = "".join(words)
        case = [float(letters.isupper()), float(letters.islower())]
        ends = [[span.end for span in spans] for spans in inside]
        for span in here:
            relations = [_relation(span, *each) for each in zip(inside, ends, strict=True)]
            local = Span(span.start - sentence.start, span.end - sentence.start, span.label)
            place = types.index(span.label)
            chances = np.array([each.span(local.start, local.end, 2 * place + 1) for each in marginals])
            kind = gazetteer.kind(words[local.start : local.end], span.label)
            rows.append(
                [*_evidence(log_odds(chances), relations, place, len(types)),
                 *_form(local, words), *case, *_one_of(len(SEEN), kind), *mentions.elsewhere(span)]
            )  # fmt: skip
    width = len(feature_names([""] * (len(views.found) - 1), types))
    return candidates, np.array(rows, dtype=np.float64).reshape(len(candidates), width)


def _evidence(scores: np.ndarray, relations: Sequence[int], place: int, types: int) -> list[float]:
    """The legs' and the pool's scores, how the legs stand to the span, and its type: the ``place``-th of ``types``."""
    kind = _one_of(types, place)
    return [
        *scores,
        *(value for relation in relations for value in _one_of(len(RELATIONS), relation)),
        *_one_of(len(relations) + 1, relations.count(0)),
        *kind,
        *(value * scores[-1] for value in kind),
    ]


def _form(span: Span, words: Sequence[str]) -> list[float]:
    """Length and shape of a name, and where it stands among the words of its sentence."""
    name = words[span.start : span.end]
    before = words[span.start - 1] if span.start else ""
    after = words[span.end] if span.end < len(words) else ""
    return [
        *_one_of(len(LENGTHS), min(len(name), len(LENGTHS)) - 1),
        *_one_of(len(SHAPES), _shape(name)),
        float(span.start == 0),
        float(span.end == len(words)),
        float(bool(before) and before[-1] in OPENING),
        float(bool(after) and after[0] in CLOSING),
        float(name[0][:1] in ("@", "#") or before in ("@", "#")),
    ]


def log_odds(chance: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, within ±8."""
    kept = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.clip(np.log(kept / (1 - kept)), -_LIMIT, _LIMIT)


def _one_of(count: int, which: int) -> list[float]:
    return [float(index == which) for index in range(count)]


def _relation(span: Span, others: Sequence[Span], ends: Sequence[int]) -> int:
    """Place in :data:`RELATIONS` of what a leg found where ``span`` is; ``others`` in order, with their ends."""
    at = bisect_right(ends, span.start)
    if at == len(others) or others[at].start >= span.end:
        return 3
    other = others[at]
    if (other.start, other.end) != (span.start, span.end):
        return 2
    return 0 if other.label == span.label else 1


def _shape(words: Sequence[str]) -> int:
    """Place in :data:`SHAPES` of a name."""
    text = "".join(words)
    if any(letter.isdigit() for letter in text):
        return 4
    if text.isupper():
        return 0
    if text.islower() or not any(letter.isalpha() for letter in text):
        return 2
    return 1 if all(word[:1].isupper() or word.islower() for word in words) and words[0][:1].isupper() else 3
