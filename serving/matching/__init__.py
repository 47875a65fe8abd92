"""Which names of a Russian and an English text are each other's translation, and which look misspelled.

``compare`` takes the names of both texts; the sentences around them do not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from multiner.serving.matching import known_names
from multiner.serving.matching.grouping import Mention, NameGroup, group
from multiner.serving.matching.inflection import nominatives
from multiner.serving.matching.letters import skeleton
from multiner.serving.matching.similarity import Likeness, NameComparer

__all__ = ["Match", "Mention", "NameAlignment", "NameGroup", "compare"]

THRESHOLD = 0.85  # tuned on one half of the pairs of benchmarks/matching.py
OTHER_TYPE = 0.95  # factor where the types differ
ORDER = 0.02  # the highest weight of the order of first mentions
ALIKE = 0.5  # words with less similar skeletons are not compared
MOST_CANDIDATES = 8  # English names that a Russian one is compared with
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Match:
    """A Russian name and its English counterpart, as indices.

    ``similarity`` is from 0 to 1. ``reasons`` say what the names have in common. ``suspicious``: no scheme of spelling
    explains some letters, or some words do not fit; likely an error in the translation.
    """

    russian: int
    english: int
    similarity: float
    reasons: tuple[str, ...]
    suspicious: bool


@dataclass(frozen=True, slots=True)
class NameAlignment:
    """The names of both texts, and the matches between them in the order of the Russian text."""

    russian: tuple[NameGroup, ...]
    english: tuple[NameGroup, ...]
    matches: tuple[Match, ...]


def compare(russian: Sequence[Mention], english: Sequence[Mention], threshold: float = THRESHOLD) -> NameAlignment:
    """Match the names of two texts one to one, so that the sum of the similarities is greatest.

    The names come in any order; ``threshold`` is the least similarity of a match, 0 to 1.
    """
    names = tuple(group(russian)), tuple(group(english))
    comparer = NameComparer()
    edges: dict[tuple[int, int], Likeness] = {}
    for i, j in _candidates(*names):
        likeness = _likeness(names[0][i], names[1][j], comparer)
        if likeness.similarity >= threshold:
            edges[i, j] = likeness
    matches = [
        Match(i, j, edges[i, j].similarity, edges[i, j].reasons, edges[i, j].odd > 0) for i, j in _assign(names, edges)
    ]
    return NameAlignment(*names, tuple(sorted(matches, key=lambda match: match.russian)))


def _likeness(russian: NameGroup, english: NameGroup, comparer: NameComparer) -> Likeness:
    """The similarity of two names and the reasons; a little less for names of different types."""
    likeness = comparer.names(russian.words, english.words, russian.label)
    factor = 1.0 if russian.label == english.label else OTHER_TYPE
    reasons, table = likeness.reasons, {known_names.ORGANISATION, known_names.PLACE}
    if table & set(reasons) and any(known_names.is_abbreviation(name.text) for name in (russian, english)):
        reasons = (known_names.ABBREVIATION,)
    return Likeness(round(likeness.similarity * factor, 3), reasons, likeness.odd)


def _candidates(russian: Sequence[NameGroup], english: Sequence[NameGroup]) -> Iterator[tuple[int, int]]:
    """Pairs of names to compare: known translations of each other, or with words whose consonants are alike."""
    if not russian or not english:
        return
    numbers = _by_number(known_names.names(), enumerate(name.words for name in english))
    own, other = _vocabulary(russian), _vocabulary(english)
    near = _near_words(list(own), list(other))
    for i, name in enumerate(russian):
        scores: Counter[int] = Counter()
        for number in known_names.names().find(name.words):
            scores.update(dict.fromkeys(numbers.get(number, ()), len(name.words) + 1.0))
        for word in dict.fromkeys((*name.words, "".join(name.words))):
            for alike, score in near.get(word, ()):
                scores.update(dict.fromkeys(other[alike], score))
        yield from ((i, j) for j, _ in scores.most_common(MOST_CANDIDATES))


def _vocabulary(names: Sequence[NameGroup]) -> dict[str, list[int]]:
    """The words of the names, and each name as one word, with the indices of their names; without initials."""
    vocabulary: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        for word in dict.fromkeys((*name.words, "".join(name.words))):
            if len(word) > 1 or len(name.words) == 1:
                vocabulary.setdefault(word, []).append(index)
    return vocabulary


def _near_words(russian: Sequence[str], english: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """For each Russian word, the English ones with similar consonants, and its known translations."""
    bones = [skeleton(min(nominatives(word), key=len)) for word in russian], [skeleton(word) for word in english]
    scores = cdist(*bones, scorer=Levenshtein.normalized_similarity, score_cutoff=ALIKE, dtype=np.float32)
    numbers = _by_number(known_names.single_words(), ((word, (word,)) for word in english))
    near: dict[str, list[tuple[str, float]]] = {}
    for i, word in enumerate(russian):
        neighbours = {english[int(j)]: float(scores[i, j]) for j in np.flatnonzero(scores[i])}
        for number in known_names.single_words().find((word,)):
            neighbours |= dict.fromkeys(numbers.get(number, ()), 1.0)
        near[word] = list(neighbours.items())
    return near


def _by_number(table: known_names.NamePairs, names: Iterable[tuple[T, Sequence[str]]]) -> dict[int, list[T]]:
    """By the number of each pair in the table, the keys of the names that belong to it."""
    keys: dict[int, list[T]] = {}
    for key, words in names:
        for number in table.find(words):
            keys.setdefault(number, []).append(key)
    return keys


def _assign(
    names: tuple[Sequence[NameGroup], Sequence[NameGroup]], edges: dict[tuple[int, int], Likeness]
) -> Iterator[tuple[int, int]]:
    """The one-to-one assignment, for each connected part of the graph alone: the parts are small."""
    if not edges:
        return
    pairs = np.array(list(edges))
    size = len(names[0]) + len(names[1])
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1] + len(names[0]))), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    for number in np.unique(part[pairs[:, 0]]):
        inside = pairs[part[pairs[:, 0]] == number]
        rows, columns = np.unique(inside[:, 0]), np.unique(inside[:, 1])
        gain = np.zeros((len(rows), len(columns)))
        for i, j in inside:
            order = abs(i / len(names[0]) - j / len(names[1]))
            gain[np.searchsorted(rows, i), np.searchsorted(columns, j)] = edges[i, j].similarity - ORDER * order
        for row, column in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
            if gain[row, column] > 0:
                yield int(rows[row]), int(columns[column])
