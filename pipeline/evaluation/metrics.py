"""The figures of a language: the scores of each system on each part, and the lead of the ensemble."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from multiner.pipeline.ensemble.genre import is_post
from multiner.pipeline.evaluation.calibration import ScoredSpans, calibration, scored_spans, thresholds
from multiner.pipeline.evaluation.predictions import ENSEMBLE, EvaluatedPart
from multiner.pipeline.evaluation.scores import DIGITS, score, span_counts, token_confusion, token_f1
from multiner.pipeline.evaluation.significance import paired_bootstrap

COMPARED = ("dev_gate", "test", "test_without_overlap")  # the parts that nothing was fitted to


def with_sub_parts(part: EvaluatedPart, overlap: set[tuple[str, int]]) -> list[EvaluatedPart]:
    """A part and its sub-parts: the halves of a development part, a test part without the sentences also in training.

    ``overlap`` has (document id, sentence index) of these sentences.
    """
    if part.split == "dev":
        tune = part.where("dev_tune", lambda document: document.half() == "tune")
        gate = part.where("dev_gate", lambda document: document.half() == "gate")
        return [part, tune, gate]
    if part.split == "test":
        return [part, part.without("test_without_overlap", overlap)]
    return [part]


def ensemble_lead(part: EvaluatedPart, scores: dict[str, Any], *, resamples: int, seed: int) -> dict[str, Any] | None:
    """The difference in F1 between the ensemble and the base model that is best on this part, with its 95 % interval.

    None without base models or documents.
    """
    models = [name for name in scores if name != ENSEMBLE]
    if not models or not part.documents:
        return None
    best = max(models, key=lambda name: scores[name]["f1"])
    interval = paired_bootstrap(
        span_counts(part.documents, part.systems[best]),
        span_counts(part.documents, part.systems[ENSEMBLE]),
        resamples=resamples,
        seed=seed,
    )
    return {"against": best} | {name: round(value, DIGITS) for name, value in asdict(interval).items()}


def calibration_by_genre(part: EvaluatedPart, system: str) -> dict[str, Any]:
    """The calibration of a system's scores in edited text and in posts: ``{edited, posts: {ece, …, count}}``.

    Served texts are of both, whatever the corpus; see :mod:`multiner.pipeline.ensemble.genre`. ``count`` is the number
    of scored predictions.
    """
    rows = {}
    for genre, keep in (("edited", lambda document: not is_post(document)), ("posts", is_post)):
        own = part.where(genre, keep)
        predictions = scored_spans(own.documents, own.systems[system])
        errors = calibration(predictions)
        figures = {key: errors[key] for key in ("ece", "ece_of_chance", "brier")}
        rows[genre] = figures | {"count": len(predictions.scores)}
    return rows


def figures(
    all_parts: Iterable[EvaluatedPart],
    types: Sequence[str],
    *,
    resamples: int,
    seed: int,
    further_scores: Callable[[EvaluatedPart], dict[str, dict[str, Any]]],
) -> dict[str, Any]:
    """Scores, sizes and comparisons of all parts.

    Args:
        all_parts: whole parts and sub-parts.
        types: entity types.
        resamples, seed: of the bootstrap.
        further_scores: gives system → scores by the rules of the part's corpus.

    Returns:
        ``corpora`` (corpus → split → system → scores, see :func:`multiner.pipeline.evaluation.scores.score`, with
        ``token_f1`` by type, ``calibration``, ``calibration_by_genre`` and the further scores), ``thresholds``
        (corpus → system → see :func:`multiner.pipeline.evaluation.calibration.thresholds`), ``sizes`` (corpus → split →
        documents, entities) and ``significance`` (corpus → split → the ensemble's lead).
    """
    corpora: dict[str, Any] = {}
    predictions: dict[tuple[str, str], dict[str, ScoredSpans]] = {}
    sizes: dict[str, Any] = {}
    significance: dict[str, Any] = {}
    for part in all_parts:
        scored = {name: scored_spans(part.documents, spans) for name, spans in part.systems.items()}
        predictions[part.corpus, part.split] = scored
        further = further_scores(part)
        scores = {
            name: score(part.documents, spans, types)
            | {
                "token_f1": token_f1(token_confusion(part.documents, spans, types), types),
                "calibration": calibration(scored[name]),
                "calibration_by_genre": calibration_by_genre(part, name),
            }
            | further.get(name, {})
            for name, spans in part.systems.items()
        }
        corpora.setdefault(part.corpus, {})[part.split] = scores
        sizes.setdefault(part.corpus, {})[part.split] = {
            "documents": len(part.documents),
            "entities": sum(len(document.spans) for document in part.documents),
        }
        if part.split in COMPARED:
            lead = ensemble_lead(part, scores, resamples=resamples, seed=seed)
            significance.setdefault(part.corpus, {})[part.split] = lead
    limits = {
        corpus: {
            name: thresholds(gate, predictions.get((corpus, "test"), {}).get(name)) for name, gate in systems.items()
        }
        for (corpus, split), systems in predictions.items()
        if split == "dev_gate"
    }
    return {"corpora": corpora, "sizes": sizes, "significance": significance, "thresholds": limits}
