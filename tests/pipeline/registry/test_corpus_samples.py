"""Golden samples from the training part: plain sentences with frequent names, the same ones each time."""

from __future__ import annotations

from multiner.pipeline.registry.gate.corpus_samples import SAMPLES, frequent_names
from tests.pipeline.models.conftest import invented


def test_samples_are_sentences_with_frequent_names() -> None:
    documents = invented(0, 24)
    samples = frequent_names(documents, ["PER", "LOC"])
    assert len(samples) == SAMPLES
    assert frequent_names(documents[::-1], ["PER", "LOC"]) == samples
    for sample in samples:
        assert [label for _, label in sample.entities] == ["PER", "LOC"]
        assert all(name in sample.text for name, _ in sample.entities)
    assert frequent_names(documents, ["PER"]) == [], "another type would be missed"
    assert frequent_names(invented(0, 1), ["PER", "LOC"]) == [], "no name is frequent"
