"""The spaCy leg: inference with a trained spaCy pipeline whose ``bio_tagger`` gives label probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import spacy
from spacy.language import Language

from multiner.pipeline.core.document import Document
from multiner.pipeline.models.base import Leg
from multiner.pipeline.models.pretrained.inference import SETTINGS, ShippedLeg
from multiner.pipeline.models.spacy.component import tagger_of, to_doc, units
from multiner.pipeline.text.vocabulary import keep_small

BATCH_WORDS = 4000  # words the network sees in one call; bounds memory, changes no result


class SpacyLeg:
    """A trained spaCy pipeline as a leg. Safe to call from several threads: calls wait for each other."""

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp
        self._tagger = tagger_of(nlp)
        self._lock = Lock()

    @classmethod
    def load(cls, folder: Path) -> Leg:
        """The leg that training wrote to ``folder``: a trained CNN, or a pipeline as it was shipped."""
        if (folder / SETTINGS).is_file():
            return ShippedLeg.load(folder)
        return cls(spacy.load(folder))

    @property
    def labels(self) -> list[str]:
        """Names of the columns that :meth:`predict` gives."""
        return list(self._tagger.labels)

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities: one float32 array [tokens, labels] per document, rows summing to 1."""
        results = [np.zeros((len(document.tokens), len(self.labels)), dtype=np.float32) for document in documents]
        with self._lock:
            for batch in _batches(documents):
                # Words seen here must not stay in the vocabulary for the life of a server.
                with self._nlp.memory_zone():
                    parts = self._probabilities(documents, batch)
                for (index, start, end), part in zip(batch, parts, strict=True):
                    results[index][start:end] = part
        return results

    def _probabilities(self, documents: Sequence[Document], batch: list[tuple[int, int, int]]) -> list[np.ndarray]:
        docs = [to_doc(documents[index], start, end, self._nlp.vocab) for index, start, end in batch]
        return self._tagger.probabilities(docs)

    def forget_words(self) -> None:
        """Keep the tables of words small that were read so far (:mod:`multiner.pipeline.text.vocabulary`)."""
        with self._lock:
            keep_small(self._nlp.vocab)


def _batches(documents: Sequence[Document]) -> Iterator[list[tuple[int, int, int]]]:
    """Ranges (document, first token, end) in order, gathered to about ``BATCH_WORDS`` words."""
    batch: list[tuple[int, int, int]] = []
    words = 0
    for index, document in enumerate(documents):
        for start, end in units(document):
            if batch and words + end - start > BATCH_WORDS:
                yield batch
                batch, words = [], 0
            batch.append((index, start, end))
            words += end - start
    if batch:
        yield batch
