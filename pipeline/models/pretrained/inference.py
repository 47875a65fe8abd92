"""Inference with a pretrained spaCy pipeline: en_core_web_md, xx_ent_wiki_sm, slovnet's NER and others.

Its label probabilities come from a component that gives them (``slovnet_ner``), else from the scores of the actions of
spaCy's ``ner``, else they are a fixed confidence in its entities. The ensemble calibrates them afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.models.spacy.component import batches, to_doc
from multiner.pipeline.text.vocabulary import keep_small

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

SETTINGS = "shipped.json"
CONFIDENCE = 0.9
FLOOR = 1e-3  # probability mass spread over all labels, since the pipeline was trained on another annotation scheme
TYPES = {
    "PER": "PER", "PERSON": "PER", "LOC": "LOC", "GPE": "LOC", "FAC": "LOC", "ORG": "ORG", "MISC": "MISC",
    "NORP": "MISC", "PRODUCT": "MISC", "EVENT": "MISC", "WORK_OF_ART": "MISC", "LAW": "MISC", "LANGUAGE": "MISC",
}  # fmt: skip
"""The types of OntoNotes and WikiNER → our types; others (dates, amounts) are no names."""

ProbabilitySource = Callable[[list["Doc"]], list[np.ndarray]]
"""Gives label probabilities ``[tokens, labels]`` for each Doc; rows sum to 1."""


class PretrainedModel:
    """A pretrained spaCy pipeline as a base model. Safe to call from several threads: calls wait for each other.

    It reads whole documents with their sentence borders, as in its training: context beyond a sentence helps, and no
    entity crosses a border.
    """

    def __init__(self, nlp: Language, labels: list[str]) -> None:
        self._nlp = nlp
        self.labels = labels
        self._probabilities = probability_source(nlp, labels)
        self._lock = Lock()

    @classmethod
    def load(cls, folder: Path) -> PretrainedModel:
        """Load what :func:`multiner.pipeline.models.pretrained.installation.install` wrote to ``folder``."""
        import spacy

        import multiner.pipeline.models.pretrained.slovnet_component  # noqa: F401 (registers its factory)

        return cls(spacy.load(folder), read_json(folder / SETTINGS)["labels"])

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document; rows sum to 1."""
        results: list[np.ndarray] = []
        with self._lock:
            for batch in batches(documents, lambda document: len(document.tokens)):
                with self._nlp.memory_zone():  # else a server would keep every word in its vocabulary for good
                    rows = self._probabilities([_doc(document, self._nlp) for document in batch])
                results += [((1 - FLOOR) * each + FLOOR / len(self.labels)).astype(np.float32) for each in rows]
        return results

    def forget_words(self) -> None:
        """Limit the memory that words of past texts take (:mod:`multiner.pipeline.text.vocabulary`)."""
        with self._lock:
            keep_small(self._nlp.vocab)


def probability_source(nlp: Language, labels: Sequence[str]) -> ProbabilitySource:
    """The best source of label probabilities in a pipeline."""
    from spacy.pipeline import EntityRecognizer

    from multiner.pipeline.models.pretrained.transitions import Actions, action_scores

    recognizers = entity_components(nlp)
    last: Any = nlp.get_pipe(recognizers[0]) if len(recognizers) == 1 else None

    def run(docs: list[Doc], without: object = None) -> list[Doc]:
        for _, pipe in nlp.pipeline:
            if pipe is not without:
                docs = list(pipe.pipe(docs)) if hasattr(pipe, "pipe") else [pipe(doc) for doc in docs]
        return docs

    if hasattr(last, "probabilities"):
        mapping = np.array([[float(_our_label(theirs) == label) for label in labels] for theirs in last.labels])

        def from_component(docs: list[Doc]) -> list[np.ndarray]:
            rows = [each @ mapping for each in last.probabilities(run(docs, without=last))]
            for each in rows:
                each[:, 0] += np.maximum(0, 1 - each.sum(axis=1))  # the mass of types that we lack goes to O
            return rows

        return from_component
    if isinstance(last, EntityRecognizer) and last.cfg["beam_width"] == 1:
        names = [last.moves.get_class_name(index) for index in range(last.moves.n_moves)]
        actions = Actions(names, TYPES, [label[2:] for label in labels[1::2]])

        def from_actions(docs: list[Doc]) -> list[np.ndarray]:
            docs = run(docs, without=last)
            return [actions.probabilities(doc, rows) for doc, rows in zip(docs, action_scores(last, docs), strict=True)]

        return from_actions
    return lambda docs: [_fixed_confidence(doc, labels) for doc in run(docs)]


def entity_components(nlp: Language) -> list[str]:
    """The names of the components that set ``doc.ents``."""
    return [name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns]


def _our_label(label: str) -> str:
    return label[:2] + TYPES.get(label[2:], "") if label[2:] else label


def _fixed_confidence(doc: Doc, labels: Sequence[str]) -> np.ndarray:
    """Label probabilities that put a fixed confidence in the entities of a Doc."""
    index_of = {label: index for index, label in enumerate(labels)}
    spans = [Span(ent.start, ent.end, TYPES.get(ent.label_, "")) for ent in doc.ents]
    rows = np.full((len(doc), len(labels)), (1 - CONFIDENCE) / (len(labels) - 1))
    for index, label in enumerate(encode([span for span in spans if f"B-{span.label}" in index_of], len(doc))):
        rows[index, index_of[label]] = CONFIDENCE
    return rows


def _doc(document: Document, nlp: Language) -> Doc:
    doc = to_doc(document, 0, len(document.tokens), nlp.vocab)
    for sentence in document.sentences:
        if sentence.start < len(doc):
            doc[sentence.start].is_sent_start = True
    return doc
