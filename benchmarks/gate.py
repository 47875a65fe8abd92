"""How often the gate refuses an equal challenger, and how often it lets a worse one pass: a simulation.

    python benchmarks/gate.py --language ru

Draws documents, as many as the gate has, from the development documents and (with cross-fitting) from the training
documents. Two systems have predicted them: the ensemble and its transformer alone, in place of two trainings of the
same job. In half of the documents, drawn by chance, they change places, so that both sides are equally good. Then right
spans of the challenger are dropped or get another type, by chance, until it has lost the points asked for. Each pair is
judged by the rule of the gate, and by the former one: on the gate half alone, all corpora together at most 0.3 points
lower, each at most 1.0. Needs the whole graph's outputs: dvc repro
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans
from multiner.pipeline.core.document import Span
from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.ensemble.held_out import held_out_spans
from multiner.pipeline.evaluation.predictions import ENSEMBLE
from multiner.pipeline.evaluation.scores import span_counts
from multiner.pipeline.evaluation.significance import micro_f1, no_worse
from multiner.pipeline.models.training_documents import read_part
from multiner.pipeline.registry.gate.noninferiority import MEAN, differences, refusal_reasons

OTHER = "transformer"
FORMER_RULE = {"min_difference": -0.3, "min_difference_corpus": -1.0, "resamples": 200}
LOSSES = (0.0, 1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Population:
    """Documents to draw ``size`` from: counts ``[systems, documents, 3]``; ``gate``: they are development documents."""

    counts: np.ndarray
    size: int
    gate: bool


def populations(workspace: Workspace, language: str) -> dict[str, list[Population]]:
    """The populations by corpus."""
    result: dict[str, list[Population]] = {}
    for corpus in workspace.language(language)["train_on"]:
        documents = read_part(workspace, language, corpus, "dev")
        file = workspace.paths.report(language) / "predictions" / f"{corpus}.dev.jsonl"
        rows = [json.loads(line) for line in file.open(encoding="utf-8")]
        spans = [[[Span(*span) for span in row[system]] for row in rows] for system in (ENSEMBLE, OTHER)]
        counts = np.stack([span_counts(documents, each) for each in spans])
        result[corpus] = [Population(counts, sum(each.half() == "gate" for each in documents), gate=True)]
    held_out = held_out_spans(workspace, language)
    if held_out:
        from safetensors.numpy import load_file

        labels = bio_labels(workspace.language(language)["types"])
        probabilities = load_file(workspace.paths.out_of_fold(language) / f"{OTHER}.safetensors")
        for corpus in result:
            part = [(document, spans) for document, spans in held_out if document.corpus == corpus]
            documents = [document for document, _ in part]
            other = [
                decode_spans(probabilities[document.id], document.sentences, labels, scores=False)
                for document in documents
            ]
            counts = np.stack([span_counts(documents, [spans for _, spans in part]), span_counts(documents, other)])
            result[corpus].append(Population(counts, len(documents), gate=False))
    return result


def spoiled(counts: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Counts after each right span was dropped or got another type, each with half of the probability ``share``."""
    lost = rng.binomial(counts[:, 0], share)
    retyped = rng.binomial(lost, 0.5)
    return counts + np.stack([-lost, retyped, lost], axis=1)


def share_for(counts: np.ndarray, loss: float) -> float:
    """The share of right spans to spoil (see :func:`spoiled`) for a loss of F1 points."""
    right, spurious, missed = (float(each) for each in counts.sum(axis=0))
    goal, sides = (float(micro_f1(counts.sum(axis=0))) - loss) / 100, 2 * right + spurious + missed
    return max(0.0, (2 * right - goal * sides) / (2 * right - goal * right / 2))  # rounding gives -1e-17 for no loss


Counts = dict[str, np.ndarray]


def draw(
    corpora: dict[str, list[Population]], loss: dict[str, float], rng: np.random.Generator
) -> tuple[Counts, Counts, Counts, Counts]:
    """Counts of champion and challenger by corpus: on all documents, then on the gate half alone."""
    whole: tuple[Counts, Counts] = ({}, {})
    half: tuple[Counts, Counts] = ({}, {})
    for corpus, parts in corpora.items():
        share = share_for(np.concatenate([part.counts[0] for part in parts]), loss[corpus])
        sides: list[Sequence[np.ndarray]] = []
        for part in parts:
            rows = rng.integers(0, part.counts.shape[1], part.size)
            swap = rng.integers(0, 2, part.size)
            champion, challenger = part.counts[swap, rows], part.counts[1 - swap, rows]
            sides.append((champion, spoiled(challenger, share, rng)))
            if part.gate:
                half[0][corpus], half[1][corpus] = sides[-1]
        for side, counts in enumerate(whole):
            counts[corpus] = np.concatenate([each[side] for each in sides])
    return *whole, *half


def simulate(
    corpora: dict[str, list[Population]], loss: dict[str, float], options: dict[str, Any], trials: int, seed: int
) -> dict[str, float]:
    """The share of challengers that each rule refuses, in percent, and the standard deviation of the difference."""
    rng = np.random.default_rng(seed)
    refused, before, points = [], [], []
    for trial in range(trials):
        champion, challenger, half_champion, half_challenger = draw(corpora, loss, rng)
        difference = differences(champion, challenger, resamples=options["bootstrap"], seed=trial)
        points.append(difference[MEAN].points)
        refused.append(bool(refusal_reasons(difference, options)))
        before.append(not no_worse(half_champion, half_challenger, **FORMER_RULE, seed=trial).passed)
    return {
        "refused": 100 * float(np.mean(refused)),
        "refused_before": 100 * float(np.mean(before)),
        "deviation": float(np.std(points)),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", required=True, help="language code")
    parser.add_argument("--trials", type=int, default=1000, help="pairs of models for each row; default 1000")
    arguments = parser.parse_args()
    silence_telemetry()
    workspace = Workspace.load()
    options = workspace.params["promotion"] | {"bootstrap": 500}
    corpora = populations(workspace, arguments.language)
    scenarios = [(f"{loss:g} points", dict.fromkeys(corpora, loss)) for loss in LOSSES]
    if len(corpora) > 1:
        scenarios += [(f"{loss:g} points on {corpus} alone", dict.fromkeys(corpora, 0.0) | {corpus: loss})
                      for corpus in corpora for loss in LOSSES[1:]]  # fmt: skip
    for corpus, parts in corpora.items():
        print(corpus, *(f"{part.size} {'gate' if part.gate else 'training'} documents" for part in parts), sep="   ")
    print("| true loss | refused, % | by the former rule, % | deviation of the difference |\n|---|---:|---:|---:|")
    for name, loss in scenarios:
        row = simulate(corpora, loss, options, arguments.trials, workspace.params["seed"])
        print(f"| {name} | {row['refused']:.1f} | {row['refused_before']:.1f} | {row['deviation']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
