"""Predictions of training documents by ensembles that were not fitted to them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.ensemble import held_out
from multiner.pipeline.ensemble.features import feature_names
from multiner.pipeline.ensemble.meta_classifier import MetaClassifier
from multiner.pipeline.ensemble.model import Ensemble, Member
from multiner.pipeline.ensemble.name_features import Gazetteer

TYPES = ["PER", "LOC"]
LABELS = bio_labels(TYPES)


class Guess:
    """A base model that finds the first word as PER in every document, more or less certainly."""

    labels = LABELS

    def predict(self, documents: list[Document]) -> list[np.ndarray]:
        return [rows(document) for document in documents]


def rows(document: Document) -> np.ndarray:
    """Probabilities for a document."""
    table = np.full((len(document.tokens), len(LABELS)), 0.02)
    table[:, 0] = 0.9
    table[0] = 0.05
    table[0, LABELS.index("B-PER")] = 0.6 + 0.3 * (len(document.tokens) % 2)
    return table / table.sum(1, keepdims=True)


def documents(split: str, number: int) -> list[Document]:
    """Documents in which the first word is a person, unless the document is short."""
    words = [["Ada", "slept"] if n % 2 else ["Ada", "slept", "well"] for n in range(number)]
    spans = [[Span(0, 1, "PER")] if n % 2 == 0 else [] for n in range(number)]
    return [
        from_words(f"{split}-{n}", [row], gold, corpus="c", split=split)
        for n, (row, gold) in enumerate(zip(words, spans, strict=True))
    ]


@pytest.fixture
def workspace(tmp_path, root, monkeypatch: pytest.MonkeyPatch) -> Workspace:  # noqa: ANN001
    """A workspace whose stages are stubs; the ensemble has one base model and a meta-classifier."""
    train, tune = documents("train", 40), documents("dev", 10)
    names = tuple(feature_names(["transformer"], TYPES))
    classifier = MetaClassifier(names, np.zeros(len(names)), 0.0, (0.5, 0.5), Gazetteer())
    ensemble = Ensemble("en", TYPES, [Member("transformer", 1.0, 1.0)], [Guess()], classifier)
    monkeypatch.setattr(held_out, "load_ensemble", lambda *_: ensemble)
    monkeypatch.setattr(held_out, "read_training", lambda *_: (train, tune))
    monkeypatch.setattr(
        held_out, "read_cross_fitting", lambda *_: [(document, [rows(document)], Gazetteer()) for document in train]
    )
    plain = Workspace(tmp_path, load_params(root, "cpu"))
    folds = {"ensemble": {"legs": ["transformer"]}, "languages": {"en": {"ensemble": {"folds": 3}}}}
    return replace(plain, params=overlay(plain.params, folds))


def test_no_document_is_decided_on_by_a_meta_classifier_that_was_fitted_to_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[set[str]] = []
    fit, combine = held_out.fit_meta_classifier, Ensemble.combine

    def recording_fit(candidates, *rest):  # noqa: ANN001, ANN202
        fitted.append({each.document.id for each in candidates})
        return fit(candidates, *rest)

    def recording_combine(self, document, *rest):  # noqa: ANN001, ANN202
        assert document.id not in fitted[-1]
        return combine(self, document, *rest)

    monkeypatch.setattr(held_out, "fit_meta_classifier", recording_fit)
    monkeypatch.setattr(Ensemble, "combine", recording_combine)
    result = held_out.held_out_spans(workspace, "en")
    assert [document.id for document, _ in result] == [f"train-{n}" for n in range(40)]
    assert len(fitted) == held_out.FOLDS
    assert all("dev-0" in ids for ids in fitted), "the tune half always counts"
    right = sum([replace(span, score=None) for span in spans] == list(document.spans) for document, spans in result)
    assert right == 40, "it has learned when to believe the base model"


def test_without_cross_fitting_there_is_nothing(workspace: Workspace) -> None:
    params = overlay(workspace.params, {"languages": {"en": {"ensemble": {"folds": 0}}}})
    assert held_out.held_out_spans(replace(workspace, params=params), "en") == []


def test_without_a_meta_classifier_the_pool_decides(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    spans = (Span(0, 1, "PER"),)
    member = SimpleNamespace(name="transformer")
    pool = SimpleNamespace(
        members=[member], models=[Guess()], meta_classifier=None, combine=lambda *_: SimpleNamespace(spans=spans)
    )
    monkeypatch.setattr(held_out, "load_ensemble", lambda *_: pool)
    assert {each for _, each in held_out.held_out_spans(workspace, "en")} == {spans}
