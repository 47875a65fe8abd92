"""Which names of a Russian and an English text are each other's translation, and which look misspelled.

``compare`` takes the names found in both texts. It knows nothing of the sentences around them.
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

from multiner.serving.matching import known
from multiner.serving.matching.grouping import Mention, Name, group
from multiner.serving.matching.inflection import nominatives
from multiner.serving.matching.letters import skeleton
from multiner.serving.matching.similarity import Comparer, Likeness

__all__ = ["Comparison", "Match", "Mention", "Name", "compare", "likeness"]

THRESHOLD = 0.85  # tuned on one half of the pairs of benchmarks/matching.py
OTHER_TYPE = 0.95  # factor where the types disagree
ORDER = 0.02  # at most what the order of first mentions weighs in the choice
ALIKE = 0.5  # skeletons less alike are not looked at further
T = TypeVar("T")
MOST_CANDIDATES = 8  # English names that a Russian one is compared with


@dataclass(frozen=True, slots=True)
class Match:
    """A Russian name (an index) and the English one it is taken for.

    ``similarity`` is from 0 to 1. ``reasons`` say what they have in common. ``suspicious``: matched, yet with letters
    that no scheme of spelling explains, or with words that do not fit: likely an error in the translation.
    """

    russian: int
    english: int
    similarity: float
    reasons: tuple[str, ...]
    suspicious: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The names of both texts and the matches between them, by their order in the Russian text."""

    russian: tuple[Name, ...]
    english: tuple[Name, ...]
    matches: tuple[Match, ...]

    def counts(self, match: Match) -> tuple[int, int]:
        """How often the name is mentioned in the Russian and in the English text."""
        return self.russian[match.russian].count, self.english[match.english].count


def compare(russian: Sequence[Mention], english: Sequence[Mention], threshold: float = THRESHOLD) -> Comparison:
    """Match the names of two texts one to one, so that the similarities' sum is greatest.

    Args:
        russian: the names found in the Russian text, in any order.
        english: the names found in the English text.
        threshold: the least similarity of a match, 0 to 1.
    """
    names = tuple(group(russian)), tuple(group(english))
    comparer = Comparer()
    found: dict[tuple[int, int], Likeness] = {}
    for i, j in _candidates(*names):
        one = likeness(names[0][i], names[1][j], comparer)
        if one.similarity >= threshold:
            found[i, j] = one
    matches = [_match(names, i, j, found[i, j]) for i, j in _assign(names, found)]
    return Comparison(*names, tuple(sorted(matches, key=lambda match: match.russian)))


def likeness(russian: Name, english: Name, comparer: Comparer | None = None) -> Likeness:
    """How alike two names are, and why; names of different types are a little less so."""
    found = (comparer or Comparer()).names(russian.words, english.words, russian.label)
    factor = 1.0 if russian.label == english.label else OTHER_TYPE
    reasons = found.reasons
    if any(map(known.is_abbreviation, (russian.text, english.text))) and set(reasons) & {
        known.ORGANISATION,
        known.PLACE,
    }:
        reasons = (known.ABBREVIATION,)
    return Likeness(round(found.similarity * factor, 3), reasons, found.odd)


def _match(names: tuple[Sequence[Name], Sequence[Name]], i: int, j: int, found: Likeness) -> Match:
    return Match(i, j, found.similarity, found.reasons, found.odd > 0)


def _candidates(russian: Sequence[Name], english: Sequence[Name]) -> Iterator[tuple[int, int]]:
    """Pairs of names worth a close look: known by the same name, or with words whose consonants are alike."""
    if not russian or not english:
        return
    numbers = _by_number(known.names(), enumerate(name.words for name in english))
    own, other = _vocabulary(russian), _vocabulary(english)
    near = _near_words(list(own), list(other))
    for i, name in enumerate(russian):
        scores: Counter[int] = Counter()
        for number in known.names().find(name.words):
            scores.update(dict.fromkeys(numbers.get(number, ()), len(name.words) + 1.0))
        for word in dict.fromkeys((*name.words, "".join(name.words))):
            for alike, score in near.get(word, ()):
                scores.update(dict.fromkeys(other[alike], score))
        yield from ((i, j) for j, _ in scores.most_common(MOST_CANDIDATES))


def _vocabulary(names: Sequence[Name]) -> dict[str, list[int]]:
    """The words of the names, and each name as one word, with the names that they stand in; initials left out."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        for word in dict.fromkeys((*name.words, "".join(name.words))):
            if len(word) > 1 or len(name.words) == 1:
                found.setdefault(word, []).append(index)
    return found


def _near_words(russian: Sequence[str], english: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """For each Russian word the English ones with alike consonants, or that it is known to be translated by."""
    bones = [skeleton(min(nominatives(word), key=len)) for word in russian], [skeleton(word) for word in english]
    scores = cdist(*bones, scorer=Levenshtein.normalized_similarity, score_cutoff=ALIKE, dtype=np.float32)
    numbers = _by_number(known.single_words(), ((word, (word,)) for word in english))
    near: dict[str, list[tuple[str, float]]] = {}
    for i, word in enumerate(russian):
        found = {english[j]: float(scores[i, j]) for j in np.flatnonzero(scores[i])}
        for number in known.single_words().find((word,)):
            found |= dict.fromkeys(numbers.get(number, ()), 1.0)
        near[word] = list(found.items())
    return near


def _by_number(table: known.Known, names: Iterable[tuple[T, Sequence[str]]]) -> dict[int, list[T]]:
    """What belongs to each of the table's pairs."""
    found: dict[int, list[T]] = {}
    for key, words in names:
        for number in table.find(words):
            found.setdefault(number, []).append(key)
    return found


def _assign(
    names: tuple[Sequence[Name], Sequence[Name]], found: dict[tuple[int, int], Likeness]
) -> Iterator[tuple[int, int]]:
    """The one-to-one assignment, each connected part of the graph for itself: they are small."""
    if not found:
        return
    pairs = np.array(list(found))
    size = len(names[0]) + len(names[1])
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1] + len(names[0]))), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    for number in np.unique(part[pairs[:, 0]]):
        inside = pairs[part[pairs[:, 0]] == number]
        rows, columns = np.unique(inside[:, 0]), np.unique(inside[:, 1])
        gain = np.zeros((len(rows), len(columns)))
        for i, j in inside:
            order = abs(i / len(names[0]) - j / len(names[1]))
            gain[np.searchsorted(rows, i), np.searchsorted(columns, j)] = found[i, j].similarity - ORDER * order
        for row, column in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
            if gain[row, column] > 0:
                yield int(rows[row]), int(columns[column])
