"""What a model version was trained on, as a sketch and a vocabulary: what live traffic is compared with."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.drift.sketch import EntityTraits, Sketch, add_entities, add_text, vocabulary
from multiner.pipeline.evaluation.predictions import ENSEMBLE
from multiner.pipeline.models.training_documents import read_part


@dataclass(frozen=True)
class Reference:
    """What texts and answers of a version look like if nothing has drifted.

    Attributes:
        sketch: of the training and development texts; what depends on the version is of the development texts alone,
            since a model knows its training texts.
        vocabulary: the hashes of the words in the training texts.
    """

    sketch: Sketch
    vocabulary: frozenset[int]

    def to_json(self) -> dict[str, Any]:
        """The reference for a JSON file."""
        hashes = np.sort(np.fromiter(self.vocabulary, "<u4", len(self.vocabulary)))
        return {"sketch": self.sketch.to_json(), "vocabulary": b64encode(hashes.tobytes()).decode()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reference:
        """The reference that :meth:`to_json` gave."""
        hashes = np.frombuffer(b64decode(value["vocabulary"]), "<u4")
        return cls(Sketch.from_json(value["sketch"]), frozenset(hashes.tolist()))


def reference_of(workspace: Workspace, language: str) -> Reference | None:
    """The reference of the model in the workspace's outputs; None where the evaluation left no predictions.

    It is made of the corpora that the language trains on and reports on.

    Raises:
        NerError: prepared documents are missing.
    """
    settings = workspace.language(language)
    train: list[Document] = []
    answered: list[tuple[Document, list[EntityTraits]]] = []
    for corpus in settings["train_on"]:
        predictions = workspace.paths.report(language) / "predictions" / f"{corpus}.dev.jsonl"
        if not predictions.is_file():
            continue
        train += read_part(workspace, language, corpus, "train")
        dev = read_part(workspace, language, corpus, "dev")
        answered += zip(dev, predicted_traits(dev, predictions), strict=True)
    return build(train, answered, settings["types"]) if answered else None


def build(
    train: Iterable[Document], answered: Iterable[tuple[Document, Sequence[EntityTraits]]], types: Sequence[str]
) -> Reference:
    """The reference from training documents, and development documents with what the model finds in them."""
    texts = [document.text for document in train]
    known, sketch = vocabulary(texts), Sketch()
    for text in texts:
        add_text(sketch, text)
    for document, entities in answered:
        add_entities(sketch, add_text(sketch, document.text, known), entities, types)
    return Reference(sketch, known)


def predicted_traits(documents: Iterable[Document], predictions: Path) -> Iterator[list[EntityTraits]]:
    """The entities that the ensemble finds in documents, from the evaluation's file of predictions."""
    with predictions.open(encoding="utf-8") as lines:
        for document, line in zip(documents, lines, strict=True):
            systems = {
                name: [Span(*span) for span in spans]
                for name, spans in json.loads(line).items()
                if name not in ("id", "gold")
            }
            answer = systems.pop(ENSEMBLE)
            legs = [{(span.start, span.end, span.label) for span in spans} for spans in systems.values()]
            yield [
                EntityTraits(
                    document.tokens[span.start].start,
                    span.label,
                    span.score,
                    sum((span.start, span.end, span.label) in spans for spans in legs) / len(legs) if legs else None,
                )
                for span in answer
            ]
