"""The similarity of a Russian and an English name, and the reasons for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import pairwise, zip_longest
from operator import itemgetter

import numpy as np
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

from multiner.serving.matching import known_names, letters, spelling
from multiner.serving.matching.inflection import is_patronymic, nominatives

TRANSLITERATION, TRANSCRIPTION, SAME, INITIAL = "transliteration", "transcription", "same spelling", "initial"
INITIAL_SIMILARITY = 0.95
OTHER_WORD = 0.5  # words less alike are not the same word
OTHER_BONES = 0.45  # consonants less alike are not aligned
OUT_OF_ORDER = 0.05
OMITTED = {"PER": 0.15}  # weight of a word that one language leaves out
OMITTED_OTHERWISE = 0.6
WEAKEST = 0.3  # weight of the word that agrees least: a shared given name is not enough
JOINED_AT_MOST = 24  # letters of names that are also compared without their spaces
MOST_FORMS = 2  # of a word that are aligned letter by letter


@dataclass(frozen=True, slots=True)
class Likeness:
    """``similarity`` from 0 to 1; ``reasons`` for it; ``odd``: how many edits no scheme of spelling explains."""

    similarity: float = 0.0
    reasons: tuple[str, ...] = ()
    odd: int = 0


DIFFERENT = Likeness()


class NameComparer:
    """Compares names, as folded words (:func:`.known_names.words`); it compares each pair of words once."""

    def __init__(self) -> None:
        self._words: dict[tuple[str, str], Likeness] = {}
        self._romanised: dict[str, list[tuple[str, str]]] = {}

    def names(self, russian: Sequence[str], english: Sequence[str], label: str) -> Likeness:
        """The similarity of two names by their words; ``label`` is the Russian name's type, which omissions go by."""
        if tuple(russian) == tuple(english):
            return Likeness(1.0, (SAME,))
        if _numbers(russian) != _numbers(english):
            return DIFFERENT
        one, other = known_names.names().find(russian), known_names.names().find(english)
        if shared := one & other:
            return Likeness(1.0, (known_names.names().reasons[min(shared)],))
        if one and other:
            return DIFFERENT  # each has another known translation
        best = self._by_words(russian, english, label)
        longest = max(sum(map(len, russian)), sum(map(len, english)))
        if len(russian) != len(english) and longest <= JOINED_AT_MOST:
            joined = self.words("".join(russian), "".join(english))
            best = max(best, joined, key=lambda each: each.similarity)
        return best

    def _by_words(self, russian: Sequence[str], english: Sequence[str], label: str) -> Likeness:
        """By the best assignment of words to words; the weight of a word is the number of its letters."""
        alike = [[self.words(one, other) for other in english] for one in russian]
        gain = np.array([[each.similarity for each in row] for row in alike])
        places = np.abs(np.subtract.outer(np.linspace(0, 1, len(russian)), np.linspace(0, 1, len(english))))
        rows, columns = linear_sum_assignment(gain - OUT_OF_ORDER * places, maximize=True)
        pairs = [(i, j) for i, j in zip(rows, columns, strict=True) if alike[i][j].similarity >= OTHER_WORD]
        if not pairs:
            return DIFFERENT
        total = weight = 0.0
        for i, j in pairs:
            size = 1 if INITIAL in alike[i][j].reasons else max(2, len(russian[i]), len(english[j]))
            total += size * alike[i][j].similarity
            weight += size
        left = [word for i, word in enumerate(russian) if i not in {i for i, _ in pairs} and not is_patronymic(word)]
        right = [word for j, word in enumerate(english) if j not in {j for _, j in pairs}]
        share = 1.0 if left and right else OMITTED.get(label, OMITTED_OTHERWISE)
        weight += share * sum(map(len, left + right))
        mean = total / weight
        if any(a[1] > b[1] for a, b in pairwise(pairs)):
            mean *= 1 - OUT_OF_ORDER
        weakest = 0.0 if left and right else min(alike[i][j].similarity for i, j in pairs)
        reasons = dict.fromkeys(reason for i, j in pairs for reason in alike[i][j].reasons)
        similarity = (1 - WEAKEST) * mean + WEAKEST * min(mean, weakest)
        return Likeness(similarity, tuple(reasons), sum(alike[i][j].odd for i, j in pairs))

    def words(self, russian: str, english: str) -> Likeness:
        """The similarity of two words."""
        key = (russian, english)
        if key not in self._words:
            self._words[key] = self._compare_words(russian, english)
        return self._words[key]

    def _compare_words(self, russian: str, english: str) -> Likeness:
        if russian == english:
            return Likeness(1.0, (SAME,))
        if any(sign.isdigit() for sign in russian + english):
            return DIFFERENT
        cyrillic = [bool(known_names.CYRILLIC.search(word)) for word in (russian, english)]
        if cyrillic == [False, True]:
            return self._compare_words(english, russian)
        if cyrillic[0] == cyrillic[1]:
            similarity = Levenshtein.normalized_similarity(russian, english)
            return Likeness(similarity, (SAME,), Levenshtein.distance(russian, english))
        if letters.share_initial(russian, english):
            return Likeness(INITIAL_SIMILARITY, (INITIAL,))
        if len(russian) == 1 or len(english) == 1:
            return DIFFERENT
        for pairs in (known_names.names(), known_names.single_words()):
            if shared := pairs.find((russian,)) & pairs.find((english,)):
                return Likeness(1.0, (pairs.reasons[min(shared)],))
        return self._spelled(russian, english)

    def _spelled(self, russian: str, english: str) -> Likeness:
        """Of the word, and of the likeliest nominatives that it may come from, the most similar."""
        bones = Levenshtein.normalized_similarity(letters.skeleton(russian), letters.skeleton(english))
        if bones < OTHER_BONES:
            return DIFFERENT
        best = DIFFERENT
        forms = ((Levenshtein.normalized_similarity(plain, english), form) for form, plain in self._candidates(russian))
        for _, form in nlargest(MOST_FORMS, forms, itemgetter(0)):
            spelled = spelling.compare(form, english)
            if spelled.similarity > best.similarity:
                reason = TRANSCRIPTION if spelled.by_sound else TRANSLITERATION
                best = Likeness(spelled.similarity, (reason,), spelled.odd)
            if best.similarity == 1.0:
                break
        return best

    def _candidates(self, word: str) -> list[tuple[str, str]]:
        """Nominatives, and the places that adjectives come from, each with a plain romanisation, which ranks them."""
        if word not in self._romanised:
            forms = [_with_dots(form, word) for form in nominatives(word)]
            places = [form[:-4] for form in forms if form.endswith(("ский", "ская")) and len(form) > 6]
            self._romanised[word] = [(form, romanise(form)) for form in (*forms, *places)]
        return self._romanised[word]


def _with_dots(form: str, word: str) -> str:
    """A nominative with ``ё`` where the word has it."""
    return "".join("ё" if old == "ё" and new == "е" else new for new, old in zip_longest(form, word[: len(form)]))


def romanise(word: str) -> str:
    """A folded Cyrillic word letter by letter, each as its first scheme spells it."""
    return "".join(letters.CORRESPONDENCES.get(letter, ((letter, 0.0),))[0][0] for letter in word)


def _numbers(name: Sequence[str]) -> list[str]:
    return sorted(word for word in name if any(sign.isdigit() for sign in word))
