"""The scores that a corpus's own shared task reports, beside ours: WNUT17's surface forms, factRuEval-2016's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from multiner.pipeline.config.corpora import CORPORA, StandoffFormat
from multiner.pipeline.corpora.factrueval import annotated_objects
from multiner.pipeline.evaluation.factrueval_official import official_scores
from multiner.pipeline.evaluation.predictions import EvaluatedPart
from multiner.pipeline.evaluation.surface_forms import surface_score

CUT = "without_overlap"  # parts with sentences taken out: the stand-off gold has no such parts


def shared_task_scores(part: EvaluatedPart, raw: Path, types: list[str]) -> dict[str, dict[str, Any]]:
    """The further scores of each system on a part: none for most corpora.

    Args:
        part: gold and predictions.
        raw: folder of the raw corpora, where factRuEval's nested objects stand.
        types: types to report.

    Returns:
        system → ``{surface: …}`` or ``{official: …}``.

    Raises:
        NerError: a raw document is missing or malformed.
    """
    entry = CORPORA.get(part.corpus)
    if part.corpus == "wnut17":
        return {name: {"surface": surface_score(part.documents, spans, types)} for name, spans in part.systems.items()}
    if entry is not None and isinstance(entry.form, StandoffFormat) and not part.split.endswith(CUT):
        stems = [raw / document.source.removesuffix(".tokens") for document in part.documents]
        gold = [annotated_objects(stem) for stem in stems]
        return {
            name: {"official": official_scores(part.documents, gold, spans, types)}
            for name, spans in part.systems.items()
        }
    return {}
