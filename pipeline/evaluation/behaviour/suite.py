"""Asks a model the cases of the behaviour suite and counts what it passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiner.pipeline.evaluation.behaviour.cases import (
    DIRECTION,
    INVARIANCE,
    BehaviourCase,
    MarkedText,
)

AnsweredEntity = Mapping[str, Any]
"""An entity as the API answers it: ``start``, ``end`` (code points), ``text``, ``label``, ``score``."""

EntityFinder = Callable[[Sequence[str]], Sequence[Sequence[AnsweredEntity]]]
"""Texts in; for each, in order, its entities."""

TOLERANCE = 0.1
"""How far a score may fall where it should rise, as in the CheckList paper."""


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What became of a case; ``reason`` says why it failed and is empty where it passed."""

    case: BehaviourCase
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the model does what the case asks."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class BehaviourReport:
    """The outcomes of all cases that were asked. Rates are percent of the cases passed."""

    outcomes: tuple[CaseOutcome, ...]

    @property
    def overall(self) -> float:
        """Pass rate over all cases."""
        return rate(self.outcomes)

    @property
    def must(self) -> float:
        """Pass rate over the cases that every model for use has to pass."""
        return rate([outcome for outcome in self.outcomes if outcome.case.must])

    @property
    def failures(self) -> list[CaseOutcome]:
        """The failed cases, in order."""
        return [outcome for outcome in self.outcomes if not outcome.passed]

    def among(self, cases: Sequence[BehaviourCase]) -> BehaviourReport:
        """What became of these cases only."""
        ids = {case.id for case in cases}
        return BehaviourReport(tuple(outcome for outcome in self.outcomes if outcome.case.id in ids))

    def by_capability(self) -> dict[str, list[CaseOutcome]]:
        """The outcomes of each capability, in the order of the suite."""
        found: dict[str, list[CaseOutcome]] = {}
        for outcome in self.outcomes:
            found.setdefault(outcome.case.capability, []).append(outcome)
        return found

    def rates(self) -> dict[str, float]:
        """Pass rate of each capability."""
        return {capability: rate(outcomes) for capability, outcomes in self.by_capability().items()}

    def to_json(self) -> dict[str, Any]:
        """Rates and failed cases, ready for JSON."""
        return {
            "cases": len(self.outcomes),
            "overall": self.overall,
            "must": self.must,
            "capabilities": self.rates(),
            "failures": [
                {"id": outcome.case.id, "text": outcome.case.text.text, "reason": outcome.reason}
                for outcome in self.failures
            ],
        }


def rate(outcomes: Sequence[CaseOutcome]) -> float:
    """Percent of the outcomes that passed, two decimals; 100 where there are none."""
    if not outcomes:
        return 100.0
    return round(100 * sum(outcome.passed for outcome in outcomes) / len(outcomes), 2)


def texts_of(cases: Sequence[BehaviourCase]) -> list[str]:
    """Every text that the cases need an answer to, once."""
    marked = [text for case in cases for text in (case.base, case.text) if text]
    return list(dict.fromkeys(text.text for text in marked))


def run_suite(cases: Sequence[BehaviourCase], model: EntityFinder) -> BehaviourReport:
    """Ask the model and judge its answers."""
    texts = texts_of(cases)
    return judge_all(cases, dict(zip(texts, model(texts), strict=True)))


def judge_all(cases: Sequence[BehaviourCase], answers: Mapping[str, Sequence[AnsweredEntity]]) -> BehaviourReport:
    """Judge answers by their text."""
    return BehaviourReport(
        tuple(
            CaseOutcome(case, judge(case, answers[case.text.text], answers[case.base.text] if case.base else ()))
            for case in cases
        )
    )


def judge(case: BehaviourCase, found: Sequence[AnsweredEntity], before: Sequence[AnsweredEntity] = ()) -> str:
    """Why a case failed, or an empty string.

    No kind is passed by silence: an invariance in which the model finds none of the marked entities, before or after,
    fails too, which is stricter than CheckList.

    Args:
        case: what was asked.
        found: the entities of its text.
        before: those of its base.
    """
    if case.kind == INVARIANCE:
        return _changed(case, found, before)
    if case.kind == DIRECTION:
        return _fell(case, found, before)
    expected = {(place.start, place.end, place.label) for place in case.text.entities}
    actual = {(entity["start"], entity["end"], entity["label"]) for entity in found}
    return _difference(case.text.text, expected, actual)


def _difference(text: str, expected: set[tuple[int, int, str]], actual: set[tuple[int, int, str]]) -> str:
    def named(places: set[tuple[int, int, str]]) -> str:
        return ", ".join(f"{label} {text[start:end]!r}" for start, end, label in sorted(places))

    parts = [("missed", expected - actual), ("wrongly found", actual - expected)]
    return "; ".join(f"{word} {named(places)}" for word, places in parts if places)


def _changed(case: BehaviourCase, found: Sequence[AnsweredEntity], before: Sequence[AnsweredEntity]) -> str:
    """Entities count as the same if they are the same mark of the two texts, or outside of the marks read the same."""
    assert case.base is not None
    old, new = _by_mark(case.base, before), _by_mark(case.text, found)
    if not any(isinstance(what, int) for what, _ in old | new):
        return f"none of the names is found, neither here nor in {case.base.text!r}"
    if old == new:
        return ""

    def named(marked: MarkedText, what: int | str) -> str:
        if isinstance(what, str):
            return repr(what)
        return repr(marked.text[marked.entities[what].start : marked.entities[what].end])

    lost = [f"{label} {named(case.base, what)}" for what, label in sorted(old - new, key=str)]
    gained = [f"{label} {named(case.text, what)}" for what, label in sorted(new - old, key=str)]
    parts = [("lost", lost), ("new", gained)]
    differences = "; ".join(f"{word} {', '.join(places)}" for word, places in parts if places)
    return f"answered otherwise than {case.base.text!r}: {differences}"


def _by_mark(marked: MarkedText, entities: Sequence[AnsweredEntity]) -> set[tuple[int | str, str]]:
    marks = {(place.start, place.end): index for index, place in enumerate(marked.entities)}
    return {
        (marks.get((entity["start"], entity["end"]), entity["text"].casefold()), entity["label"]) for entity in entities
    }


def _fell(case: BehaviourCase, found: Sequence[AnsweredEntity], before: Sequence[AnsweredEntity]) -> str:
    """The marked entities must be found, with no lower a score than in the base, less the tolerance."""
    assert case.base is not None
    reasons = []
    for old, new in zip(case.base.entities, case.text.entities, strict=True):
        name, was, now = case.text.text[new.start : new.end], _score(old, before), _score(new, found)
        if now == 0.0:
            reasons.append(f"missed {new.label} {name!r}")
        elif now < was - TOLERANCE:
            reasons.append(f"{new.label} {name!r} fell from {was:.2f} to {now:.2f}")
    return "; ".join(reasons)


def _score(place: Any, entities: Sequence[AnsweredEntity]) -> float:
    for entity in entities:
        if (entity["start"], entity["end"], entity["label"]) == (place.start, place.end, place.label):
            return float(entity["score"])
    return 0.0
