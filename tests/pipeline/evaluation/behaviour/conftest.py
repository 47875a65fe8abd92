"""A small suite, and models by rule that find listed names, so that what they pass and fail is known beforehand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import pytest

from multiner.pipeline.evaluation.behaviour import BehaviourCase
from multiner.pipeline.evaluation.behaviour.cases import expand
from multiner.pipeline.evaluation.behaviour.suite import AnsweredEntity, EntityFinder

SUITE = {
    "names": {"person": ["Ada Sterling", "Boris Hale"], "city": ["Oslo", "Lima"]},
    "capabilities": {
        "plain": [{"kind": "minimum", "must": True, "texts": ["[{person}](PER) left [{city}](LOC)."], "fills": 2}],
        "no_names": [{"kind": "minimum", "texts": ["Nothing was found."]}],
        "lower_case": [{"kind": "invariance", "case": "lower", "texts": ["[{person}](PER) left [{city}](LOC)."]}],
        "swapped": [{"kind": "invariance", "swap": {"city": "city"}, "texts": ["He saw [{city}](LOC)."]}],
        "evidence": [{"kind": "direction", "texts": [["[Oslo](LOC) it is.", "The city of [Oslo](LOC) it is."]]}],
    },
}
NAMES = {"Ada Sterling": "PER", "Boris Hale": "PER", "Oslo": "LOC", "Lima": "LOC"}
Lister = Callable[..., EntityFinder]


@pytest.fixture
def cases() -> list[BehaviourCase]:
    """The cases of the small suite."""
    return expand(SUITE)


@pytest.fixture
def names() -> dict[str, str]:
    """The names of the small suite with their types."""
    return dict(NAMES)


@pytest.fixture
def lister() -> Lister:
    """Makes a model that finds the names it is given, by label, wherever they stand as whole words."""

    def make(
        names: Mapping[str, str], flags: int = 0, score: Callable[[str], float] = lambda text: 0.9
    ) -> EntityFinder:
        def entities(text: str) -> list[AnsweredEntity]:
            predictions = [
                {"start": match.start(), "end": match.end(), "text": match[0], "label": label, "score": score(text)}
                for name, label in names.items()
                for match in re.finditer(rf"\b{re.escape(name)}\b", text, flags)
            ]
            return sorted(predictions, key=lambda entity: entity["start"])

        return lambda texts: [entities(text) for text in texts]

    return make


@pytest.fixture
def silent() -> EntityFinder:
    """A model that never finds anything."""

    def model(texts: Sequence[str]) -> list[list[AnsweredEntity]]:
        return [[] for _ in texts]

    return model
