"""The stage ``evaluate``: predict each part once, compute all figures from that, write metrics and report."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import read_json, replace_folder, sha256_of, write_atomically, write_json
from multiner.pipeline.ensemble.identity import base_model_folders, load_ensemble, model_hash
from multiner.pipeline.evaluation.metrics import figures, with_sub_parts
from multiner.pipeline.evaluation.plots import write_plots
from multiner.pipeline.evaluation.predictions import EvaluatedPart, Predictor, predict_parts, write_predictions
from multiner.pipeline.evaluation.raw_text import raw_text_scores
from multiner.pipeline.evaluation.report import IMAGES, report, section
from multiner.pipeline.evaluation.shared_task_scores import shared_task_scores
from multiner.pipeline.models.base import SETTINGS
from multiner.pipeline.models.training_documents import read_part, read_split

SPLITS = ("dev", "test")
OUTPUTS = (":(top,exclude)dvc.lock", ":(top,exclude)metrics")  # a run itself changes these


def data_hash(folder: Path) -> str:
    """SHA-256 over the names and hashes of the files of prepared documents."""
    digest = sha256()
    for path in sorted(folder.glob("*.jsonl")):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def git_commit(root: Path) -> str | None:
    """The commit that is checked out; outside a repository or without git that of ``NER_COMMIT``, else None.

    ``+changed`` is appended if tracked files other than the outputs of a run differ from it.
    """
    built = os.environ.get("NER_COMMIT") or None  # images have no repository, but were built from a commit
    try:
        head = _git(root, "rev-parse", "HEAD")
        if head.returncode:
            return built
        changed = _git(root, "diff", "--quiet", "HEAD", "--", ":/", *OUTPUTS).returncode == 1
    except FileNotFoundError:
        return built
    return head.stdout.strip() + ("+changed" if changed else "")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)


def read_histories(folders: dict[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """The training history of each base model; one without a history.json is left out."""
    files = {name: folder / "history.json" for name, folder in folders.items()}
    return {name: read_json(file) for name, file in files.items() if file.is_file()}


def training_minutes(histories: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The minutes of each base model's training, and their sum."""
    minutes = {name: round(history[-1]["seconds"] / 60, 2) for name, history in histories.items() if history}
    return minutes | {"total": round(sum(minutes.values()), 2)}


def evaluate_parts(predictor: Predictor, workspace: Workspace, language: str) -> list[EvaluatedPart]:
    """The development and test parts of the corpora that the language reports on, with the spans of each system."""
    names = [(corpus, split) for corpus in workspace.language(language)["report_on"] for split in SPLITS]
    documents = [read_part(workspace, language, *name) for name in names]
    predictions = predict_parts(predictor, documents, f"evaluate {language}")
    return [
        EvaluatedPart(corpus, split, gold, systems)
        for (corpus, split), gold, systems in zip(names, documents, predictions, strict=True)
    ]


def overlaps(predicted: Sequence[EvaluatedPart], train: Sequence[Document]) -> dict[str, set[tuple[str, int]]]:
    """Corpus → (document id, sentence index) of its test sentences that are also in ``train``."""
    from multiner.pipeline.validation.frames import overlapping_sentences

    return {part.corpus: overlapping_sentences(train, part.documents) for part in predicted if part.split == "test"}


def write_report(
    folder: Path,
    predicted: Sequence[EvaluatedPart],
    metrics: dict[str, Any],
    histories: dict[str, list[dict[str, Any]]],
    types: Sequence[str],
    limit: int,
) -> None:
    """Write predictions, plots, index.html (with corpus text, not to be published) and report-public.html (without)."""
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


def run(workspace: Workspace, language: str) -> None:
    """Stage ``evaluate``: evaluate the base models and the ensemble; writes the metrics file and the report folder."""
    ensemble = load_ensemble(workspace.paths.ensemble(language), base_model_folders(workspace, language))
    evaluate(workspace, language, ensemble)


def precision(folder: Path) -> str | None:
    """The precision that the transformer in ``folder`` was trained in, ``bf16`` or ``fp32``; None without one."""
    settings = folder / SETTINGS
    return read_json(settings)["trained_in"] if settings.is_file() else None


def evaluate(workspace: Workspace, language: str, predictor: Predictor) -> None:
    """Evaluate a loaded ensemble (see :func:`run`). Raises NerError if prepared documents are missing."""
    params, paths, settings = workspace.params, workspace.paths, workspace.language(language)
    types, options = settings["types"], params["evaluate"]
    model = model_hash(paths.ensemble(language), base_model_folders(workspace, language))

    evaluated = evaluate_parts(predictor, workspace, language)
    overlap = overlaps(evaluated, read_split(workspace, language, "train"))
    histories = read_histories(base_model_folders(workspace, language))

    all_parts = [each for part in evaluated for each in with_sub_parts(part, overlap.get(part.corpus, set()))]
    metrics = {
        "language": language,
        "profile": workspace.profile,
        "seed": params["seed"],
        "threads": workspace.section("transformer", language)["threads"],
        "precision": precision(paths.leg(language, "transformer")),
        "commit": git_commit(workspace.root),
        "data_hash": data_hash(paths.documents(language)),
        "model_hash": model,
        "minutes": training_minutes(histories),
        "overlapping_sentences": {corpus: len(sentences) for corpus, sentences in overlap.items()},
    } | figures(
        all_parts,
        types,
        resamples=options["bootstrap"],
        seed=params["seed"],
        further_scores=lambda part: shared_task_scores(part, workspace.raw, types),
    )
    tests = [part for part in evaluated if part.split == "test"]
    metrics["raw_text"] = raw_text_scores(predictor, tests, language, types, f"raw text {language}")
    write_report(paths.report(language), evaluated, metrics, histories, types, options["worst_sentences"])
    write_json(paths.metrics(language), metrics)
