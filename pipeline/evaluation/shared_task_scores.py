"""The scores of a corpus's shared task: surface forms for WNUT17, the official rules for factRuEval-2016.

WNUT17's surface form F1 (Derczynski et al. 2017, script ``wnuteval.py``) gives frequent names no more weight than rare
ones. Each pair of surface form (the words, case included) and type counts once in the whole part, and is right if one
of its mentions is predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from multiner.pipeline.config.corpora import StandoffFormat, published
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.corpora.factrueval import annotated_objects
from multiner.pipeline.evaluation.factrueval_official import official_scores
from multiner.pipeline.evaluation.predictions import EvaluatedPart
from multiner.pipeline.evaluation.scores import score_items

WITHOUT_OVERLAP = "without_overlap"  # ending of parts without some sentences, for which there are no gold objects


def shared_task_scores(part: EvaluatedPart, raw: Path, types: list[str]) -> dict[str, dict[str, Any]]:
    """The shared task's scores of each system on a part, ``{surface: …}`` or ``{official: …}``; empty for most corpora.

    factRuEval's nested objects are read from ``raw``. Raises NerError if a raw document is missing or malformed.
    """
    if part.corpus == "wnut17":
        return {name: {"surface": surface_scores(part.documents, spans, types)} for name, spans in part.systems.items()}
    entry = published().get(part.corpus)
    if entry is None or not isinstance(entry.form, StandoffFormat) or part.split.endswith(WITHOUT_OVERLAP):
        return {}
    gold = [annotated_objects(raw / document.source.removesuffix(".tokens")) for document in part.documents]
    return {
        name: {"official": official_scores(part.documents, gold, spans, types)} for name, spans in part.systems.items()
    }


def surface_scores(
    gold: Sequence[Document], predicted: Sequence[Sequence[Span]], types: Sequence[str]
) -> dict[str, Any]:
    """Precision, recall and F1 over unique pairs of surface form and type; support is the number of gold pairs."""
    gold_pairs: set[tuple] = set()
    predicted_pairs: set[tuple] = set()
    right: set[tuple] = set()
    for document, spans in zip(gold, predicted, strict=True):
        places = {(span.start, span.end, span.label) for span in document.spans}
        gold_pairs |= _pairs(document, document.spans)
        predicted_pairs |= _pairs(document, spans)
        right |= _pairs(document, (span for span in spans if (span.start, span.end, span.label) in places))
    return score_items(right, predicted_pairs, gold_pairs, types)


def _pairs(document: Document, spans: Iterable[Span]) -> set[tuple[tuple[str, ...], str]]:
    return {(tuple(document.words(span.start, span.end)), span.label) for span in spans}
