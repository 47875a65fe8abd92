"""factRuEval-2016's own scoring of names (track 1), with LocOrg merged into Loc as its option ``-l`` has it.

This implements the rules of the shared task's scripts (https://github.com/dialogue-evaluation/factRuEval-2016,
``scripts``; Starostin et al. 2016). An object is a set of tokens. In each document, gold objects and predictions of the
same type that share a token are matched one to one, equal token sets first, so that the F1 of the document is highest.
A matched pair earns between 0 and 1 point: the predicted name tokens, divided by all name tokens plus the predicted
tokens outside the object. Descriptors have no weight. Gold objects without a name or inside a larger object do not
count, and neither do predictions matched with them. Of two objects of one type with equal tokens, one counts. A person
or location with the tokens of an organisation counts only if it is matched and the organisation is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from multiner.pipeline.config.type_maps import FACTRUEVAL
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.corpora.factrueval import AnnotatedObject
from multiner.pipeline.evaluation.scores import DIGITS

_PLACE_NAMES = frozenset({"loc_name", "org_name"})
_NAMES: Mapping[str, frozenset[str]] = {
    "PER": frozenset({"name", "surname", "patronymic", "nickname"}),
    "LOC": _PLACE_NAMES,
    "ORG": _PLACE_NAMES,
}
_HOSTS: Mapping[str, frozenset[str]] = {
    "PER": frozenset({"LOC", "ORG"}),
    "LOC": frozenset({"LOC", "ORG"}),
    "ORG": frozenset({"ORG"}),
}
"""Type of an object → types of a larger object that it may be part of."""
_EQUAL = 1e3  # outweighs the points of all other pairs of a document, so that equal token sets are always matched
_ANY = 1e-9  # a pair that earns no points is still matched


@dataclass(frozen=True)
class GoldObject:
    """A gold object.

    Attributes:
        label: its type.
        tokens: all its tokens.
        names: the tokens of its name.
        embedded: whether it is part of a larger object.
        equals: indices of the objects with the same tokens that may replace it: those of its type, and organisations.
    """

    label: str
    tokens: frozenset[int]
    names: frozenset[int]
    embedded: bool
    equals: tuple[int, ...]

    @property
    def void(self) -> bool:
        """Whether it never counts, matched or not."""
        return self.embedded or not self.names


@dataclass(frozen=True)
class Signs:
    """The tokens of a document that are a single character other than a letter.

    Attributes:
        all: all such tokens; a prediction may lack them.
        glued: those without a blank before or after; they are not counted in predictions.
    """

    all: frozenset[int]
    glued: frozenset[int]


def gold_objects(annotated: Sequence[AnnotatedObject]) -> list[GoldObject]:
    """The persons, locations and organisations of a document, in order; other types are left out."""
    objects: list[tuple[str, frozenset[int], frozenset[int]]] = []
    for each in annotated:
        if (label := FACTRUEVAL[each.type]) is not None:
            tokens = frozenset(at for _, first, last in each.parts for at in range(first, last))
            names = frozenset(
                at for type_, first, last in each.parts if type_ in _NAMES[label] for at in range(first, last)
            )
            objects.append((label, tokens, names))
    return [
        GoldObject(
            label,
            tokens,
            names,
            any(other in _HOSTS[label] and tokens < wider for other, wider, _ in objects),
            tuple(
                index
                for index, (other, same, _) in enumerate(objects)
                if index != place and other in _HOSTS[label] and tokens == same
            ),
        )
        for place, (label, tokens, names) in enumerate(objects)
    ]


def signs(document: Document) -> Signs:
    """The document's signs."""
    tokens, last = document.tokens, len(document.tokens) - 1
    single = [
        index
        for index, token in enumerate(tokens)
        if token.end - token.start == 1 and (text := document.text[token.start].lower()).upper() == text
    ]
    glued = [
        index
        for index in single
        if (index and tokens[index - 1].end == tokens[index].start)
        or (index < last and tokens[index].end == tokens[index + 1].start)
    ]
    return Signs(frozenset(single), frozenset(glued))


def credit(gold: GoldObject, guess: frozenset[int], marks: Signs) -> float:
    """The points of a matched pair, 0 to 1."""
    right = len(gold.names & guess)
    total = right + len(gold.names - guess - marks.all) + len(guess - gold.tokens)
    return right / total if total else overlap(gold, guess)


def overlap(gold: GoldObject, guess: frozenset[int]) -> float:
    """Jaccard index of the token sets."""
    return len(gold.tokens & guess) / len(gold.tokens | guess)


def match(
    gold: Sequence[GoldObject], labels: Sequence[str], guesses: Sequence[frozenset[int]], marks: Signs
) -> list[tuple[int, int, float]]:
    """The matching with the highest F1 of the document, as gold index, prediction index and points of each pair.

    F1 is a ratio, since pairs with void objects lower its denominator. Dinkelbach's method (1967) reduces its
    maximisation to a few assignment problems.
    """
    if not gold or not guesses:
        return []
    points, similarity = np.zeros((2, len(gold), len(guesses)))
    for row, one in enumerate(gold):
        for column, (label, guess) in enumerate(zip(labels, guesses, strict=True)):
            if label == one.label and one.tokens & guess:
                points[row, column], similarity[row, column] = credit(one, guess, marks), overlap(one, guess)
    void = np.array([one.void for one in gold])
    ratio = -1.0
    best: list[tuple[int, int, float]] = []
    while True:
        gain = np.where(void[:, None], max(ratio, 0.0) / 2, points)
        weights = np.where(similarity > 0, gain + _EQUAL * (similarity == 1.0) + _ANY, 0.0)
        pairs = [
            (int(row), int(column), float(points[row, column]))
            for row, column in zip(*linear_sum_assignment(weights, maximize=True), strict=True)
            if similarity[row, column] > 0
        ]
        total = sum(pair_points for row, _, pair_points in pairs if not void[row])
        size = (~void).sum() + len(guesses) - sum(bool(void[row]) for row, *_ in pairs)
        f1 = 2 * total / size if size else 1.0
        if f1 <= ratio + _ANY:
            return best
        ratio, best = f1, pairs


def is_ignored(gold: Sequence[GoldObject], index: int, matched: set[int]) -> bool:
    """Whether an object does not count, given the indices of the ``matched`` objects."""
    one = gold[index]
    if one.void:
        return True
    for other in one.equals:
        if (index in matched) != (other in matched):
            return index not in matched
        if gold[other].label == one.label:
            return index > other
        if gold[other].label == "ORG":
            return True
    return False


def counts(
    document: Document, annotated: Sequence[AnnotatedObject], spans: Sequence[Span], types: Sequence[str]
) -> np.ndarray:
    """The points, gold objects and predictions of a document that count, by type (of PER, LOC, ORG): ``[types, 3]``."""
    gold, marks = gold_objects(annotated), signs(document)
    guesses = [frozenset(range(span.start, span.end)) - marks.glued for span in spans]
    pairs = match(gold, [span.label for span in spans], guesses, marks)
    matched, matched_spans = {row for row, *_ in pairs}, {column for _, column, _ in pairs}
    place = {type_: index for index, type_ in enumerate(types)}
    totals = np.zeros((len(types), 3))
    for row, _, points in pairs:
        if not is_ignored(gold, row, matched):
            totals[place[gold[row].label]] += points, 1, 1
    for row, one in enumerate(gold):
        if row not in matched and not is_ignored(gold, row, matched):
            totals[place[one.label], 1] += 1
    for column, span in enumerate(spans):
        if column not in matched_spans:
            totals[place[span.label], 2] += 1
    return totals


def _figures(points: float, gold: float, predicted: float) -> dict[str, Any]:
    # by the rules of the task, no predictions have precision 1, and no gold objects recall 1
    precision, recall = points / predicted if predicted else 1.0, points / gold if gold else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    figures = {"f1": f1, "precision": precision, "recall": recall}
    return {name: round(100.0 * float(value), DIGITS) for name, value in figures.items()} | {"support": int(gold)}


def official_scores(
    documents: Sequence[Document],
    annotated: Sequence[Sequence[AnnotatedObject]],
    predicted: Sequence[Sequence[Span]],
    types: Sequence[str],
) -> dict[str, Any]:
    """Precision, recall and F1 by the rules of the task, micro-averaged and per type (of PER, LOC, ORG).

    In percent, as :func:`multiner.pipeline.evaluation.scores.score`; support is the number of gold objects that count.
    """
    totals = np.zeros((len(types), 3))
    for document, objects, spans in zip(documents, annotated, predicted, strict=True):
        totals += counts(document, objects, spans, types)
    per_type = {type_: _figures(*totals[row]) for row, type_ in enumerate(types)}
    return _figures(*totals.sum(0)) | {"per_type": per_type}
