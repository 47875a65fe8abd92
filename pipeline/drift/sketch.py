"""A sketch of texts: histograms of them and of the entities in them. It has no text, and a bounded size.

A text counts once in each histogram, however long it is: its sentences, or its entities, share its weight of 1. So
texts of one sentence and articles of fifty can be compared, and a test that takes texts as independent of each other
is right, although the sentences of one text resemble each other.
"""

from __future__ import annotations

import math
import re
import zlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from multiner.pipeline.drift.measures import ENTITIES, depends_on_version, measure_of
from multiner.pipeline.text.tokenizer import sentence_starts

LENGTH = "length"  # the measure that counts each text once
MOST_CHARACTERS = 2000  # of a text that are looked at, so that no text costs more
_WORD = re.compile(r"[^\W\d_]+")
_MARK = re.compile(r"(?<!\w)[#@]\w|https?:/|www\.\w", re.IGNORECASE)

Counts = dict[tuple[str, int], float]  # by measure and bin


@dataclass(frozen=True, slots=True)
class EntityTraits:
    """Of an entity: its first character, label, score, and the share of the legs that find the same; None: unknown."""

    start: int
    label: str
    score: float | None
    agreement: float | None


@dataclass
class Sketch:
    """Counts of texts by measure and bin. ``texts`` is how many texts there were, those not looked at included."""

    texts: int = 0
    counts: Counts = field(default_factory=lambda: defaultdict(float))

    def count(self, measure: str, value: float | str, weight: float = 1.0) -> None:
        """Count a value."""
        self.counts[measure, measure_of(measure).bin_of(value)] += weight

    def merge(self, other: Sketch) -> None:
        """Add the counts of another sketch."""
        self.texts += other.texts
        for key, weight in other.counts.items():
            self.counts[key] += weight

    def histogram(self, measure: str) -> list[float]:
        """The weight in each bin; its sum is the number of texts that were counted."""
        return [self.counts.get((measure, index), 0.0) for index in range(len(measure_of(measure).bins))]

    @property
    def texts_counted(self) -> int:
        """How many texts were looked at."""
        return round(math.fsum(self.histogram(LENGTH)))

    def measures(self) -> list[str]:
        """The measures with counts."""
        return sorted({measure for measure, _ in self.counts})

    def without_version(self) -> Sketch:
        """The counts that do not depend on the model version."""
        counts = {key: weight for key, weight in self.counts.items() if not depends_on_version(key[0])}
        return Sketch(self.texts, defaultdict(float, counts))

    def to_json(self) -> dict[str, Any]:
        """The histograms by measure."""
        return {"texts": self.texts} | {
            measure: [round(weight, 4) for weight in self.histogram(measure)] for measure in self.measures()
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sketch:
        """The sketch that :meth:`to_json` wrote."""
        sketch = cls(value["texts"])
        for measure, weights in value.items():
            if measure != "texts":
                sketch.counts.update({(measure, index): weight for index, weight in enumerate(weights) if weight})
        return sketch


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """The sum of sketches."""
    total = Sketch()
    for sketch in sketches:
        total.merge(sketch)
    return total


def vocabulary(texts: Iterable[str]) -> frozenset[int]:
    """Hashes of all words in texts; the words cannot be read from it."""
    return frozenset(map(_hash, {word for text in texts for word in _WORD.findall(text)}))


def _hash(word: str) -> int:
    return zlib.crc32(word.casefold().encode("utf-8", "replace"))


def traits(entities: Iterable[Mapping[str, Any]]) -> Iterator[EntityTraits]:
    """The traits of the entities in a model's answer."""
    for entity in entities:
        place = [entity["start"], entity["end"], entity["label"]]
        views = [[view.get(key) for key in ("start", "end", "label")] for view in (entity.get("legs") or {}).values()]
        agreement = views.count(place) / len(views) if views else None
        yield EntityTraits(entity["start"], entity["label"], entity.get("score"), agreement)


def add_text(sketch: Sketch, text: str, known: Set[int] | None = None) -> list[tuple[int, int]]:
    """Count what is seen of a text without its entities; with a :func:`vocabulary` also the words that this lacks.

    Returns the bounds of the sentences that were looked at, for :func:`add_entities`.
    """
    sketch.count(LENGTH, len(text))
    end = min(len(text), MOST_CHARACTERS)
    sentences = list(pairwise([*sentence_starts(text[:end]), end]))
    unknown = []
    for start, stop in sentences:
        words, weight = _WORD.findall(text, start, stop), 1 / len(sentences)
        sketch.count("sentence", len(words), weight)
        sketch.count("script", _script(words), weight)
        sketch.count("marks", _marks(text, start, stop), weight)
        number = len(words) or 1
        sketch.count("initials", sum([word[0].isupper() for word in words]) / number, weight)
        sketch.count("capitals", sum([len(word) > 1 and word.isupper() for word in words]) / number, weight)
        if words and known is not None:
            unknown.append(sum([_hash(word) not in known for word in words]) / number)
    for share in unknown:
        sketch.count("unknown", share, 1 / len(unknown))
    return sentences


def add_entities(
    sketch: Sketch, sentences: Sequence[tuple[int, int]], entities: Iterable[EntityTraits], types: Iterable[str]
) -> None:
    """Count the entities of a text, of each of ``types``."""
    if not sentences:
        return
    near = [entity for entity in entities if entity.start < sentences[-1][1]]
    starts = [start for start, _ in sentences]
    tally = Counter((entity.label, bisect_right(starts, entity.start)) for entity in near)
    for label in types:
        numbers = [number for (name, _), number in tally.items() if name == label]
        for number in numbers:
            sketch.count(ENTITIES + label, number, 1 / len(sentences))
        sketch.count(ENTITIES + label, 0, 1 - len(numbers) / len(sentences))
    for measure in ("score", "agreement"):
        values = [value for entity in near if (value := getattr(entity, measure)) is not None]
        for value in values:
            sketch.count(measure, value, 1 / len(values))


def _script(words: Iterable[str]) -> str:
    """The script of the words, by their first letters."""
    scripts = {_script_of(word[0]) for word in words}
    return next(iter(scripts), "no letters") if len(scripts) < 2 else "mixed"


def _script_of(letter: str) -> str:
    if letter < "\u0250":
        return "Latin"
    return "Cyrillic" if "\u0400" <= letter <= "\u052f" else "other"


def _marks(text: str, start: int, end: int) -> str:
    kinds = {mark[0] if mark[0] in "#@" else "URL" for mark in _MARK.findall(text, start, end)}
    return next(iter(kinds), "none") if len(kinds) < 2 else "several"
