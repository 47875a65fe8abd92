"""``ner tune``: continue a model's transformer on examples and replayed documents, and register what comes out.

Documents of the original training are shown along with the examples (experience replay: Robins 1995), which keeps a
network from forgetting them. Training stops early on both together.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import Workspace, overlay
from multiner.pipeline.core import locks
from multiner.pipeline.core.decoding import corpus_mean_f1, decode_spans, span_f1
from multiner.pipeline.core.document import Document, documents_hash, write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import folder_hash, read_json, replace_folder, write_json
from multiner.pipeline.ensemble.cross_fitting import read_cross_fitting, trained_models
from multiner.pipeline.ensemble.fit import FittingDocument, fit_ensemble
from multiner.pipeline.ensemble.identity import load_ensemble
from multiner.pipeline.ensemble.name_features import Gazetteer
from multiner.pipeline.evaluation import stage
from multiner.pipeline.evaluation.predictions import Predictor, chunks
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.base import code_hash
from multiner.pipeline.models.training_documents import read_split, read_training
from multiner.pipeline.models.transformer.checkpoint import Checkpoints
from multiner.pipeline.models.transformer.export import HISTORY, export
from multiner.pipeline.models.transformer.fine_tuning import fit
from multiner.pipeline.models.transformer.network import TorchTransformer
from multiner.pipeline.models.transformer.optimisation import mixed_precision
from multiner.pipeline.registry import Registration, register
from multiner.pipeline.registry.run_report import write_run_report
from multiner.pipeline.tuning.examples import CORPUS, Examples, balanced, read_examples, replayed, split_examples
from multiner.pipeline.tuning.origin import TRANSFORMER, StartingModel, starting_model

STOP_ENTITIES = 500  # entities of the language's own documents among those that training stops on


@dataclass(frozen=True)
class Tuning:
    """A finished tuning.

    Attributes:
        start: the name of the model that it continues.
        parts: number of examples to learn from, to stop on, and to check on.
        before, after: F1 in percent, of the whole ensemble, on the check examples and on the development documents of
            each corpus of the language.
        fitted: whether the meta-classifier was fitted anew.
        registration: the new version, a challenger.
    """

    start: str
    parts: tuple[int, int, int]
    before: dict[str, float]
    after: dict[str, float]
    fitted: bool
    registration: Registration


def run(workspace: Workspace, model: str, examples: Path, name: str) -> Tuning:
    """Continue ``model`` on a user's examples, and register the result as a challenger.

    Everything lies in the outputs of the profile ``<profile>-<name>``; a call with the same name replaces it.

    Args:
        workspace: with the prepared documents of the model's language.
        model: see :func:`multiner.pipeline.tuning.origin.starting_model`.
        examples: the file of annotated sentences.
        name: end of the new profile's name.

    Raises:
        NerError: the model or its weights are missing, an example cannot be read, there are too few of them, documents
            are missing, the name cannot be used, or no epoch was better than the model as it was.
    """
    start = starting_model(workspace, model)
    parts = split_examples(read_examples(examples, start.language, start.types), workspace.params["tune"]["held_out"])
    train, stop = read_training(workspace, start.language)
    check = [document for document in read_split(workspace, start.language, "dev") if document.half() == "gate"]
    tuned = tuned_workspace(workspace, start, parts, name)
    paths = tuned.paths
    before = scores(load_ensemble(start.ensemble, start.legs), [*parts.check, *check])

    with locks.hold(paths.checkpoints(start.language, "tune").with_suffix(".lock"), locks.TRAINING):
        dev = balanced(parts.dev, stop, STOP_ENTITIES)
        train_transformer(tuned, start, parts.train, train, dev)
        _copy_outputs(workspace, tuned, start, parts)
        export(paths.trained(start.language), paths.leg(start.language, TRANSFORMER),
               tuned.params["export"]["precision"], dev, title=f"export {start.language}")  # fmt: skip
        fitted = len(parts.all) >= tuned.params["tune"]["fit_from"]
        description = read_json(start.ensemble)
        if fitted:
            description |= fit_anew(workspace, tuned, start.language, parts, train, stop)
        write_json(paths.ensemble(start.language), description)
        folders = {leg: paths.leg(start.language, leg) for leg in start.legs}
        after = scores(load_ensemble(paths.ensemble(start.language), folders), [*parts.check, *check])
        stage.run(tuned, start.language)
        registration = register(tuned, start.language)
        write_run_report(tuned, start.language, registration.version, "register", anew=registration.created)
    sizes = (len(parts.train), len(parts.dev), len(parts.check))
    return Tuning(start.name, sizes, before, after, fitted, registration)


def tuned_workspace(workspace: Workspace, start: StartingModel, parts: Examples, name: str) -> Workspace:
    """The workspace with the profile of the tuned model; its parameters say what the model was made of.

    There is no cross-fitting: the predictions of the original one are of other weights.

    Raises:
        NerError: the name is not one, or params/ has a profile of this name, whose outputs would be lost.
    """
    profile = f"{workspace.profile}-{name}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or (workspace.root / "params" / f"{profile}.yaml").exists():
        raise NerError(
            f"{name!r} cannot be the name of a tuned model",
            where="--name",
            remedy=f"Give one of letters, digits, - and _, such that params/ has no {profile}.yaml.",
        )
    tuned = {"from": start.name, "examples": len(parts.all), "examples_hash": documents_hash(parts.all)}
    return replace(
        workspace,
        params=overlay(
            workspace.params,
            {
                "profile": profile,
                "tuned": tuned,
                "ensemble": {"legs": list(start.legs)},
                "languages": {start.language: {"ensemble": {"folds": 0}}},
            },
        ),
    )


def train_transformer(
    workspace: Workspace,
    start: StartingModel,
    examples: Sequence[Document],
    train: Sequence[Document],
    dev: Sequence[Document],
) -> None:
    """Continue the trained transformer, or resume an interrupted tuning.

    Raises:
        NerError: no epoch was better on ``dev`` than the model as it was.
    """
    language, settings = start.language, workspace.params["tune"]
    keys = ("epochs", "patience", "learning_rate", "head_learning_rate")
    options = workspace.section("transformer", language) | {key: settings[key] for key in keys}
    options |= {"repeat": {CORPUS: settings["repeat"]}, "recase": {}, "launcher": {"processes": 1, "nodes": 1}}
    shown = settings["repeat"] * sum(len(document.tokens) for document in examples)
    share = settings["replay"]
    documents = [*examples, *replayed(train, shown * share / (1 - share), workspace.params["seed"])]
    seed, paths = workspace.params["seed"], workspace.paths
    facts = [options, seed, mixed_precision(options["precision"]), documents_hash(documents), documents_hash(dev),
             folder_hash(start.weights), code_hash()]  # fmt: skip
    checkpoints = Checkpoints(
        paths.checkpoints(language, "tune"), sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    )
    at_start = transformer_f1(start.weights, dev)
    print(f"before the first epoch: development F1 {at_start:.2f}")
    trial = paths.checkpoints(language, "tune-model")
    fit(documents, dev, start.types, encoder=str(start.weights), options=options, seed=seed, checkpoints=checkpoints,
        folder=trial, title=f"tune {language}")  # fmt: skip
    best = max(float(epoch["dev_f1"]) for epoch in read_json(trial / HISTORY))
    checkpoints.clear()
    if best <= at_start:
        shutil.rmtree(trial)
        raise NerError(
            f"no epoch was better than the model as it was: F1 {best:.2f} after {at_start:.2f}, on held-out examples "
            "and development documents together; nothing is registered",
            where=start.name,
            remedy="Give more examples, or raise tune.learning_rate or tune.epochs in params.yaml.",
        )
    with replace_folder(paths.trained(language)) as folder:
        shutil.copytree(trial, folder, dirs_exist_ok=True)
    shutil.rmtree(trial)


def transformer_f1(folder: Path, documents: Sequence[Document]) -> float:
    """The mean F1 of a trained transformer alone over the corpora of the documents, in percent."""
    transformer = TorchTransformer.load(folder)
    rows = transformer.predict(documents)
    spans = [
        decode_spans(each, document.sentences, transformer.labels, scores=False)
        for document, each in zip(documents, rows, strict=True)
    ]
    return corpus_mean_f1(documents, spans)


def fit_anew(
    workspace: Workspace,
    tuned: Workspace,
    language: str,
    parts: Examples,
    train: Sequence[Document],
    stop: Sequence[Document],
) -> dict[str, Any]:
    """The ensemble fitted to the tune halves, the language's cross-fitting, and the examples that training stopped on.

    Args:
        workspace: of the original model, which has the cross-fitting.
        tuned: of the tuned one, whose base models lie in its outputs.
        language: language code.
        parts: the examples.
        train: the original training documents.
        stop: the tune halves.
    """
    options = tuned.section("ensemble", language)
    models = {name: load_base_model(name, tuned.paths.leg(language, name)) for name in options["legs"]}
    gazetteer = Gazetteer.of([*train, *parts.train])
    own = [*stop, *parts.dev]
    by_model = [model.predict(own) for model in models.values()]
    fitting = [FittingDocument(document, [rows[at] for rows in by_model], gazetteer) for at, document in enumerate(own)]
    folds = workspace.section("ensemble", language)["folds"]
    cross_fitted = read_cross_fitting(
        workspace.paths.out_of_fold(language), train, models, trained_models(workspace, language), folds
    )
    fitting += [FittingDocument(*each) for each in cross_fitted]
    types = tuned.language(language)["types"]
    value = fit_ensemble(fitting, list(models), types, gazetteer, options["weight_step"])
    counts = {"documents": len(own), "out_of_fold": len(cross_fitted), "examples": len(parts.dev)}
    return value | {"tuned_on": counts | value["tuned_on"]}


def scores(predictor: Predictor, documents: Sequence[Document]) -> dict[str, float]:
    """Strict span F1 of an ensemble by corpus, in percent."""
    spans = [prediction.spans for chunk in chunks(documents) for prediction in predictor.predict(chunk)]
    rows: dict[str, tuple[list[Document], list[Any]]] = {}
    for document, predicted in zip(documents, spans, strict=True):
        gold, guesses = rows.setdefault(document.corpus, ([], []))
        gold.append(document)
        guesses.append(predicted)
    return {corpus: span_f1(gold, guesses) for corpus, (gold, guesses) in rows.items()}


def _copy_outputs(workspace: Workspace, tuned: Workspace, start: StartingModel, parts: Examples) -> None:
    """Copy what the tuned model shares with the original one into its profile: documents, and the other base models."""
    language, paths = start.language, tuned.paths
    with replace_folder(paths.documents(language)) as folder:
        shutil.copytree(workspace.paths.documents(language), folder, dirs_exist_ok=True)
        write_jsonl(folder / f"{CORPUS}.jsonl", parts.all)  # a part of the data's hash
    for name, source in start.legs.items():
        if name != TRANSFORMER:
            with replace_folder(paths.leg(language, name)) as folder:
                shutil.copytree(source, folder, dirs_exist_ok=True)
