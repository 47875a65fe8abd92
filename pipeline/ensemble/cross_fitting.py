"""Out-of-fold predictions: what legs say of training documents that they were trained without.

Where a language has few development documents, the ensemble learns from these instead (stacked generalisation, Wolpert
1992). The training documents are divided into folds by hash; for each fold the legs are trained on the others.
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
from multiner.pipeline.models.base import Leg, code_hash
from multiner.pipeline.models.training_documents import read_training

TRAINED = ("transformer", "spacy")
"""Legs that learn from the corpora; others (shipped ones) have not seen them and need no folds."""


def fold_of(document: Document, folds: int) -> int:
    """The fold of a document, by hash of its id."""
    return int(sha256(f"fold {document.id}".encode()).hexdigest()[:8], 16) % folds


def run(workspace: Workspace, language: str) -> None:
    """Stage ``out_of_fold``: train the legs fold by fold and write their predictions, ``<leg>.safetensors``.

    A language without folds (``ensemble.folds``) gets an empty folder. A killed run goes on after the last whole fold.
    """
    from safetensors.numpy import load_file, save_file

    paths, folds = workspace.paths, workspace.section("ensemble", language)["folds"]
    train, dev = read_training(workspace, language)
    legs = trained_legs(workspace, language) if folds else []
    parent = paths.checkpoints(language, "out_of_fold")
    kept = parent / fingerprint(workspace, language, legs, train, dev)
    with replace_folder(paths.out_of_fold(language)) as folder:
        for leg in legs:
            rows: dict[str, np.ndarray] = {}
            for fold in range(folds):
                path = kept / f"{leg}-{fold}.safetensors"
                if not path.is_file():
                    held = [document for document in train if fold_of(document, folds) == fold]
                    rest = [document for document in train if fold_of(document, folds) != fold]
                    found = predict_fold(workspace, language, leg, rest, dev, held, kept, name=f"{leg}-fold-{fold + 1}")
                    partial = path.with_suffix(".partial")
                    save_file(found, partial)
                    partial.replace(path)
                rows |= load_file(path)
            save_file(rows, folder / f"{leg}.safetensors")
    shutil.rmtree(parent, ignore_errors=True)


def trained_legs(workspace: Workspace, language: str) -> list[str]:
    """The legs of the ensemble that training makes."""
    legs = [leg for leg in workspace.params["ensemble"]["legs"] if leg in TRAINED]
    if workspace.section("spacy", language)["pipeline"]:
        legs = [leg for leg in legs if leg != "spacy"]  # a shipped pipeline stands in its place
    return legs


def fingerprint(
    workspace: Workspace, language: str, legs: Sequence[str], train: Sequence[Document], dev: Sequence[Document]
) -> str:
    """A hash over what the predictions of these legs follow from."""
    from multiner.pipeline.models.transformer.encoders import content_hash
    from multiner.pipeline.models.transformer.training import encoder_of

    params = for_language(workspace.params, language)
    facts = [
        {section: params[section] for section in ("seed", "transformer", "spacy", "ensemble")},
        workspace.language(language)["types"],
        documents_hash(train),
        documents_hash(dev),
        content_hash(encoder_of(workspace, language)) if "transformer" in legs else "",
        folder_hash(workspace.paths.vectors(language)) if "spacy" in legs else "",
        code_hash(),
    ]
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def predict_fold(
    workspace: Workspace, language: str, leg: str, train: Sequence[Document], dev: Sequence[Document],
    held: Sequence[Document], kept: Path, *, name: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Train a leg on ``train`` and give its probabilities ``[tokens, labels]`` for each of ``held``, by id.

    The leg lies in ``kept`` as long as it is asked; what a killed call leaves there goes with the checkpoints.
    """
    from multiner.pipeline.models.spacy import training as spacy_training
    from multiner.pipeline.models.spacy.inference import SpacyLeg
    from multiner.pipeline.models.transformer import training as transformer_training
    from multiner.pipeline.models.transformer.network import TorchLeg

    training, loader = (transformer_training, TorchLeg) if leg == "transformer" else (spacy_training, SpacyLeg)
    folder = kept / name
    training.train_leg(workspace, language, train, dev, folder=folder, name=name)
    rows = loader.load(folder).predict(held)
    shutil.rmtree(folder)
    return {document.id: found for document, found in zip(held, rows, strict=True)}


def read_out_of_fold(
    folder: Path, train: Sequence[Document], legs: Mapping[str, Leg], trained: Collection[str], folds: int
) -> list[tuple[Document, list[np.ndarray], Gazetteer]]:
    """Training documents with the out-of-fold probabilities of each leg, and the names that the legs had seen.

    Args:
        folder: what :func:`run` wrote.
        train: the training documents.
        legs: of the ensemble, in order.
        trained: those that were trained on these documents; the others are asked here.
        folds: as in params.yaml; 0: there are none.

    Raises:
        NerError: the predictions of a trained leg are missing.
    """
    from safetensors.numpy import load_file

    if not folds:
        return []
    for name in trained:
        if not (path := folder / f"{name}.safetensors").is_file():
            raise NerError("out-of-fold predictions are missing", where=str(path), remedy="Run: dvc repro out_of_fold")
    rows: list[list[np.ndarray]] = []
    for name, leg in legs.items():
        path = folder / f"{name}.safetensors"
        found = load_file(path) if name in trained else None
        rows.append([found[document.id] for document in train] if found is not None else leg.predict(train))
    names = [Gazetteer.of(other for other in train if fold_of(other, folds) != fold) for fold in range(folds)]
    return [
        (document, [found[at] for found in rows], names[fold_of(document, folds)]) for at, document in enumerate(train)
    ]
