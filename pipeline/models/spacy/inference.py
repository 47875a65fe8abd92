"""Inference with a spaCy pipeline that we trained; its ``bio_tagger`` gives the label probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import spacy
from spacy.language import Language

from multiner.pipeline.core.document import Document
from multiner.pipeline.models.base import TokenClassifier
from multiner.pipeline.models.pretrained.inference import SETTINGS, PretrainedModel
from multiner.pipeline.models.spacy.component import batches, tagger_of, to_doc, units
from multiner.pipeline.text.vocabulary import keep_small


class SpacyModel:
    """A trained spaCy pipeline as a base model. Safe to call from several threads: calls wait for each other."""

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp
        self._tagger = tagger_of(nlp)
        self._lock = Lock()

    @classmethod
    def load(cls, folder: Path) -> TokenClassifier:
        """Load what the stage ``train_spacy`` wrote to ``folder``: a trained CNN, or a pretrained pipeline."""
        if (folder / SETTINGS).is_file():
            return PretrainedModel.load(folder)
        return cls(spacy.load(folder))

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the columns of :meth:`predict`."""
        return list(self._tagger.labels)

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document; rows sum to 1."""
        results = [np.zeros((len(document.tokens), len(self.labels)), dtype=np.float32) for document in documents]
        ranges = [(index, start, end) for index, document in enumerate(documents) for start, end in units(document)]
        with self._lock:
            for batch in batches(ranges, lambda each: each[2] - each[1]):
                with self._nlp.memory_zone():  # else a server would keep every word in its vocabulary for good
                    rows = self._probabilities(documents, batch)
                for (index, start, end), probabilities in zip(batch, rows, strict=True):
                    results[index][start:end] = probabilities
        return results

    def _probabilities(self, documents: Sequence[Document], batch: list[tuple[int, int, int]]) -> list[np.ndarray]:
        docs = [to_doc(documents[index], start, end, self._nlp.vocab) for index, start, end in batch]
        return self._tagger.probabilities(docs)

    def forget_words(self) -> None:
        """Limit the memory that words of past texts take (:mod:`multiner.pipeline.text.vocabulary`)."""
        with self._lock:
            keep_small(self._nlp.vocab)
