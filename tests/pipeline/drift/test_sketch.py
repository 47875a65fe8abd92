"""What is counted of a text, and that counts add up."""

from __future__ import annotations

import json
import math

import pytest

from multiner.pipeline.drift.measures import MEASURES, measure_of
from multiner.pipeline.drift.sketch import (
    MOST_CHARACTERS,
    EntityTraits,
    Sketch,
    add_entities,
    add_text,
    merged,
    traits,
    vocabulary,
)

ARTICLE = "Ada Lovelace met BORIS in Oslo. They talked for an hour. Then it rained."
POST = "look @ada_l met #boris https://example.org/x"


def sketch_of(*texts: str, known: frozenset[int] | None = None) -> Sketch:
    sketch = Sketch(len(texts))
    for text in texts:
        add_text(sketch, text, known)
    return sketch


def shares(sketch: Sketch, measure: str) -> dict[str, float]:
    """The bins that have a weight."""
    histogram = sketch.histogram(measure)
    return {name: round(weight, 4) for name, weight in zip(measure_of(measure).bins, histogram, strict=True) if weight}


@pytest.mark.parametrize("text", [ARTICLE, POST, "Привет, Oslo!", "12:30 — 14:00", "x" * 5000])
def test_a_text_counts_once_however_many_sentences_it_has(text: str) -> None:
    sketch = sketch_of(text)
    for measure in sketch.measures():
        assert math.isclose(sum(sketch.histogram(measure)), 1.0), measure


def test_an_empty_text_has_a_length_and_nothing_else() -> None:
    sketch = sketch_of("")
    add_entities(sketch, [], [], ["PER"])
    assert sketch.measures() == ["length"]


def test_script_marks_and_capitals() -> None:
    assert shares(sketch_of(ARTICLE, POST), "marks") == {"none": 1.0, "several": 1.0}
    assert shares(sketch_of("see www.example.org"), "marks") == {"URL": 1.0}
    assert shares(sketch_of("C# and a lone # or @ or a@b.org"), "marks") == {"none": 1.0}
    scripts = shares(sketch_of("Ада спит", "Ada sleeps", "Ада sleeps", "12", "東京です"), "script")
    assert scripts == dict.fromkeys(("no letters", "Latin", "Cyrillic", "other", "mixed"), 1.0)
    assert shares(sketch_of("OSLO"), "capitals") == {"all": 1.0}
    assert shares(sketch_of("Ada sleeps"), "initials") == {"35–60 %": 1.0}


def test_words_that_the_training_lacks() -> None:
    known = vocabulary(["Ada met Boris"])
    assert shares(sketch_of("ADA met boris", known=known), "unknown") == {"none": 1.0}
    assert shares(sketch_of("Clara sleeps", known=known), "unknown") == {"all": 1.0}
    assert shares(sketch_of("12:30", known=known), "unknown") == {}, "no words, no share"
    assert "unknown" not in sketch_of("Clara sleeps").measures()
    assert all(isinstance(value, int) for value in known), "no words are kept"


def test_entities_are_counted_by_sentence_and_scores_by_entity() -> None:
    sketch = Sketch(1)
    entities = [
        EntityTraits(0, "PER", 0.95, 1.0),
        EntityTraits(17, "PER", 0.4, 0.0),
        EntityTraits(26, "LOC", None, None),
    ]
    add_entities(sketch, add_text(sketch, ARTICLE), entities, ["PER", "LOC", "ORG"])
    assert shares(sketch, "entities PER") == {"0": 0.6667, "2": 0.3333}
    assert shares(sketch, "entities LOC") == {"0": 0.6667, "1": 0.3333}
    assert shares(sketch, "entities ORG") == {"0": 1.0}
    assert shares(sketch, "score") == {".3–": 0.5, ".95–": 0.5}
    assert shares(sketch, "agreement") == {"none": 0.5, "all": 0.5}


def test_no_more_than_the_beginning_of_a_long_text_is_looked_at() -> None:
    sketch = Sketch(1)
    far = EntityTraits(MOST_CHARACTERS + 50, "PER", 0.5, None)
    add_entities(sketch, add_text(sketch, "ada sleeps. " * 10_000), [far], ["PER"])
    assert shares(sketch, "entities PER") == {"0": 1.0}
    assert shares(sketch, "length") == {"20000+": 1.0}


def test_agreement_is_the_share_of_legs_with_the_same_place_and_label() -> None:
    same = {"start": 0, "end": 3, "label": "PER", "score": 0.9}
    legs = {"a": same, "b": same | {"label": "ORG"}, "c": same | {"end": 4}, "d": dict.fromkeys(same)}
    (entity, alone) = traits([same | {"legs": legs}, same])
    assert (entity.agreement, alone.agreement, alone.score) == (0.25, None, 0.9)


def test_sketches_add_up_and_survive_json() -> None:
    parts = [sketch_of(ARTICLE), sketch_of(POST), sketch_of("Ада")]
    whole = sketch_of(ARTICLE, POST, "Ада")
    total = merged(parts)
    assert total.texts == 3
    for measure in whole.measures():
        assert total.histogram(measure) == pytest.approx(whole.histogram(measure))
    restored = Sketch.from_json(json.loads(json.dumps(whole.to_json())))
    assert restored.texts == 3
    assert restored.histogram("sentence") == pytest.approx(whole.histogram("sentence"), abs=1e-3)


def test_each_bin_has_a_name_and_each_edge_begins_one() -> None:
    for measure in MEASURES.values():
        if measure.edges:
            assert len(measure.bins) == len(measure.edges) + 1
            assert [measure.bin_of(edge) for edge in measure.edges] == list(range(1, len(measure.bins)))
        assert len(set(measure.bins)) == len(measure.bins)
