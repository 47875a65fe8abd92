"""A pretrained spaCy pipeline as it was shipped (en_core_web_md, xx_ent_wiki_sm, slovnet's NER, …) as a leg.

What it offers is turned into label probabilities: those of a component that has any (``slovnet_ner``), else those
behind the actions of spaCy's ``ner``, else a fixed confidence in the entities it names. The ensemble's calibration
corrects all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.models.spacy.component import to_doc
from multiner.pipeline.text.vocabulary import keep_small

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

SETTINGS = "shipped.json"
CONFIDENCE = 0.9
FLOOR = 1e-3  # probability mass spread over all labels: a foreign model is never certain of our convention
BATCH_WORDS = 4000  # words in one call; bounds memory, changes no result
TYPES = {
    "PER": "PER", "PERSON": "PER", "LOC": "LOC", "GPE": "LOC", "FAC": "LOC", "ORG": "ORG", "MISC": "MISC",
    "NORP": "MISC", "PRODUCT": "MISC", "EVENT": "MISC", "WORK_OF_ART": "MISC", "LAW": "MISC", "LANGUAGE": "MISC",
}  # fmt: skip
"""OntoNotes' and WikiNER's types as ours; others (dates, amounts) are no names."""

Evidence = Callable[[list["Doc"]], list[np.ndarray]]
"""Gives ``[tokens, labels]`` for each Doc, rows summing to 1."""


class ShippedLeg:
    """A shipped spaCy pipeline as a leg. Safe to call from several threads: calls wait for each other.

    It reads whole documents with their sentence starts set, as such pipelines were trained: context beyond a sentence
    helps, and no entity crosses a border.

    Args:
        nlp: a pipeline that sets ``doc.ents``.
        labels: the ensemble's label set.
    """

    def __init__(self, nlp: Language, labels: list[str]) -> None:
        self._nlp = nlp
        self.labels = labels
        self._evidence = evidence(nlp, labels)
        self._lock = Lock()

    @classmethod
    def load(cls, folder: Path) -> ShippedLeg:
        """The leg that :func:`multiner.pipeline.models.pretrained.installation.install` wrote to ``folder``."""
        import spacy

        import multiner.pipeline.models.pretrained.slovnet_component  # noqa: F401 (registers its factory)

        return cls(spacy.load(folder), read_json(folder / SETTINGS)["labels"])

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities: one float32 array [tokens, labels] per document, rows summing to 1."""
        results: list[np.ndarray] = []
        with self._lock:
            for batch in _batches(documents):
                # Words seen here must not stay in the vocabulary for the life of a server.
                with self._nlp.memory_zone():
                    rows = self._evidence([_doc(document, self._nlp) for document in batch])
                results += [((1 - FLOOR) * each + FLOOR / len(self.labels)).astype(np.float32) for each in rows]
        return results

    def forget_words(self) -> None:
        """Keep the tables of words small that were read so far (:mod:`multiner.pipeline.text.vocabulary`)."""
        with self._lock:
            keep_small(self._nlp.vocab)


def evidence(nlp: Language, labels: Sequence[str]) -> Evidence:
    """The best source of label probabilities that ``nlp`` offers."""
    from spacy.pipeline import EntityRecognizer

    from multiner.pipeline.models.pretrained.transitions import Actions, action_scores

    naming = [name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns]
    before = [pipe for name, pipe in nlp.pipeline if not naming or name != naming[-1]]
    last: Any = nlp.get_pipe(naming[-1]) if len(naming) == 1 else None

    def prepared(docs: list[Doc]) -> list[Doc]:
        for pipe in before:
            docs = list(pipe.pipe(docs)) if hasattr(pipe, "pipe") else [pipe(doc) for doc in docs]
        return docs

    if hasattr(last, "probabilities"):
        into = np.array([[float(_ours(source) == label) for label in labels] for source in last.labels])

        def of_component(docs: list[Doc]) -> list[np.ndarray]:
            rows = [each @ into for each in last.probabilities(prepared(docs))]
            for each in rows:
                each[:, 0] += np.maximum(0, 1 - each.sum(axis=1))  # what has no label of ours is outside
            return rows

        return of_component
    if isinstance(last, EntityRecognizer) and last.cfg["beam_width"] == 1:
        names = [last.moves.get_class_name(index) for index in range(last.moves.n_moves)]
        actions = Actions(names, TYPES, [label[2:] for label in labels[1::2]])

        def of_actions(docs: list[Doc]) -> list[np.ndarray]:
            docs = prepared(docs)
            return [actions.probabilities(doc, rows) for doc, rows in zip(docs, action_scores(last, docs), strict=True)]

        return of_actions
    before = [pipe for _, pipe in nlp.pipeline]
    return lambda docs: [_sure(doc, labels) for doc in prepared(docs)]


def _ours(label: str) -> str:
    return label[:2] + TYPES.get(label[2:], "") if label[2:] else label


def _sure(doc: Doc, labels: Sequence[str]) -> np.ndarray:
    """A fixed confidence in the entities of a Doc."""
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


def _batches(documents: Sequence[Document]) -> Iterator[list[Document]]:
    """Documents in order, gathered to about ``BATCH_WORDS`` words."""
    batch: list[Document] = []
    words = 0
    for document in documents:
        if batch and words + len(document.tokens) > BATCH_WORDS:
            yield batch
            batch, words = [], 0
        batch.append(document)
        words += len(document.tokens)
    if batch:
        yield batch
