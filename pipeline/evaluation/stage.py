"""The stage ``evaluate``: predict each part once, derive every figure from that, write metrics and report."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import (
    read_json,
    replace_folder,
    sha256_of,
    write_atomically,
    write_json,
)
from multiner.pipeline.core.progress import bar
from multiner.pipeline.ensemble.identity import load_ensemble, model_hash
from multiner.pipeline.evaluation.metrics import figures, parts
from multiner.pipeline.evaluation.plots import write_plots
from multiner.pipeline.evaluation.predictions import (
    EvaluatedPart,
    Predictor,
    Spans,
    predict,
    write_predictions,
)
from multiner.pipeline.evaluation.raw_text import raw_text_scores
from multiner.pipeline.evaluation.report import IMAGES, report, section
from multiner.pipeline.evaluation.shared_task_scores import shared_task_scores
from multiner.pipeline.models.transformer.inference import SETTINGS

SPLITS = ("dev", "test")
WRITTEN_BY_RUNS = (":(top,exclude)dvc.lock", ":(top,exclude)metrics")


def read_documents(folder: Path, corpus: str, split: str) -> list[Document]:
    """Prepared documents of a part.

    Raises:
        NerError: they were not prepared.
    """
    path = folder / f"{corpus}.{split}.jsonl"
    if not path.is_file():
        raise NerError("prepared documents are missing", where=str(path), remedy="Run `ner prepare` first.")
    return list(read_jsonl(path))


def data_hash(folder: Path) -> str:
    """SHA-256 over the names and hashes of the prepared documents' files."""
    digest = sha256()
    for path in sorted(folder.glob("*.jsonl")):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def git_commit(root: Path) -> str | None:
    """The commit that is checked out, or None outside a repository or without git.

    ``+changed`` is appended where tracked files differ from it, other than what a run itself writes.
    """
    try:
        done = _git(root, "rev-parse", "HEAD")
        if done.returncode:
            return None
        changed = _git(root, "diff", "--quiet", "HEAD", "--", ":/", *WRITTEN_BY_RUNS).returncode == 1
    except FileNotFoundError:
        return None
    return done.stdout.strip() + ("+changed" if changed else "")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)


def read_histories(folders: dict[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """What each leg noted while it trained; legs without a history.json are left out."""
    files = {leg: folder / "history.json" for leg, folder in folders.items()}
    return {leg: read_json(file) for leg, file in files.items() if file.is_file()}


def training_minutes(histories: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Minutes that each leg's training took, and their sum."""
    minutes = {leg: round(history[-1]["seconds"] / 60, 2) for leg, history in histories.items() if history}
    return minutes | {"total": round(sum(minutes.values()), 2)}


def predict_parts(predictor: Predictor, folder: Path, corpora: Iterable[str], description: str) -> list[EvaluatedPart]:
    """Every system's spans on the development and test parts; the same text is predicted once.

    Corpora that differ in their gold only (two conventions of one corpus) share their predictions.
    """
    whole = [(corpus, split, read_documents(folder, corpus, split)) for corpus in corpora for split in SPLITS]
    keys = [[(document.text, document.tokens, document.sentences) for document in part] for _, _, part in whole]
    known: list[tuple[list[Any], dict[str, list[Spans]]]] = []
    predicted: list[EvaluatedPart] = []
    sentences = sum(len(document.sentences) for _, _, part in whole for document in part)
    with bar(sentences, description, unit="sentence") as progress:
        for (corpus, split, documents), key in zip(whole, keys, strict=True):
            systems = next((systems for other, systems in known if other == key), None)
            if systems is None:
                systems = predict(predictor, documents, progress.update)
                known.append((key, systems))
            else:
                progress.update(sum(len(document.sentences) for document in documents))
            predicted.append(EvaluatedPart(corpus, split, documents, systems))
    return predicted


def overlaps(predicted: Sequence[EvaluatedPart], train: Sequence[Document]) -> dict[str, set[tuple[str, int]]]:
    """Corpus → (document id, sentence index) of its test sentences that stand in ``train``."""
    from multiner.pipeline.validation.overlap import overlapping_sentences

    return {part.corpus: overlapping_sentences(train, part.documents) for part in predicted if part.split == "test"}


def write_report(
    folder: Path,
    predicted: Sequence[EvaluatedPart],
    metrics: dict[str, Any],
    histories: dict[str, list[dict[str, Any]]],
    types: Sequence[str],
    limit: int,
) -> None:
    """Predictions, plots, index.html (with corpus text: local only) and report-public.html (without any)."""
    corpora = metrics["corpora"]
    sections = [section(part, corpora[part.corpus][part.split], types, limit) for part in predicted]
    with replace_folder(folder) as new:
        for part in predicted:
            write_predictions(new / "predictions" / f"{part.corpus}.{part.split}.jsonl", part)
        write_plots(new / "plots", predicted, histories, corpora, types)
        images = {title: new / "plots" / name for name, title in IMAGES.items()}
        for name, with_text in (("index.html", True), ("report-public.html", False)):
            with write_atomically(new / name) as file:
                file.write(report(sections, metrics, types, with_text=with_text, images=images))


def base_model_folders(workspace: Workspace, language: str) -> dict[str, Path]:
    """Leg → the folder it was trained into."""
    return {leg: workspace.paths.leg(language, leg) for leg in workspace.params["ensemble"]["legs"]}


def run(workspace: Workspace, language: str) -> None:
    """Evaluate the legs and the ensemble of ``language``; writes the metrics file and the report folder.

    Raises:
        NerError: an earlier stage has not run, or the language is not configured.
    """
    ensemble = load_ensemble(workspace.paths.ensemble(language), base_model_folders(workspace, language))
    evaluate(workspace, language, ensemble)


def precision(leg: Path) -> str | None:
    """What the transformer leg was trained in, ``bf16`` or ``fp32``; None where there is no such leg."""
    settings = leg / SETTINGS
    return read_json(settings)["trained_in"] if settings.is_file() else None


def evaluate(workspace: Workspace, language: str, predictor: Predictor) -> None:
    """What :func:`run` does once the ensemble is loaded.

    Raises:
        NerError: prepared documents are missing, or the language is not configured.
    """
    params, paths, settings = workspace.params, workspace.paths, workspace.language(language)
    documents = paths.documents(language)
    types, options = settings["types"], params["evaluate"]
    model = model_hash(paths.ensemble(language), base_model_folders(workspace, language))

    predicted = predict_parts(predictor, documents, settings["report_on"], f"evaluate {language}")
    train = [document for corpus in settings["train_on"] for document in read_documents(documents, corpus, "train")]
    overlap = overlaps(predicted, train)
    histories = read_histories(base_model_folders(workspace, language))

    all_parts = [sub for part in predicted for sub in parts(part, overlap.get(part.corpus, set()))]
    metrics = {
        "language": language,
        "profile": workspace.profile,
        "seed": params["seed"],
        "threads": workspace.section("transformer", language)["threads"],
        "precision": precision(paths.leg(language, "transformer")),
        "commit": git_commit(workspace.root),
        "data_hash": data_hash(documents),
        "model_hash": model,
        "minutes": training_minutes(histories),
        "overlapping_sentences": {corpus: len(found) for corpus, found in overlap.items()},
    } | figures(
        all_parts,
        types,
        resamples=options["bootstrap"],
        seed=params["seed"],
        further=lambda part: shared_task_scores(part, workspace.raw, types),
    )
    tests = [part for part in predicted if part.split == "test"]
    metrics["raw_text"] = raw_text_scores(predictor, tests, language, types, f"raw text {language}")
    write_report(paths.report(language), predicted, metrics, histories, types, options["worst_sentences"])
    write_json(paths.metrics(language), metrics)
