"""Plots of an evaluation: CSV for DVC, and PNG images."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.core.iob2 import OUTSIDE
from multiner.pipeline.evaluation.predictions import ENSEMBLE, EvaluatedPart
from multiner.pipeline.evaluation.scores import token_confusion

CURVE_COLUMNS = ("leg", "step", "epoch", "loss", "dev_f1")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file; it is whole or absent."""
    with write_atomically(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def curve_rows(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[Any]]:
    """Rows of ``CURVE_COLUMNS`` from the history of each base model; a missing value stays empty."""
    return [
        [model, *(point.get(column) for column in CURVE_COLUMNS[1:])]
        for model, history in histories.items()
        for point in history
    ]


def confusion_rows(confusion: np.ndarray, types: Sequence[str]) -> list[tuple[str, str]]:
    """(actual, predicted) of every token that is not O in both; DVC's confusion template counts them."""
    names = [OUTSIDE, *types]
    return [
        (actual, guess)
        for row, actual in enumerate(names)
        for column, guess in enumerate(names)
        if (row, column) != (0, 0)
        for _ in range(confusion[row, column])
    ]


def shares(confusion: np.ndarray) -> np.ndarray:
    """Each row divided by its sum; a row of zeros stays unchanged."""
    sums = confusion.sum(axis=1, keepdims=True)
    return np.divide(confusion, sums, out=np.zeros(confusion.shape), where=sums > 0)


def _save(figure: Any, path: Path) -> None:
    # without software version and date, so that equal figures give equal files
    with write_atomically(path, "wb") as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})


def _figure(columns: int) -> tuple[Any, list[Any]]:
    # not with pyplot, which has global state and may need a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * columns, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def draw_confusions(path: Path, confusions: Mapping[str, np.ndarray], types: Sequence[str]) -> None:
    """Confusion of token types, one panel per corpus; colours show shares of the gold row, figures count tokens."""
    figure, panels = _figure(len(confusions))
    names = [OUTSIDE, *types]
    for panel, (title, confusion) in zip(panels, confusions.items(), strict=True):
        share = shares(confusion)
        panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), tokens in np.ndenumerate(confusion):
            colour = "white" if share[row, column] > 0.5 else "black"
            panel.text(column, row, f"{tokens:,}", ha="center", va="center", color=colour, fontsize=8)
        panel.set_xticks(range(len(names)), names)
        panel.set_yticks(range(len(names)), names)
        panel.set(title=title, xlabel="predicted", ylabel="gold")
    _save(figure, path)


def draw_curves(path: Path, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Development F1 of all base models by epoch, and the training loss of each on a scale of its own.

    A base model that was not trained has no panel.
    """
    histories = {model: history for model, history in histories.items() if history}
    figure, panels = _figure(1 + len(histories))
    scores, *losses = panels
    for model, history in histories.items():
        points = [(point["epoch"], point["dev_f1"]) for point in history if point.get("dev_f1") is not None]
        if points:
            scores.plot(*zip(*points, strict=True), marker="o", markersize=3, label=model)
    for number, (panel, (model, history)) in enumerate(zip(losses, histories.items(), strict=True)):
        points = [(point["epoch"], point["loss"]) for point in history if point.get("loss") is not None]
        if points:
            panel.plot(*zip(*points, strict=True), marker="o", markersize=3, color=f"C{number}")
        panel.set(title=f"Training loss, {model}", xlabel="epoch")
    scores.set(title="Development F1", xlabel="epoch")
    for panel in panels:
        panel.grid(alpha=0.3)
        panel.xaxis.get_major_locator().set_params(integer=True)
    if scores.lines:
        scores.legend()
    _save(figure, path)


def draw_f1(path: Path, corpora: Mapping[str, Any]) -> None:
    """F1 of each system on development and test part, one panel per corpus."""
    figure, panels = _figure(len(corpora))
    for panel, (corpus, splits) in zip(panels, corpora.items(), strict=True):
        columns = [split for split in ("dev", "test") if split in splits]
        systems = list(splits[columns[0]]) if columns else []
        width = 0.8 / max(1, len(columns))
        for offset, split in enumerate(columns):
            at = np.arange(len(systems)) + (offset - (len(columns) - 1) / 2) * width
            bars = panel.bar(at, [splits[split][name]["f1"] for name in systems], width, label=split)
            panel.bar_label(bars, fmt="%.1f", fontsize=8)
        panel.set_xticks(range(len(systems)), systems)
        panel.set(title=corpus, ylabel="strict span F1, %", ylim=(0, 120), yticks=range(0, 101, 20))
        panel.legend(loc="upper center", ncols=2, frameon=False)
    _save(figure, path)


def draw_reliability(path: Path, corpora: Mapping[str, Any]) -> None:
    """Reliability diagrams of the test parts, one panel per corpus: share of right predictions by mean score."""
    figure, panels = _figure(len(corpora))
    for panel, (corpus, splits) in zip(panels, corpora.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        for system, row in splits.get("test", {}).items():
            bins = row["calibration"]["bins"]
            if bins:
                label = f"{system}, ECE {row['calibration']['ece']:.3f}"
                points = [(one["score"], one["accuracy"]) for one in bins]
                panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        panel.set(title=f"{corpus}, test", xlabel="score", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
        panel.grid(alpha=0.3)
        if len(panel.lines) > 1:
            panel.legend(loc="upper left", fontsize=8)
    _save(figure, path)


def reliability_rows(corpora: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    """Score, accuracy and count of each bin, for DVC: the ensemble on the test part of the first corpus."""
    first: Mapping[str, Any] = next(iter(corpora.values()), {})
    leading = first.get("test", {}).get(ENSEMBLE)
    bins = leading["calibration"]["bins"] if leading else []
    return [(one["score"], one["accuracy"], one["count"]) for one in bins]


def write_plots(
    folder: Path,
    predicted: Sequence[EvaluatedPart],
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    corpora: Mapping[str, Any],
    types: Sequence[str],
) -> None:
    """Write learning_curves, confusion, reliability and f1 as PNG; the first three and confusion_counts as CSV.

    reliability.csv (one row per bin) and confusion.csv (one row per token) show the ensemble on the test part of the
    first corpus; confusion_counts.csv has all systems and parts.
    """
    names = [OUTSIDE, *types]
    counts: list[tuple[Any, ...]] = []
    tests: dict[str, np.ndarray] = {}
    for part in predicted:
        for system, spans in part.systems.items():
            confusion = token_confusion(part.documents, spans, types)
            counts += [
                (part.corpus, part.split, system, names[row], names[column], tokens)
                for (row, column), tokens in np.ndenumerate(confusion)
            ]
            if part.split == "test" and system == ENSEMBLE:
                tests[part.corpus] = confusion
    header = ("corpus", "split", "system", "actual", "predicted", "tokens")
    write_csv(folder / "confusion_counts.csv", header, counts)
    write_csv(folder / "learning_curves.csv", CURVE_COLUMNS, curve_rows(histories))
    leading = confusion_rows(next(iter(tests.values())), types) if tests else []
    write_csv(folder / "confusion.csv", ("actual", "predicted"), leading)
    if tests:
        draw_confusions(folder / "confusion.png", tests, types)
    draw_curves(folder / "learning_curves.png", histories)
    write_csv(folder / "reliability.csv", ("score", "accuracy", "count"), reliability_rows(corpora))
    draw_reliability(folder / "reliability.png", corpora)
    draw_f1(folder / "f1.png", corpora)
