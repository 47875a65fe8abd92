"""The rule that ends a canary: counts of its calls in, a verdict out. It reads no clock and asks no model.

Each measure is the share of the canary's calls that went worse than with the version before. Wald's sequential
probability ratio test compares an acceptable share with an intolerable one. It may be looked at after any number of
calls: a version whose shares are all acceptable fails with a probability of at most ``FALSE_ALARM``, and one with an
intolerable share passes the test with a probability of at most ``MISS``. Both bounds follow from Ville's inequality.
They hold as long as each call goes worse with at most (or at least) that probability, whatever came before.

Source: Wald (1945), Sequential Tests of Statistical Hypotheses. Annals of Mathematical Statistics 16.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import log
from typing import Literal

FALSE_ALARM, MISS = 0.05, 0.05
MEASURES = 4  # share FALSE_ALARM between them
STEP = 0.15  # from the acceptable share to the intolerable one, where no other is given
LOSSES = 3  # lost processes that end a canary
Verdict = Literal["running", "passed", "failed"]


@dataclass(frozen=True, slots=True)
class CanaryCounts:
    """Counts of a canary; those of several gateways add up.

    ``failures`` of its ``calls`` failed although the version before answered. The version before answered ``compared``
    of the others, too: ``slower`` were slower here, ``different`` had other entities. Both found entities in
    ``scored`` calls, ``shifted`` of them with other scores. ``losses`` is the number of processes that were lost.
    """

    calls: int = 0
    failures: int = 0
    compared: int = 0
    slower: int = 0
    different: int = 0
    scored: int = 0
    shifted: int = 0
    losses: int = 0

    def __add__(self, other: CanaryCounts) -> CanaryCounts:
        """The counts of both."""
        return CanaryCounts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class CanaryRule:
    """When a canary ends: after at least ``calls`` calls that speak for it, or after ``seconds``.

    ``different`` is the acceptable share of calls with other entities.
    """

    calls: int
    seconds: float
    different: float


@dataclass(frozen=True, slots=True)
class Measure:
    """``worse`` of ``calls`` went worse; a share up to ``acceptable`` is right, ``intolerable`` is wrong."""

    text: str
    worse: int
    calls: int
    acceptable: float
    intolerable: float

    @property
    def evidence(self) -> float:
        """The logarithm of the likelihood ratio of the intolerable share to the acceptable one."""
        good, bad = self.acceptable, self.intolerable
        return self.worse * log(bad / good) + (self.calls - self.worse) * log((1 - bad) / (1 - good))

    @property
    def is_bad(self) -> bool:
        """Whether the test has decided for the intolerable share."""
        return self.evidence >= log(MEASURES / FALSE_ALARM)

    @property
    def is_good(self) -> bool:
        """Whether the test has decided for the acceptable share."""
        return self.evidence <= log(MISS)

    def __str__(self) -> str:
        return f"{self.worse:,} of {self.calls:,} calls {self.text} (acceptable: {self.acceptable:.1%})"


def measures(counts: CanaryCounts, rule: CanaryRule) -> Iterator[Measure]:
    """The measures, in the order in which a reason names them."""
    yield Measure("failed", counts.failures, counts.calls, 0.005, 0.03)
    yield Measure("were slower", counts.slower, counts.compared, 0.5, 0.7)
    yield Measure("had other entities", counts.different, counts.compared, rule.different, rule.different + STEP)
    yield Measure("had other scores", counts.shifted, counts.scored, 0.2, 0.2 + STEP)


def decide(counts: CanaryCounts, rule: CanaryRule, seconds: float) -> tuple[Verdict, str]:
    """The verdict on a canary after ``seconds``, and its reason.

    At the time limit it passes unless a measure is bad: the gate has passed this version before, and what the canary
    has shown is too little to overrule it.
    """
    all_measures = list(measures(counts, rule))
    if bad := [str(measure) for measure in all_measures if measure.is_bad]:
        return "failed", "; ".join(bad)
    if counts.losses >= LOSSES:
        return "failed", f"its process ended {counts.losses} times"
    if counts.calls >= rule.calls and all(measure.is_good for measure in all_measures):
        return "passed", f"{counts.calls:,} calls, none of the measures bad"
    if seconds >= rule.seconds:
        return "passed", f"the time is up, and {counts.calls:,} calls have shown nothing bad"
    return "running", f"{counts.calls:,} of at least {rule.calls:,} calls"
