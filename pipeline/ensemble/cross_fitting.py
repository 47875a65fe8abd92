"""Cross-fitting: base models predict training documents that they were not trained on.

Where a language has few development documents, the ensemble is also fitted to these predictions (stacked
generalisation, Wolpert 1992). The training documents are divided into folds by hash. For each fold, the base models are
trained on the other folds and predict this one: the "out of fold" predictions.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from multiner.pipeline.config.settings import Workspace, for_language
from multiner.pipeline.core.document import Document, documents_hash
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import folder_hash, replace_folder
from multiner.pipeline.ensemble.name_features import Gazetteer
from multiner.pipeline.models.base import TokenClassifier, code_hash
from multiner.pipeline.models.training_documents import read_training

TRAINED = ("transformer", "spacy")
"""The base models that are trained on the corpora; pretrained ones need no folds."""
REMEDY = "Run: dvc repro out_of_fold"


def fold_of(document: Document, folds: int) -> int:
    """The fold of a document, by hash of its id."""
    return int(sha256(f"fold {document.id}".encode()).hexdigest()[:8], 16) % folds


def run(workspace: Workspace, language: str) -> None:
    """Stage ``out_of_fold``: train the base models fold by fold and write their predictions, ``<leg>.safetensors``.

    A language without folds (``ensemble.folds``) gets an empty folder. An interrupted run resumes after the last whole
    fold.
    """
    from safetensors.numpy import load_file, save_file

    paths, folds = workspace.paths, workspace.section("ensemble", language)["folds"]
    train, dev = read_training(workspace, language)
    names = trained_models(workspace, language) if folds else []
    parent = paths.checkpoints(language, "out_of_fold")
    checkpoints = parent / fingerprint(workspace, language, names, train, dev)
    with replace_folder(paths.out_of_fold(language)) as folder:
        for model in names:
            rows: dict[str, np.ndarray] = {}
            for fold in range(folds):
                path = checkpoints / f"{model}-{fold}.safetensors"
                if not path.is_file():
                    held_out = [document for document in train if fold_of(document, folds) == fold]
                    rest = [document for document in train if fold_of(document, folds) != fold]
                    predictions = train_and_predict_fold(workspace, language, model, rest, dev, held_out, checkpoints,
                                               name=f"{model}-fold-{fold + 1}")  # fmt: skip
                    partial = path.with_suffix(".partial")
                    save_file(predictions, partial)
                    partial.replace(path)
                rows |= load_file(path)
            save_file(rows, folder / f"{model}.safetensors")
    shutil.rmtree(parent, ignore_errors=True)


def trained_models(workspace: Workspace, language: str) -> list[str]:
    """The names of the base models that this language trains."""
    names = [name for name in workspace.params["ensemble"]["legs"] if name in TRAINED]
    if workspace.section("spacy", language)["pipeline"]:
        names = [name for name in names if name != "spacy"]  # a pretrained pipeline stands in its place
    return names


def fingerprint(
    workspace: Workspace, language: str, names: Sequence[str], train: Sequence[Document], dev: Sequence[Document]
) -> str:
    """A hash of everything that the predictions of these base models depend on."""
    from multiner.pipeline.models.transformer.encoders import content_hash
    from multiner.pipeline.models.transformer.training import encoder_of

    params = for_language(workspace.params, language)
    facts = [
        {section: params[section] for section in ("seed", "transformer", "spacy", "ensemble")},
        workspace.language(language)["types"],
        documents_hash(train),
        documents_hash(dev),
        content_hash(encoder_of(workspace, language)) if "transformer" in names else "",
        folder_hash(workspace.paths.vectors(language)) if "spacy" in names else "",
        code_hash(),
    ]
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def train_and_predict_fold(
    workspace: Workspace, language: str, model: str, train: Sequence[Document], dev: Sequence[Document],
    held_out: Sequence[Document], checkpoints: Path, *, name: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Train a base model on ``train``; returns its probabilities ``[tokens, labels]`` by id of each of ``held_out``.

    The trained model lies in ``checkpoints`` meanwhile, which is removed even after an interrupted run.
    """
    from multiner.pipeline.models.spacy import training as spacy_training
    from multiner.pipeline.models.spacy.inference import SpacyModel
    from multiner.pipeline.models.transformer import training as transformer_training
    from multiner.pipeline.models.transformer.network import TorchTransformer

    transformer = model == "transformer"
    training, loader = (transformer_training, TorchTransformer) if transformer else (spacy_training, SpacyModel)
    folder = checkpoints / name
    training.train_model(workspace, language, train, dev, folder=folder, name=name)
    rows = loader.load(folder).predict(held_out)
    shutil.rmtree(folder)
    return {document.id: each for document, each in zip(held_out, rows, strict=True)}


def read_cross_fitting(
    folder: Path, train: Sequence[Document], models: Mapping[str, TokenClassifier], trained: Collection[str], folds: int
) -> list[tuple[Document, list[np.ndarray], Gazetteer]]:
    """Each training document with the out-of-fold probabilities of each base model and the names of the other folds.

    Args:
        folder: the folder that :func:`run` wrote.
        train: the training documents.
        models: the base models of the ensemble, by name, in order.
        trained: the names of those that were trained on these documents; the others predict them here.
        folds: number of folds; 0: none.

    Raises:
        NerError: the predictions of a trained base model are missing, or of other documents than these.
    """
    from safetensors.numpy import load_file

    if not folds:
        return []
    by_model: list[list[np.ndarray]] = []
    for name, model in models.items():
        path = folder / f"{name}.safetensors"
        if name not in trained:
            by_model.append(model.predict(train))
        elif path.is_file():
            predictions = load_file(path)
            if any(len(predictions.get(document.id, ())) != len(document.tokens) for document in train):
                raise NerError("out-of-fold predictions are of other documents", where=str(path), remedy=REMEDY)
            by_model.append([predictions[document.id] for document in train])
        else:
            raise NerError("out-of-fold predictions are missing", where=str(path), remedy=REMEDY)
    names = [Gazetteer.of(other for other in train if fold_of(other, folds) != fold) for fold in range(folds)]
    return [
        (document, [rows[at] for rows in by_model], names[fold_of(document, folds)])
        for at, document in enumerate(train)
    ]
