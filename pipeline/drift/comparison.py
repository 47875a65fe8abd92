"""Whether two sketches differ: the population stability index of each measure, and a test of significance.

The index says how large a shift is, whatever the number of texts; the test, whether chance explains it. Both must speak
for a drift: by the test alone large numbers of texts would raise an alarm for any trifle, by the index alone small ones
would by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from multiner.pipeline.drift.measures import measure_of
from multiner.pipeline.drift.sketch import Sketch

FEWEST = 5  # texts that each side of a bin must be expected to have, as usual for the chi-squared test
TRAINING, WEEK_BEFORE = "training", "week before"
INFORMATIVE = ("length", TRAINING)  # people send sentences, corpora have articles: no reason to train anew


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on there is a drift.

    ``texts``: fewer are not compared. ``psi``: the least population stability index. ``alpha``: the most that the
    corrected p may be.
    """

    texts: int
    psi: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a measure has moved.

    Attributes:
        measure: its name.
        against: what it is compared with, ``training`` or ``week before``.
        texts: texts that were counted, live.
        reference: and in what they are compared with.
        psi: population stability index; 0 is none, below 0.1 is usually called small, above 0.25 large.
        p: probability of such a shift by chance, corrected for the number of comparisons.
        drifted: whether both thresholds are passed, and the measure decides.
    """

    measure: str
    against: str
    texts: float
    reference: float
    psi: float
    p: float
    drifted: bool = False

    @property
    def title(self) -> str:
        """The measure in words."""
        return measure_of(self.measure).title


def pooled(live: Sequence[float], reference: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Both histograms, neighbouring bins joined until each is expected to have FEWEST texts on either side."""
    totals = math.fsum(live), math.fsum(reference)
    share = min(totals) / math.fsum(totals)
    rest = math.fsum(totals) * share
    bins, own, other = [], 0.0, 0.0
    for mine, theirs in zip(live, reference, strict=True):
        own, other, rest = own + mine, other + theirs, rest - (mine + theirs) * share
        if (own + other) * share >= FEWEST and rest >= FEWEST:
            bins.append((own, other))
            own = other = 0.0
    left, right = zip(*bins, (own, other), strict=True)
    return np.array(left), np.array(right)


def stability_index(live: np.ndarray, reference: np.ndarray) -> float:
    """The population stability index of two histograms; half a text is added to each bin, so that none is empty."""
    p, q = (((side + 0.5) / (side.sum() + 0.5 * len(side))) for side in (live, reference))
    return float(((p - q) * np.log(p / q)).sum())


def chi_squared(live: np.ndarray, reference: np.ndarray) -> float:
    """The p of the chi-squared test that both histograms are of one population; 1 where there is a single bin."""
    if len(live) < 2:
        return 1.0
    from scipy.stats import chi2_contingency

    return float(chi2_contingency(np.stack([live, reference]), correction=False).pvalue)


def compare(live: Sketch, reference: Sketch, against: str, least: float) -> list[Shift]:
    """The shift of each measure that both sketches have, of ``least`` live texts or more; p not yet corrected."""
    shifts = []
    for measure in live.measures():
        sides = live.histogram(measure), reference.histogram(measure)
        texts, others = map(math.fsum, sides)
        if round(texts) >= least and round(others) >= min(least, 2 * FEWEST):
            bins = pooled(*sides)
            shifts.append(Shift(measure, against, texts, others, stability_index(*bins), chi_squared(*bins)))
    return shifts


def judged(shifts: Iterable[Shift], thresholds: Thresholds) -> list[Shift]:
    """The shifts with p corrected for their number (Benjamini and Hochberg), those beyond both thresholds marked.

    If nothing has drifted, the probability that any of them is marked is ``alpha`` at most.
    """
    from scipy.stats import false_discovery_control

    shifts = list(shifts)
    corrected = false_discovery_control([shift.p for shift in shifts]) if shifts else []
    return [
        replace(
            shift,
            p=float(p),
            drifted=bool(p <= thresholds.alpha and shift.psi >= thresholds.psi)
            and (shift.measure, shift.against) != INFORMATIVE,
        )
        for shift, p in zip(shifts, corrected, strict=True)
    ]
