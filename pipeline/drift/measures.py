"""The histograms that texts and entities are counted in, with fixed bins, so that counts of any two times add up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

ENTITIES = "entities "  # and a type: the histogram of its entities in a sentence
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Measure:
    """A histogram: its title, the name of each bin and, for numbers, where each bin but the first begins."""

    title: str
    bins: tuple[str, ...]
    edges: tuple[float, ...] = ()

    def bin_of(self, value: float | str) -> int:
        """The bin of a number, or the bin of this name."""
        return self.bins.index(value) if isinstance(value, str) else bisect_right(self.edges, value)


def _numbers(title: str, *edges: int) -> Measure:
    """Bins of whole numbers; the first is below ``edges[0]``."""
    ranges = [f"{low}" if low == high - 1 else f"{low}–{high - 1}" for low, high in pairwise((0, *edges))]
    return Measure(title, (*ranges, f"{edges[-1]}+"), edges)


def _shares(title: str, *edges: int) -> Measure:
    """Bins of shares: none, those that end at ``edges`` (percent), the rest, and all."""
    ranges = [f"{low}–{high} %" for low, high in pairwise((0, *edges, 100))]
    return Measure(title, ("none", *ranges, "all"), (TINY, *(edge / 100 for edge in edges), 1 - TINY))


MEASURES: Mapping[str, Measure] = {
    "length": _numbers("Characters of a text", 20, 50, 100, 200, 500, 1000, 2000, 5000, 20000),
    "language": Measure("Language of a text, as other texts of the gateway have it", ("this", "another")),
    "sentence": _numbers("Words of a sentence", 1, 3, 6, 10, 15, 20, 30, 45),
    "script": Measure("Script of a sentence", ("no letters", "Latin", "Cyrillic", "other", "mixed")),
    "initials": _shares("Words of a sentence that begin with a capital", 10, 20, 35, 60),
    "capitals": _shares("Words of a sentence that are in capitals", 10, 20, 50),
    "marks": Measure("Hashtags, mentions and URLs in a sentence", ("none", "#", "@", "URL", "several")),
    "unknown": _shares("Words of a sentence that the training texts lack", 5, 10, 20, 35, 60),
    "score": Measure(
        "Scores of entities",
        ("<.3", ".3–", ".5–", ".6–", ".7–", ".8–", ".9–", ".95–", ".98–", ".99–"),
        (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99),
    ),
    "agreement": Measure("Legs that find an entity as the answer has it", ("none", "few", "most", "all"),
                         (TINY, 0.5, 1 - TINY)),
}  # fmt: skip
ENTITY_COUNT = _numbers("", 1, 2, 3, 5)


@cache
def measure_of(name: str) -> Measure:
    """The histogram of a name; that of a type's entities is titled by the type."""
    if name.startswith(ENTITIES):
        title = f"Entities of the type {name.removeprefix(ENTITIES)} in a sentence"
        return Measure(title, ENTITY_COUNT.bins, ENTITY_COUNT.edges)
    return MEASURES[name]


def depends_on_version(name: str) -> bool:
    """Whether a histogram depends on the model version that answered, not on the texts alone."""
    return name in ("unknown", "score", "agreement") or name.startswith(ENTITIES)
