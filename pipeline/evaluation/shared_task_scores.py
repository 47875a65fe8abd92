"""The scores of a corpus's shared task: six types and surface forms for WNUT17, the official rules for factRuEval-2016.

WNUT17's surface form F1 (Derczynski et al. 2017, script ``wnuteval.py``) gives frequent names no more weight than rare
ones. Each pair of surface form (the words, case included) and type counts once in the whole part, and is right if one
of its mentions is predicted. WNUT17 has six types, of which models of four tell no more than the class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from multiner.pipeline.config.corpora import StandoffFormat, published
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.corpora import read_corpus
from multiner.pipeline.corpora.factrueval import annotated_objects
from multiner.pipeline.evaluation.factrueval_official import official_scores
from multiner.pipeline.evaluation.predictions import EvaluatedPart
from multiner.pipeline.evaluation.scores import score, score_items

WNUT17 = "wnut17"  # the corpus, and its own set of types
WITHOUT_OVERLAP = "without_overlap"  # ending of parts without some sentences, for which there are no gold objects


def shared_task_scores(part: EvaluatedPart, raw: Path, types: list[str]) -> dict[str, dict[str, Any]]:
    """The shared task's scores of each system on a part, ``{surface, six_types}`` or ``{official}``; mostly empty.

    WNUT17's six types and factRuEval's nested objects are read from ``raw``. Raises NerError if a raw document is
    missing or malformed.
    """
    if part.corpus == WNUT17:
        surface = {name: surface_scores(part.documents, spans, types) for name, spans in part.systems.items()}
        if part.split.endswith(WITHOUT_OVERLAP) or set(types) != set(published()[WNUT17].types.values()):
            return {name: {"surface": scores} for name, scores in surface.items()}
        six = six_type_scores(part, raw)
        return {name: {"surface": surface[name], "six_types": six[name]} for name in part.systems}
    entry = published().get(part.corpus)
    if entry is None or not isinstance(entry.form, StandoffFormat) or part.split.endswith(WITHOUT_OVERLAP):
        return {}
    gold = [annotated_objects(raw / document.source.removesuffix(".tokens")) for document in part.documents]
    return {
        name: {"official": official_scores(part.documents, gold, spans, types)} for name, spans in part.systems.items()
    }


def six_type_scores(part: EvaluatedPart, raw: Path) -> dict[str, dict[str, Any]]:
    """Strict span scores of each system by WNUT17's own six types, though the model knows four.

    A span counts as the type of its class that is commonest in the training part: what this model would have scored in
    the shared task.
    """
    entry = published()[WNUT17]
    train = read_corpus(raw, entry, "train", type_set=WNUT17)
    counts = Counter(span.label for document in train for span in document.spans)
    commonest = {
        class_: max((own for own, other in entry.types.items() if other == class_), key=counts.__getitem__)
        for class_ in set(entry.types.values())
    }
    own_spans = {each.id: each.spans for each in read_corpus(raw, entry, part.split.partition("_")[0], type_set=WNUT17)}
    gold = [document.with_spans(own_spans[document.id]) for document in part.documents]
    return {
        name: score(
            gold, [[replace(span, label=commonest[span.label]) for span in each] for each in spans], list(entry.types)
        )
        for name, spans in part.systems.items()
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
