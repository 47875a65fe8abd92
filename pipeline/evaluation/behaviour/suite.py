"""Running the cases of the behaviour suite on a model, and judging its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiner.pipeline.evaluation.behaviour.cases import DIRECTION, INVARIANCE, BehaviourCase, MarkedEntity, MarkedText

AnsweredEntity = Mapping[str, Any]
"""An entity as in the API's answers: ``start``, ``end`` (code points), ``text``, ``label``, ``score``."""

EntityFinder = Callable[[Sequence[str]], Sequence[Sequence[AnsweredEntity]]]
"""Maps texts to the entities of each, in order."""

TOLERANCE = 0.1
"""How much a score may fall where it should rise, as in the CheckList paper."""


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """The outcome of a case; ``reason`` says why it failed, and is empty if it passed."""

    case: BehaviourCase
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the model passed the case."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class BehaviourReport:
    """The outcomes of all cases of a run. Rates are in percent of the cases."""

    outcomes: tuple[CaseOutcome, ...]

    @property
    def overall(self) -> float:
        """Pass rate over all cases."""
        return rate(self.outcomes)

    @property
    def must(self) -> float:
        """Pass rate over the cases that a model must pass to be used."""
        return rate([outcome for outcome in self.outcomes if outcome.case.must])

    @property
    def failures(self) -> list[CaseOutcome]:
        """The failed cases, in order."""
        return [outcome for outcome in self.outcomes if not outcome.passed]

    def among(self, cases: Sequence[BehaviourCase]) -> BehaviourReport:
        """The outcomes of these cases only."""
        ids = {case.id for case in cases}
        return BehaviourReport(tuple(outcome for outcome in self.outcomes if outcome.case.id in ids))

    def by_capability(self) -> dict[str, list[CaseOutcome]]:
        """The outcomes of each capability, in the order of the suite."""
        result: dict[str, list[CaseOutcome]] = {}
        for outcome in self.outcomes:
            result.setdefault(outcome.case.capability, []).append(outcome)
        return result

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
    """Percent of the outcomes that passed, with two decimals; 100 without outcomes."""
    if not outcomes:
        return 100.0
    return round(100 * sum(outcome.passed for outcome in outcomes) / len(outcomes), 2)


def texts_of(cases: Sequence[BehaviourCase]) -> list[str]:
    """The texts of all cases, each once."""
    marked = [text for case in cases for text in (case.base, case.text) if text]
    return list(dict.fromkeys(text.text for text in marked))


def run_suite(cases: Sequence[BehaviourCase], model: EntityFinder) -> BehaviourReport:
    """Run the cases on a model, and judge its answers."""
    texts = texts_of(cases)
    return judge_all(cases, dict(zip(texts, model(texts), strict=True)))


def judge_all(cases: Sequence[BehaviourCase], answers: Mapping[str, Sequence[AnsweredEntity]]) -> BehaviourReport:
    """Judge the answers, given as text → entities."""
    return BehaviourReport(
        tuple(
            CaseOutcome(case, judge(case, answers[case.text.text], answers[case.base.text] if case.base else ()))
            for case in cases
        )
    )


def judge(case: BehaviourCase, entities: Sequence[AnsweredEntity], base: Sequence[AnsweredEntity] = ()) -> str:
    """Why a case failed, or an empty string; ``entities`` are those found in its text, ``base`` those in its base.

    A model without any answer passes no case: an invariance also fails if none of the marked entities is found in
    either text, which is stricter than CheckList.
    """
    if case.kind == INVARIANCE:
        return _judge_invariance(case, entities, base)
    if case.kind == DIRECTION:
        return _judge_direction(case, entities, base)
    text = case.text.text
    expected = {(mark.start, mark.end, mark.label) for mark in case.text.entities}
    actual = {(entity["start"], entity["end"], entity["label"]) for entity in entities}

    def listed(places: set[tuple[int, int, str]]) -> str:
        return ", ".join(f"{label} {text[start:end]!r}" for start, end, label in sorted(places))

    differences = [("missed", expected - actual), ("wrongly found", actual - expected)]
    return "; ".join(f"{word} {listed(places)}" for word, places in differences if places)


def _judge_invariance(case: BehaviourCase, entities: Sequence[AnsweredEntity], base: Sequence[AnsweredEntity]) -> str:
    """Entities of the two texts are equal if they are the same marked entity or, unmarked, have the same text."""
    assert case.base is not None
    old, new = _by_mark(case.base, base), _by_mark(case.text, entities)
    if not any(isinstance(mark, int) for mark, _ in old | new):
        return f"none of the names is found, neither here nor in {case.base.text!r}"
    if old == new:
        return ""

    def name(marked: MarkedText, mark: int | str) -> str:
        if isinstance(mark, str):
            return repr(mark)
        return repr(marked.text[marked.entities[mark].start : marked.entities[mark].end])

    lost = [f"{label} {name(case.base, mark)}" for mark, label in sorted(old - new, key=str)]
    gained = [f"{label} {name(case.text, mark)}" for mark, label in sorted(new - old, key=str)]
    parts = [("lost", lost), ("new", gained)]
    differences = "; ".join(f"{word} {', '.join(places)}" for word, places in parts if places)
    return f"answered otherwise than {case.base.text!r}: {differences}"


def _by_mark(marked: MarkedText, entities: Sequence[AnsweredEntity]) -> set[tuple[int | str, str]]:
    """The entities as (index of the marked entity or, unmarked, the text; label)."""
    marks = {(mark.start, mark.end): index for index, mark in enumerate(marked.entities)}
    return {
        (marks.get((entity["start"], entity["end"]), entity["text"].casefold()), entity["label"]) for entity in entities
    }


def _judge_direction(case: BehaviourCase, entities: Sequence[AnsweredEntity], base: Sequence[AnsweredEntity]) -> str:
    """The model must find the marked entities, and their scores may fall by the tolerance at most."""
    assert case.base is not None
    reasons = []
    for old, new in zip(case.base.entities, case.text.entities, strict=True):
        name, old_score, new_score = case.text.text[new.start : new.end], _score(old, base), _score(new, entities)
        if new_score == 0.0:
            reasons.append(f"missed {new.label} {name!r}")
        elif new_score < old_score - TOLERANCE:
            reasons.append(f"{new.label} {name!r} fell from {old_score:.2f} to {new_score:.2f}")
    return "; ".join(reasons)


def _score(mark: MarkedEntity, entities: Sequence[AnsweredEntity]) -> float:
    for entity in entities:
        if (entity["start"], entity["end"], entity["label"]) == (mark.start, mark.end, mark.label):
            return float(entity["score"])
    return 0.0
