"""The figures of a language: scores of every system on every part, and whether the ensemble earns its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from multiner.pipeline.evaluation.calibration import (
    ScoredSpans,
    calibration,
    scored_spans,
    thresholds,
)
from multiner.pipeline.evaluation.predictions import ENSEMBLE, EvaluatedPart, Spans
from multiner.pipeline.evaluation.scores import (
    DIGITS,
    score,
    span_counts,
    token_confusion,
    token_f1,
)
from multiner.pipeline.evaluation.significance import paired_bootstrap

COMPARED = ("dev_gate", "test", "test_without_overlap")  # parts nothing was tuned on


def parts(predicted: EvaluatedPart, overlap: set[tuple[str, int]]) -> list[EvaluatedPart]:
    """A part and its sub-parts: the halves of a development part, a test part without what stands in train.

    Args:
        predicted: a whole split.
        overlap: (document id, sentence index) of the test sentences that stand in train.
    """
    if predicted.split == "dev":
        halves = [
            predicted.where(f"dev_{half}", lambda document, half=half: document.half() == half)
            for half in ("tune", "gate")
        ]
        return [predicted, *halves]
    if predicted.split == "test":
        return [predicted, predicted.without("test_without_overlap", overlap)]
    return [predicted]


def compare(predicted: EvaluatedPart, scores: dict[str, Any], *, resamples: int, seed: int) -> dict[str, Any] | None:
    """The ensemble against the leg that does better on this very part: difference in F1 with its 95 % interval.

    None where there is nothing to compare.
    """
    legs = [name for name in scores if name != ENSEMBLE]
    if not legs or not predicted.documents:
        return None
    best = max(legs, key=lambda name: scores[name]["f1"])
    interval = paired_bootstrap(
        span_counts(predicted.documents, predicted.systems[best]),
        span_counts(predicted.documents, predicted.systems[ENSEMBLE]),
        resamples=resamples,
        seed=seed,
    )
    return {"against": best} | {name: round(value, DIGITS) for name, value in asdict(interval).items()}


def system_figures(
    part: EvaluatedPart, spans: Sequence[Spans], found: ScoredSpans, types: Sequence[str]
) -> dict[str, Any]:
    """One system's figures on a part: strict spans, tokens by type, calibration."""
    return score(part.documents, spans, types) | {
        "token_f1": token_f1(token_confusion(part.documents, spans, types), types),
        "calibration": calibration(found),
    }


def figures(
    all_parts: Iterable[EvaluatedPart],
    types: Sequence[str],
    *,
    resamples: int,
    seed: int,
    further: Callable[[EvaluatedPart], dict[str, dict[str, Any]]] = lambda _: {},
) -> dict[str, Any]:
    """Scores, sizes and comparisons of every part.

    Args:
        all_parts: whole splits and sub-parts.
        types: entity types.
        resamples, seed: of the bootstrap.
        further: system → scores that only this part's corpus has.

    Returns:
        ``corpora`` (corpus → split → system → scores, see :func:`multiner.pipeline.evaluation.scores.score`, with
        ``token_f1`` by type, ``calibration`` and what ``further`` adds), ``thresholds`` (corpus → system → see
        :func:`multiner.pipeline.evaluation.calibration.thresholds`), ``sizes`` (corpus → split → documents, entities)
        and ``significance`` (corpus → split → the ensemble's lead).
    """
    corpora: dict[str, Any] = {}
    found: dict[tuple[str, str], dict[str, ScoredSpans]] = {}
    sizes: dict[str, Any] = {}
    significance: dict[str, Any] = {}
    for part in all_parts:
        judged = {name: scored_spans(part.documents, spans) for name, spans in part.systems.items()}
        found[part.corpus, part.split] = judged
        more = further(part)
        scores = {
            name: system_figures(part, spans, judged[name], types) | more.get(name, {})
            for name, spans in part.systems.items()
        }
        corpora.setdefault(part.corpus, {})[part.split] = scores
        sizes.setdefault(part.corpus, {})[part.split] = {
            "documents": len(part.documents),
            "entities": sum(len(document.spans) for document in part.documents),
        }
        if part.split in COMPARED:
            compared = compare(part, scores, resamples=resamples, seed=seed)
            significance.setdefault(part.corpus, {})[part.split] = compared
    limits = {
        corpus: {name: thresholds(dev, found.get((corpus, "test"), {}).get(name)) for name, dev in systems.items()}
        for (corpus, split), systems in found.items()
        if split == "dev"
    }
    return {"corpora": corpora, "sizes": sizes, "significance": significance, "thresholds": limits}
