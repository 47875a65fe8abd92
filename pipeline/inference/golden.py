"""Golden samples: invented texts with plain names that every model must find, in answers of the right form."""

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
    """A text, and the entities that must be found in it, as (text, label)."""

    text: str
    entities: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """The judgement of the answers to all samples.

    Attributes:
        breaches: errors in the form of the answers.
        expected: number of expected entities.
        found: number of expected entities that were found.
        missed: the others, as ``label text``.
    """

    breaches: list[str]
    expected: int
    found: int
    missed: list[str]

    @property
    def share(self) -> float:
        """The share of the expected entities that were found; 1 where none are expected."""
        return self.found / self.expected if self.expected else 1.0


def samples(language: str) -> list[GoldenSample]:
    """The golden samples of a language; without any, the English texts without expected entities."""
    golden = read_json(FILE)
    if language not in golden:
        return [GoldenSample(entry["text"], ()) for entry in golden["en"]]
    return [
        GoldenSample(entry["text"], tuple((entity["text"], entity["label"]) for entity in entry["entities"]))
        for entry in golden[language]
    ]


def form_breaches(text: str, answer: Any, types: Sequence[str]) -> list[str]:
    """The errors in the form of an answer to ``text``: JSON, keys, types, offsets, order, overlap."""
    try:
        json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError) as error:
        return [f"no JSON: {error}"]
    if not isinstance(answer, dict) or not isinstance(answer.get("entities"), list):
        return ["no list of entities"]
    breaches, last = [], 0
    for entity in answer["entities"]:
        wrong_keys = [key for key, kind in ENTITY.items() if not isinstance(entity.get(key), kind)]
        if wrong_keys:
            breaches.append(f"missing or of the wrong kind: {', '.join(wrong_keys)}")
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


def judge(golden: Sequence[GoldenSample], answers: Sequence[Any], types: Sequence[str]) -> GoldenResult:
    """Compare answers with the samples, in the same order."""
    if len(answers) != len(golden):
        return GoldenResult([f"{len(answers)} answers to {len(golden)} texts"], 0, 0, [])
    breaches: list[str] = []
    missed: list[str] = []
    expected = 0
    for sample, answer in zip(golden, answers, strict=True):
        errors = form_breaches(sample.text, answer, types)
        breaches += [f"{sample.text[:40]!r}: {error}" for error in errors]
        entities = set() if errors else {(entity["text"], entity["label"]) for entity in answer["entities"]}
        expected += len(sample.entities)
        missed += [f"{label} {text}" for text, label in sample.entities if (text, label) not in entities]
    return GoldenResult(breaches, expected, expected - len(missed), missed)
