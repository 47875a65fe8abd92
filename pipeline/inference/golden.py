"""Golden samples: invented texts that every model must answer in due form, and whose plain names it must find."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiner.pipeline.core.files import read_json

FILE = Path(__file__).with_name("golden.json")
ENTITY = {"start": int, "end": int, "text": str, "label": str, "score": float, "legs": dict}


@dataclass(frozen=True, slots=True)
class GoldenSample:
    """A text and the entities, as (text, label), that must be found in it."""

    text: str
    entities: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """``breaches`` of the form, and how many of the ``expected`` entities were ``found``; ``missed`` names the rest."""

    breaches: list[str]
    expected: int
    found: int
    missed: list[str]

    @property
    def share(self) -> float:
        """The share of the expected entities that were found; 1 where none are expected."""
        return self.found / self.expected if self.expected else 1.0


def samples(language: str) -> list[GoldenSample]:
    """The golden samples of a language; a language without any is asked those of form only, taken from English."""
    golden = read_json(FILE)
    known = golden.get(language)
    if known is None:
        return [GoldenSample(entry["text"], ()) for entry in golden["en"]]
    return [
        GoldenSample(entry["text"], tuple((entity["text"], entity["label"]) for entity in entry["entities"]))
        for entry in known
    ]


def form_breaches(text: str, answer: Any, types: Sequence[str]) -> list[str]:
    """What is wrong with the form of an answer to ``text``: keys, kinds, exact offsets, order, overlap, JSON."""
    try:
        json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError) as error:
        return [f"no JSON: {error}"]
    if not isinstance(answer, dict) or not isinstance(answer.get("entities"), list):
        return ["no list of entities"]
    breaches, last = [], 0
    for entity in answer["entities"]:
        wrong = [key for key, kind in ENTITY.items() if not isinstance(entity.get(key), kind)]
        if wrong:
            breaches.append(f"missing or of the wrong kind: {', '.join(wrong)}")
            continue
        start, end = entity["start"], entity["end"]
        if not (last <= start < end <= len(text)):
            breaches.append(f"offsets {start}:{end} overlap, are out of order or lie outside of the text")
        elif text[start:end] != entity["text"]:
            breaches.append(f"offsets {start}:{end} do not match the entity {entity['text']!r}")
        if entity["label"] not in types:
            breaches.append(f"unknown label {entity['label']!r}")
        if not 0.0 <= entity["score"] <= 1.0:
            breaches.append(f"score {entity['score']} lies outside of 0 to 1")
        last = max(last, end)
    if not text.strip() and answer["entities"]:
        breaches.append("entities in an empty text")
    return breaches


def judge(asked: Sequence[GoldenSample], answers: Sequence[Any], types: Sequence[str]) -> GoldenResult:
    """Hold the answers against the samples, in the same order."""
    if len(answers) != len(asked):
        return GoldenResult([f"{len(answers)} answers to {len(asked)} texts"], 0, 0, [])
    breaches: list[str] = []
    missed: list[str] = []
    expected = 0
    for sample, answer in zip(asked, answers, strict=True):
        wrong = form_breaches(sample.text, answer, types)
        breaches += [f"{sample.text[:40]!r}: {breach}" for breach in wrong]
        found = set() if wrong else {(entity["text"], entity["label"]) for entity in answer["entities"]}
        expected += len(sample.entities)
        missed += [f"{label} {text}" for text, label in sample.entities if (text, label) not in found]
    return GoldenResult(breaches, expected, expected - len(missed), missed)
