"""The predictions of each system for a part of a corpus, and sub-parts of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.core.progress import bar
from multiner.pipeline.evaluation.scores import without_sentences

ENSEMBLE = "ensemble"
CHUNK_TOKENS = 4000  # few enough for the progress bar to move

Spans = tuple[Span, ...]


class Predictor(Protocol):
    """The part of the ensemble's interface that the evaluation needs."""

    def predict(self, documents: Sequence[Document]) -> Sequence:
        """For each document a :class:`multiner.pipeline.ensemble.model.Prediction`."""


@dataclass(frozen=True)
class EvaluatedPart:
    """A part of a corpus: its gold documents, and the spans of each system per document."""

    corpus: str
    split: str
    documents: list[Document]
    systems: dict[str, list[Spans]]

    @property
    def sentences(self) -> int:
        """The number of sentences."""
        return sum(len(document.sentences) for document in self.documents)

    def where(self, split: str, keep: Callable[[Document], bool]) -> EvaluatedPart:
        """The documents for which ``keep`` is true, as a part called ``split``."""
        rows = [row for row, document in enumerate(self.documents) if keep(document)]
        systems = {name: [spans[row] for row in rows] for name, spans in self.systems.items()}
        return EvaluatedPart(self.corpus, split, [self.documents[row] for row in rows], systems)

    def without(self, split: str, excluded: set[tuple[str, int]]) -> EvaluatedPart:
        """All spans outside the sentences ``excluded`` (document id, sentence index), as a part called ``split``."""
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
    """Documents in order, in chunks of about ``tokens`` tokens."""
    chunk: list[Document] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document.tokens)
        if size >= tokens:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def predict(
    predictor: Predictor, documents: Sequence[Document], advance: Callable[[int], object] = lambda _: None
) -> dict[str, list[Spans]]:
    """The spans of each base model and of the ensemble for each document; the ensemble does not see the gold spans.

    ``advance`` is called after each chunk with its number of sentences.
    """
    systems: dict[str, list[Spans]] = {}
    for chunk in chunks(documents):
        predictions = predictor.predict([document.with_spans(()) for document in chunk])
        for prediction in predictions:
            for name, spans in prediction.legs.items():
                systems.setdefault(name, []).append(tuple(spans))
            systems.setdefault(ENSEMBLE, []).append(tuple(prediction.spans))
        advance(sum(len(document.sentences) for document in chunk))
    return systems


def predict_parts(
    predictor: Predictor, parts: Sequence[Sequence[Document]], description: str
) -> list[dict[str, list[Spans]]]:
    """The spans of each system for each part, with a progress bar.

    Parts with the same texts, which differ only in their gold spans, share their predictions.
    """
    texts = [[(document.text, document.tokens, document.sentences) for document in part] for part in parts]
    sizes = [sum(len(document.sentences) for document in part) for part in parts]
    predictions: list[dict[str, list[Spans]]] = []
    with bar(sum(sizes), description, unit="sentence") as progress:
        for index, part in enumerate(parts):
            if (first := texts.index(texts[index])) < index:
                predictions.append(predictions[first])
                progress.update(sizes[index])
            else:
                predictions.append(predict(predictor, part, progress.update))
    return predictions


def write_predictions(path: Path, predicted: EvaluatedPart) -> None:
    """Write gold and predicted spans as JSON Lines, one document per line, without any text."""
    with write_atomically(path) as file:
        for row, document in enumerate(predicted.documents):
            sides = {"gold": document.spans} | {name: spans[row] for name, spans in predicted.systems.items()}
            spans = {
                name: [[span.start, span.end, span.label, span.score] for span in side] for name, side in sides.items()
            }
            file.write(json.dumps({"id": document.id, **spans}, ensure_ascii=False, default=float) + "\n")
