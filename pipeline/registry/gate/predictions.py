"""The spans that a version predicts for the gate's documents: an artifact of its MLflow run, without any text.

A later challenger is compared with the version on the same documents by these spans; the version need not predict them
again. Spans of training documents are those of cross-fitting: of base models and a meta-classifier that were not
trained on the document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.inference import isolated_process
from multiner.pipeline.registry.runs import run_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

FOLDER, FILE = "gate", "predictions.json"


def text_hash(document: Document) -> str:
    """A hash of the text and the tokens of a document; stored spans hold for the same text and tokens only."""
    tokens = [[token.start, token.end, token.norm] for token in document.tokens]
    return sha256(json.dumps([document.text, tokens]).encode()).hexdigest()[:16]


@dataclass
class GatePredictions:
    """A version's entity types, and its spans by corpus and document id, each with the :func:`text_hash`.

    ``changed`` is True once spans were added to those that were read.
    """

    types: list[str] = field(default_factory=list)
    spans: dict[str, dict[str, tuple[str, list[Span]]]] = field(default_factory=dict)
    changed: bool = False

    def get(self, corpus: str, document: Document) -> list[Span] | None:
        """The spans of a document; None if there are none, or they are those of another text."""
        digest, spans = self.spans.get(corpus, {}).get(document.id, ("", []))
        return spans if digest == text_hash(document) else None

    def add(self, corpus: str, documents: Iterable[Document], spans: Iterable[Sequence[Span]]) -> None:
        """Add the spans of documents of a corpus."""
        rows = self.spans.setdefault(corpus, {})
        for document, predicted in zip(documents, spans, strict=True):
            rows[document.id] = text_hash(document), list(predicted)
        self.changed = True

    def complete(self, model: Path, documents: Mapping[str, Sequence[Document]]) -> None:
        """Predict the documents (by corpus) that have no spans yet, in a fresh process, with the model in a folder.

        Raises:
            ProcessFailed: the process failed.
        """
        missing = {
            corpus: [document for document in part if self.get(corpus, document) is None]
            for corpus, part in documents.items()
        }
        inputs = [document for part in missing.values() for document in part]
        if not inputs:
            return
        predicted = iter(isolated_process.predict(model, inputs))
        for corpus, part in missing.items():
            self.add(corpus, part, [next(predicted) for _ in part])

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; inverse of :meth:`from_json`."""
        documents = {
            corpus: {
                id: {"text": digest, "spans": [[span.start, span.end, span.label] for span in spans]}
                for id, (digest, spans) in rows.items()
            }
            for corpus, rows in self.spans.items()
        }
        return {"types": self.types, "documents": documents}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GatePredictions:
        """The predictions that :meth:`to_json` wrote."""
        spans = {
            corpus: {id: (row["text"], [Span(*span) for span in row["spans"]]) for id, row in rows.items()}
            for corpus, rows in value["documents"].items()
        }
        return cls(value["types"], spans)


def read_predictions(client: MlflowClient, run_id: str | None) -> GatePredictions:
    """The predictions in a version's run; empty where there are none, or the run was deleted for good."""
    from mlflow.artifacts import load_dict

    run = run_of(client, run_id)
    path = f"{FOLDER}/{FILE}"
    if run is None or path not in {item.path for item in client.list_artifacts(run.info.run_id, FOLDER)}:
        return GatePredictions()
    return GatePredictions.from_json(load_dict(f"{run.info.artifact_uri}/{path}"))


def write_predictions(client: MlflowClient, run_id: str, predictions: GatePredictions) -> None:
    """Write predictions into a version's run."""
    client.log_dict(run_id, predictions.to_json(), f"{FOLDER}/{FILE}")
    predictions.changed = False
