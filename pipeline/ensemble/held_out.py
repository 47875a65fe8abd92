"""Cross-validation of a fitted ensemble on the training documents that it was fitted to.

The base models have predicted these documents by cross-fitting, so none of them was trained on the document that it
predicts. Here the meta-classifier is fitted again, fold by fold, without the documents that it decides on. Only the few
temperatures, weights and hyperparameters of the ensemble were also fitted to them.
"""

from __future__ import annotations

from dataclasses import replace

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.ensemble.cross_fitting import fold_of, read_cross_fitting, trained_models
from multiner.pipeline.ensemble.identity import base_model_folders, load_ensemble
from multiner.pipeline.ensemble.meta_training import (
    FOLDS,
    DocumentCandidates,
    cross_validate,
    fit_meta_classifier,
    is_learnable,
)
from multiner.pipeline.ensemble.model import stack
from multiner.pipeline.ensemble.name_features import Gazetteer
from multiner.pipeline.models.training_documents import read_training


def held_out_spans(workspace: Workspace, language: str) -> list[tuple[Document, tuple[Span, ...]]]:
    """Each training document with the spans of an ensemble that was not fitted to it.

    There are none without cross-fitting, and none where a part of the documents is too small to fit a meta-classifier.

    Raises:
        NerError: the ensemble, or the predictions of a base model, are missing.
    """
    folds = workspace.section("ensemble", language)["folds"]
    if not folds:
        return []
    ensemble = load_ensemble(workspace.paths.ensemble(language), base_model_folders(workspace, language))
    names = [member.name for member in ensemble.members]
    models = dict(zip(names, ensemble.models, strict=True))
    train, tune = read_training(workspace, language)
    held_out = read_cross_fitting(
        workspace.paths.out_of_fold(language), train, models, trained_models(workspace, language), folds
    )
    if ensemble.meta_classifier is None:
        return [(document, ensemble.combine(document, rows).spans) for document, rows, _ in held_out]

    whole = Gazetteer.of(train)
    by_model = [model.predict(tune) for model in ensemble.models]
    fitting = [(document, [rows[at] for rows in by_model], whole) for at, document in enumerate(tune)] + held_out
    candidates = [
        DocumentCandidates.of(document, stack(rows, ensemble.members), ensemble.types, ensemble.labels, gazetteer)
        for document, rows, gazetteer in fitting
    ]
    best = cross_validate(candidates)
    spans: dict[str, tuple[Span, ...]] = {}
    for fold in range(FOLDS):
        part = [each for each in held_out if fold_of(each[0], FOLDS) == fold]
        ids = {document.id for document, _, _ in part}
        others = [each for each in candidates if each.document.id not in ids]
        if not is_learnable(others):  # a handful of documents, as in trial profiles
            return []
        classifier = fit_meta_classifier(others, names, ensemble.types, best, whole)
        for document, rows, gazetteer in part:
            ensemble.meta_classifier = replace(classifier, gazetteer=gazetteer)
            spans[document.id] = ensemble.combine(document, rows).spans
    return [(document, spans[document.id]) for document in train]
