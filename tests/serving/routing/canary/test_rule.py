"""The rule that ends a canary, by its error rates in simulated canaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from multiner.serving.routing.canary.rule import (
    FALSE_ALARM,
    LOSSES,
    MISS,
    STEP,
    CanaryCounts,
    CanaryRule,
    decide,
    measures,
)

RULE = CanaryRule(calls=200, seconds=3600.0, different=0.3)
ACCEPTABLE = {"failures": 0.005, "slower": 0.5, "different": 0.3, "shifted": 0.2}
INTOLERABLE = {"failures": 0.03, "slower": 0.7, "different": 0.3 + STEP, "shifted": 0.2 + STEP}
CANARIES = 400
MOST_CALLS = 4000  # of a simulated canary


@dataclass(frozen=True)
class Outcomes:
    """Shares of the simulated canaries by their verdict, and the median number of calls."""

    passed: float
    failed: float
    calls: float


def simulate(shares: dict[str, float], seed: int = 13) -> Outcomes:
    """Canaries whose calls go worse with these probabilities, looked at after each 10 calls."""
    chance = np.random.default_rng(seed)
    verdicts, lengths = [], []
    for _ in range(CANARIES):
        sums = {name: np.cumsum(chance.random(MOST_CALLS) < share) for name, share in shares.items()}
        for calls in range(10, MOST_CALLS + 1, 10):
            worse = {name: int(total[calls - 1]) for name, total in sums.items()}
            counts = CanaryCounts(calls=calls, compared=calls, scored=calls, **worse)
            verdict, _ = decide(counts, RULE, 0.0)
            if verdict != "running":
                break
        verdicts.append(verdict)
        lengths.append(calls)
    return Outcomes(verdicts.count("passed") / CANARIES, verdicts.count("failed") / CANARIES, float(np.median(lengths)))


def margin(share: float) -> float:
    """What a simulated share may lie above the true one by chance: three standard errors."""
    return 3 * float(np.sqrt(share * (1 - share) / CANARIES))


def test_a_version_at_the_border_of_what_is_acceptable_rarely_fails() -> None:
    outcomes = simulate(ACCEPTABLE)
    assert outcomes.failed <= FALSE_ALARM + margin(FALSE_ALARM)
    assert outcomes.passed >= 1 - FALSE_ALARM - margin(FALSE_ALARM)


def test_an_equal_version_passes_with_the_least_number_of_calls() -> None:
    outcomes = simulate({"failures": 0.0, "slower": 0.1, "different": 0.1, "shifted": 0.05})
    assert (outcomes.passed, outcomes.failed, outcomes.calls) == (1.0, 0.0, RULE.calls)


@pytest.mark.parametrize("measure", ACCEPTABLE)
def test_a_version_that_is_intolerable_by_one_measure_rarely_passes(measure: str) -> None:
    outcomes = simulate(ACCEPTABLE | {measure: INTOLERABLE[measure]})
    assert outcomes.passed <= MISS + margin(MISS)
    assert outcomes.failed >= 1 - MISS - margin(MISS)


@pytest.mark.parametrize(("measure", "most"), [("failures", 10), ("slower", 20), ("different", 20), ("shifted", 20)])
def test_a_version_that_always_goes_worse_fails_after_a_few_calls(measure: str, most: int) -> None:
    outcomes = simulate({"failures": 0.0, "slower": 0.1, "different": 0.1, "shifted": 0.05} | {measure: 1.0})
    assert outcomes.failed == 1.0
    assert outcomes.calls <= most


def test_a_reason_names_what_was_bad() -> None:
    verdict, reason = decide(CanaryCounts(calls=40, failures=6, compared=34), RULE, 0.0)
    assert (verdict, reason) == ("failed", "6 of 40 calls failed (acceptable: 0.5%)")


def test_with_too_little_traffic_the_gates_verdict_stands_at_the_time_limit() -> None:
    few = CanaryCounts(calls=3, compared=2, different=1)
    assert decide(few, RULE, 3599.0)[0] == "running"
    assert decide(few, RULE, 3600.0) == ("passed", "the time is up, and 3 calls have shown nothing bad")
    bad = CanaryCounts(calls=20, failures=20)
    assert decide(bad, RULE, 3600.0)[0] == "failed", "the time limit excuses nothing"


def test_too_few_calls_never_pass_before_the_time_limit() -> None:
    counts = CanaryCounts(calls=RULE.calls - 1, compared=RULE.calls - 1, scored=RULE.calls - 1)
    assert decide(counts, RULE, 0.0)[0] == "running"
    assert decide(counts + CanaryCounts(calls=1), RULE, 0.0)[0] == "passed"


def test_a_version_whose_process_ends_again_and_again_fails() -> None:
    assert decide(CanaryCounts(losses=LOSSES - 1), RULE, 0.0)[0] == "running"
    assert decide(CanaryCounts(losses=LOSSES), RULE, 0.0) == ("failed", f"its process ended {LOSSES} times")


def test_counts_of_gateways_add_up_and_only_they_matter() -> None:
    one, other = CanaryCounts(calls=5, failures=1), CanaryCounts(calls=7, compared=3, losses=1)
    assert one + other == CanaryCounts(calls=12, failures=1, compared=3, losses=1)
    assert [measure.calls for measure in measures(one + other, RULE)] == [12, 3, 3, 0]
