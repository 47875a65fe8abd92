"""What each system predicts for a part of a corpus, and the sub-parts that figures are given for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.evaluation.scores import without_sentences

ENSEMBLE = "ensemble"
CHUNK_TOKENS = 4000  # enough for the legs to bucket by length, little enough for the bar to move

Spans = tuple[Span, ...]


class Predictor(Protocol):
    """What evaluation needs of the ensemble: spans of the combination, and of each leg."""

    def predict(self, documents: Sequence[Document]) -> Sequence:
        """A prediction with ``spans`` and ``legs`` for each document."""


@dataclass(frozen=True)
class EvaluatedPart:
    """Gold documents of a part with every system's spans, document by document."""

    corpus: str
    split: str
    documents: list[Document]
    systems: dict[str, list[Spans]]

    @property
    def sentences(self) -> int:
        """The number of sentences."""
        return sum(len(document.sentences) for document in self.documents)

    def where(self, split: str, keep: Callable[[Document], bool]) -> EvaluatedPart:
        """The documents that ``keep`` accepts, under the name ``split``."""
        rows = [row for row, document in enumerate(self.documents) if keep(document)]
        systems = {name: [spans[row] for row in rows] for name, spans in self.systems.items()}
        return EvaluatedPart(self.corpus, split, [self.documents[row] for row in rows], systems)

    def without(self, split: str, excluded: set[tuple[str, int]]) -> EvaluatedPart:
        """Gold and predicted spans of the sentences ``(document id, index)`` taken out, under the name ``split``."""
        by_document: dict[str, set[int]] = {}
        for id, index in excluded:
            by_document.setdefault(id, set()).add(index)

        def rest(document: Document, spans: Sequence[Span]) -> Spans:
            return tuple(without_sentences(document, spans, by_document.get(document.id, ())))

        documents = [replace(document, spans=rest(document, document.spans)) for document in self.documents]
        systems = {
            name: [rest(document, spans) for document, spans in zip(self.documents, rows, strict=True)]
            for name, rows in self.systems.items()
        }
        return EvaluatedPart(self.corpus, split, documents, systems)


def chunks(documents: Sequence[Document], tokens: int = CHUNK_TOKENS) -> Iterator[list[Document]]:
    """Documents in order, in groups of about ``tokens`` tokens."""
    group: list[Document] = []
    size = 0
    for document in documents:
        group.append(document)
        size += len(document.tokens)
        if size >= tokens:
            yield group
            group, size = [], 0
    if group:
        yield group


def predict(
    predictor: Predictor, documents: Sequence[Document], advance: Callable[[int], object] = lambda _: None
) -> dict[str, list[Spans]]:
    """The spans of every leg and of the ensemble for each document.

    Args:
        predictor: the ensemble.
        documents: their gold spans are not looked at.
        advance: called with the number of sentences done.
    """
    systems: dict[str, list[Spans]] = {}
    for group in chunks(documents):
        predictions = predictor.predict([document.with_spans(()) for document in group])
        for prediction in predictions:
            for leg, spans in prediction.legs.items():
                systems.setdefault(leg, []).append(tuple(spans))
            systems.setdefault(ENSEMBLE, []).append(tuple(prediction.spans))
        advance(sum(len(document.sentences) for document in group))
    return systems


def write_predictions(path: Path, predicted: EvaluatedPart) -> None:
    """Gold and predicted spans as JSON Lines, a document a line; holds no text."""
    with write_atomically(path) as file:
        for row, document in enumerate(predicted.documents):
            sides = {"gold": document.spans} | {name: spans[row] for name, spans in predicted.systems.items()}
            spans = {
                name: [[span.start, span.end, span.label, span.score] for span in side] for name, side in sides.items()
            }
            file.write(json.dumps({"id": document.id, **spans}, ensure_ascii=False, default=float) + "\n")
