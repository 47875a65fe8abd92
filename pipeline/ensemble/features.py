"""Candidate spans of the base models, and their features for the meta-classifier: one row of numbers per span.

The features are those that published combination studies found useful: the calibrated score of each base model for this
span, the agreement of the base models, the kind of name, and its position.
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
from multiner.pipeline.ensemble.name_features import ELSEWHERE, SEEN, Gazetteer, Mentions

_LIMIT = 8.0  # log-odds beyond it carry no further information
LENGTHS = ("length 1", "length 2", "length 3", "longer")
SHAPES = ("capitals", "title case", "lower case", "mixed case", "digits")
PLACES = ("first", "last", "after opening", "before closing", "after @ or #", "sentence in capitals", "lower sentence")
RELATIONS = ("same", "other type", "overlaps", "nothing")
OPENING, CLOSING = frozenset("\"'«“‘(["), frozenset("\"'»”’)]")


def feature_names(models: Sequence[str], types: Sequence[str]) -> list[str]:
    """The names of the features, in the order of the columns of :func:`candidate_features`."""
    systems = [*models, "pool"]
    return [
        *(f"score {system}" for system in systems),
        *(f"{relation} in {model}" for model in models for relation in RELATIONS),
        *(f"agreement {count}" for count in range(len(models) + 1)),
        *(f"type {type_}" for type_ in types),
        *(f"score pool, type {type_}" for type_ in types),
        *LENGTHS,
        *SHAPES,
        *PLACES,
        *SEEN,
        *ELSEWHERE,
    ]


@dataclass(frozen=True)
class SystemSpans:
    """The predictions of the systems (each base model, then the pool) for a document.

    Attributes:
        spans: the spans of each system, scored by their marginal probability.
        marginals: index of a sentence → the marginals of each system; only sentences with a span of any system.
    """

    spans: list[list[Span]]
    marginals: dict[int, list[Marginals]]


def decode_systems(document: Document, stacked: np.ndarray, labels: Sequence[str]) -> SystemSpans:
    """Decode the most probable spans of each system from calibrated probabilities ``[systems, tokens, labels]``."""
    begin = {label[2:]: index for index, label in enumerate(labels) if label.startswith("B-")}
    by_system: list[list[Span]] = [[] for _ in stacked]
    marginals: dict[int, list[Marginals]] = {}
    for number, sentence in enumerate(document.sentences):
        check_cancelled()
        rows = stacked[:, sentence.start : sentence.end]
        if not rows[:, :, 1:].size or not (rows.argmax(axis=-1) > 0).any():
            continue  # for every system and token O is the most probable
        decoded = [spans_of([labels[index] for index in viterbi(each)]) for each in rows]
        if not any(decoded):
            continue
        marginals[number] = [Marginals(each) for each in rows]
        for system, spans in enumerate(decoded):
            for span in spans:
                score = marginals[number][system].span(span.start, span.end, begin[span.label])
                by_system[system].append(
                    Span(span.start + sentence.start, span.end + sentence.start, span.label, score)
                )
    return SystemSpans(by_system, marginals)


def candidate_features(
    document: Document, systems: SystemSpans, types: Sequence[str], gazetteer: Gazetteer
) -> tuple[list[Span], np.ndarray]:
    """The distinct spans of all systems, and their features.

    Returns:
        the candidate spans without scores, in order; float64 ``[candidates, features]``, columns as in
        :func:`feature_names`.
    """
    distinct = sorted({(span.start, span.end, span.label) for spans in systems.spans for span in spans})
    candidates = [Span(*each) for each in distinct]
    mentions = Mentions(document, systems.spans[-1])
    starts = [[span.start for span in spans] for spans in [*systems.spans[:-1], candidates]]
    rows: list[list[float]] = []
    for number, marginals in systems.marginals.items():
        check_cancelled()
        sentence = document.sentences[number]
        *by_model, here = (
            spans[bisect_left(first, sentence.start) : bisect_left(first, sentence.end)]
            for spans, first in zip([*systems.spans[:-1], candidates], starts, strict=True)
        )
        words = document.norms(sentence.start, sentence.end)
        letters = "".join(words)
        case = [float(letters.isupper()), float(letters.islower())]
        ends = [[span.end for span in spans] for spans in by_model]
        for span in here:
            relations = [_relation(span, *each) for each in zip(by_model, ends, strict=True)]
            local = Span(span.start - sentence.start, span.end - sentence.start, span.label)
            place = types.index(span.label)
            probabilities = np.array([each.span(local.start, local.end, 2 * place + 1) for each in marginals])
            kind = gazetteer.kind(words[local.start : local.end], span.label)
            rows.append(
                [*_score_features(log_odds(probabilities), relations, place, len(types)),
                 *_form_features(local, words), *case, *_one_of(len(SEEN), kind), *mentions.elsewhere(span)]
            )  # fmt: skip
    width = len(feature_names([""] * (len(systems.spans) - 1), types))
    return candidates, np.array(rows, dtype=np.float64).reshape(len(candidates), width)


def _score_features(scores: np.ndarray, relations: Sequence[int], place: int, types: int) -> list[float]:
    """The scores of all systems, the relation of each base model's spans to this one, and the type of this span."""
    kind = _one_of(types, place)
    return [
        *scores,
        *(value for relation in relations for value in _one_of(len(RELATIONS), relation)),
        *_one_of(len(relations) + 1, relations.count(0)),
        *kind,
        *(value * scores[-1] for value in kind),
    ]


def _form_features(span: Span, words: Sequence[str]) -> list[float]:
    """Length and shape of a name, and its position among the words of its sentence."""
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


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, within ±8."""
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return np.clip(np.log(clipped / (1 - clipped)), -_LIMIT, _LIMIT)


def _one_of(count: int, which: int) -> list[float]:
    return [float(index == which) for index in range(count)]


def _relation(span: Span, others: Sequence[Span], ends: Sequence[int]) -> int:
    """Index in :data:`RELATIONS` of ``span``'s relation to a base model's spans: ``others``, which end at ``ends``."""
    at = bisect_right(ends, span.start)
    if at == len(others) or others[at].start >= span.end:
        return 3
    other = others[at]
    if (other.start, other.end) != (span.start, span.end):
        return 2
    return 0 if other.label == span.label else 1


def _shape(words: Sequence[str]) -> int:
    """Index in :data:`SHAPES` of the shape of a name."""
    text = "".join(words)
    if any(letter.isdigit() for letter in text):
        return 4
    if text.isupper():
        return 0
    if text.islower() or not any(letter.isalpha() for letter in text):
        return 2
    return 1 if all(word[:1].isupper() or word.islower() for word in words) and words[0][:1].isupper() else 3
