"""The stage that trains the transformer: with the parameters of a language, in one process or several."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document, documents_hash
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.models.base import code_hash
from multiner.pipeline.models.training_documents import read_training
from multiner.pipeline.models.transformer.checkpoint import Checkpoints
from multiner.pipeline.models.transformer.encoders import content_hash, resolve_encoder
from multiner.pipeline.models.transformer.fine_tuning import fit
from multiner.pipeline.models.transformer.launcher import launch, node_number
from multiner.pipeline.models.transformer.optimisation import mixed_precision


def run(workspace: Workspace, language: str) -> None:
    """Stage ``train_transformer``: train on the prepared documents.

    Raises:
        NerError: documents or encoder are missing, or another training holds the lock.
    """
    train, dev = read_training(workspace, language)
    train_model(workspace, language, train, dev, folder=workspace.paths.trained(language))


def run_start(workspace: Workspace, language: str) -> None:
    """Stage ``train_start``: train the encoder of a language on the documents of another (``transformer.start``).

    The transformer of the language then starts from these weights. Without that parameter the folder has the encoder's
    hash alone, so that another encoder retrains what follows.

    Raises NerError as :func:`run`.
    """
    folder, options = workspace.paths.start(language), workspace.section("transformer", language)
    if not (other := options["start"]):
        with replace_folder(folder) as new:
            (new / "encoder").write_text(content_hash(encoder_of(workspace, language)), encoding="utf-8")
        print(f"{language}: nothing to train first, it starts from its encoder's own weights (transformer.start)")
        return
    first = {"start": None, "epochs": options["start_epochs"]}
    params = overlay(workspace.params, {"languages": {language: {"transformer": first}}})
    train, dev = read_training(workspace, other)
    types = workspace.language(other)["types"]
    train_model(replace(workspace, params=params), language, train, dev, folder=folder, name="start", types=types)


def train_model(
    workspace: Workspace, language: str, train: Sequence[Document], dev: Sequence[Document], *, folder: Path,
    name: str = "transformer", types: Sequence[str] = (), after_epoch: Callable[[int, float], None] | None = None,
) -> None:  # fmt: skip
    """Train with the parameters of a language, or resume an interrupted training, and write the model to ``folder``.

    Args:
        workspace, language: parameters and paths.
        train: documents with gold spans to train on.
        dev: documents with gold spans; the epoch with the best mean F1 over their corpora is written.
        folder: the folder of the model, which is replaced as a whole.
        name: name of the checkpoints.
        types: entity types of the documents; by default the language's.
        after_epoch: as of :func:`fit`; only for a training in one process.

    Raises:
        NerError: the encoder is missing, another training of this name holds the lock, or one of several processes
            failed.
    """
    options, encoder = workspace.section("transformer", language), encoder_of(workspace, language)
    seed, types = workspace.params["seed"], list(types or workspace.language(language)["types"])
    facts = [
        options,
        seed,
        mixed_precision(options["precision"]),
        types,
        documents_hash(train),
        documents_hash(dev),
        content_hash(encoder),
        code_hash(),
    ]
    fingerprint = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    parent = workspace.paths.checkpoints(language, name)
    first = node_number() == 0  # of several machines, this one writes
    with locks.hold(parent.with_suffix(".lock"), locks.TRAINING) if first else nullcontext():
        checkpoints = Checkpoints(parent, fingerprint)
        launch(fit, train, dev, types, launcher=options["launcher"], encoder=encoder, options=options, seed=seed,
               checkpoints=checkpoints, folder=folder, title=f"{name} {language}", after_epoch=after_epoch)  # fmt: skip
        if first:
            checkpoints.clear()


def encoder_of(workspace: Workspace, language: str) -> str:
    """The weights that a language's training starts from, as ``from_pretrained`` takes them.

    They are an encoder, which may have been trained on another language's documents first (``transformer.start``).

    Raises:
        NerError: that training has not run, or the packaged encoder is not unpacked.
    """
    options = workspace.section("transformer", language)
    if not options["start"]:
        return resolve_encoder(options["encoder"], workspace.paths)
    if not (weights := workspace.paths.start(language) / "model.safetensors").is_file():
        raise NerError("the weights to start from are missing", where=str(weights),
                       remedy=f"Run: dvc repro train_start@{language}")  # fmt: skip
    return str(weights.parent)
