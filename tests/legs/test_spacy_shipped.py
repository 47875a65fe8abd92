"""A shipped spaCy pipeline as a leg."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spacy

from pipeline.bio import bio_labels
from pipeline.decode import decode_spans
from pipeline.document import from_words
from pipeline.errors import NerError
from pipeline.legs import load_leg
from pipeline.legs.spacy_shipped import install


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A pipeline with OntoNotes' labels, by rules."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "PERSON", "pattern": "Ada Lovelace"}, {"label": "GPE", "pattern": "Oslo"},
         {"label": "NORP", "pattern": "Danish"}, {"label": "DATE", "pattern": "Monday"}]
    )  # fmt: skip
    nlp.to_disk(tmp_path / "shipped")
    return tmp_path / "shipped"


def test_its_labels_become_ours(shipped: Path, tmp_path: Path) -> None:
    types = ["PER", "LOC", "ORG"]
    install(str(shipped), types, tmp_path / "leg")
    leg = load_leg("spacy", tmp_path / "leg")
    document = from_words("d", [["On", "Monday", "Ada", "Lovelace"], ["left", "Danish", "Oslo"]])
    (rows,) = leg.predict([document])
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    found = decode_spans(rows, document.sentences, bio_labels(types))
    assert [(document.span_text(span), span.label) for span in found] == [("Ada Lovelace", "PER"), ("Oslo", "LOC")]


def test_what_cannot_be_a_leg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NerError, match="spacy download nowhere_sm"):
        install("nowhere_sm", ["PER"], tmp_path / "leg")
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(NerError, match="names no entities"):
        install(str(tmp_path / "blank"), ["PER"], tmp_path / "leg")
    assert not (tmp_path / "leg").exists()
