"""WNUT17's second score: F1 over unique surface forms (Derczynski et al. 2017), so that frequent names do not lead.

As the shared task's script ``wnuteval.py`` counts: a pair of surface form (the words, case and all) and type counts
once in the whole set, and is found where one of its mentions is found in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.evaluation.scores import precision_recall_f1

Surface = tuple[tuple[str, ...], str]


def surfaces(document: Document, spans: Iterable[Span]) -> set[Surface]:
    """The words and type of each span."""
    return {(tuple(document.words(span.start, span.end)), span.label) for span in spans}


def surface_score(
    gold: Sequence[Document], predicted: Sequence[Sequence[Span]], types: Sequence[str]
) -> dict[str, Any]:
    """Precision, recall and F1 over unique (surface form, type) pairs, of all types and per type.

    Returns:
        As :func:`multiner.pipeline.evaluation.scores.score`, in percent; support is the number of gold pairs.

    Raises:
        ValueError: the lengths differ.
    """
    wanted: set[Surface] = set()
    guessed: set[Surface] = set()
    right: set[Surface] = set()
    for document, spans in zip(gold, predicted, strict=True):
        places = {(span.start, span.end, span.label) for span in document.spans}
        wanted |= surfaces(document, document.spans)
        guessed |= surfaces(document, spans)
        right |= surfaces(document, [span for span in spans if (span.start, span.end, span.label) in places])

    def figures(type_: str | None = None) -> dict[str, Any]:
        return precision_recall_f1(
            *(sum(type_ is None or label == type_ for _, label in pairs) for pairs in (right, guessed, wanted))
        )

    return figures() | {"per_type": {type_: figures(type_) for type_ in types}}
