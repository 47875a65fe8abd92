"""A spaCy pipeline as it was shipped (en_core_web_lg, xx_ent_wiki_sm, …) in the place of a trained CNN.

Such a pipeline names entities but gives no probabilities; its labels get a fixed confidence, which the ensemble's
calibration then corrects.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.bio import bio_labels, encode
from pipeline.document import Document, Span
from pipeline.errors import NerError
from pipeline.files import read_json, replace_folder, write_json
from pipeline.legs.spacy_component import to_doc, units

if TYPE_CHECKING:
    from spacy.language import Language

SETTINGS = "shipped.json"
CONFIDENCE = 0.9
TYPES = {
    "PER": "PER", "PERSON": "PER", "LOC": "LOC", "GPE": "LOC", "FAC": "LOC", "ORG": "ORG", "MISC": "MISC",
    "NORP": "MISC", "PRODUCT": "MISC", "EVENT": "MISC", "WORK_OF_ART": "MISC", "LAW": "MISC", "LANGUAGE": "MISC",
}  # fmt: skip
"""OntoNotes' and WikiNER's types as ours; others (dates, amounts) are no names."""


class ShippedLeg:
    """A shipped spaCy pipeline as a leg.

    Args:
        nlp: a pipeline that sets ``doc.ents``.
        labels: the ensemble's label set.
    """

    def __init__(self, nlp: Language, labels: list[str]) -> None:
        self._nlp = nlp
        self.labels = labels

    @classmethod
    def load(cls, folder: Path) -> ShippedLeg:
        """The leg that :func:`install` wrote to ``folder``."""
        import spacy

        return cls(spacy.load(folder), read_json(folder / SETTINGS)["labels"])

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities: one float32 array [tokens, labels] per document, rows summing to 1."""
        index_of = {label: index for index, label in enumerate(self.labels)}
        rest = (1 - CONFIDENCE) / (len(self.labels) - 1)
        results = []
        for document in documents:
            rows = np.full((len(document.tokens), len(self.labels)), rest, dtype=np.float32)
            for start, end in units(document):
                doc = to_doc(document, start, end, self._nlp.vocab)
                for _, component in self._nlp.pipeline:
                    doc = component(doc)
                spans = [Span(ent.start, ent.end, TYPES.get(ent.label_, "")) for ent in doc.ents]
                kept = [span for span in spans if f"B-{span.label}" in index_of]
                for index, label in enumerate(encode(kept, len(doc)), start):
                    rows[index, index_of[label]] = CONFIDENCE
            results.append(rows)
        return results


def install(name: str, types: Sequence[str], folder: Path) -> None:
    """Put the installed spaCy pipeline ``name`` (or the one in the folder ``name``) in place as a leg.

    Raises:
        NerError: there is none of that name, or it names no entities.
    """
    import spacy

    try:
        nlp = spacy.load(name)
    except OSError:
        raise NerError(
            f"no spaCy pipeline {name!r}", where="params.yaml: spacy.pipeline",
            remedy=f"Install it (python -m spacy download {name}), or name a pipeline's folder.",
        ) from None  # fmt: skip
    if not any(label in TYPES for labels in nlp.pipe_labels.values() for label in labels):
        raise NerError(f"the spaCy pipeline {name!r} names no entities", where="params.yaml: spacy.pipeline")
    with replace_folder(folder) as temporary:
        nlp.to_disk(temporary)
        write_json(temporary / SETTINGS, {"labels": bio_labels(types), "pipeline": name})
        write_json(temporary / "history.json", [])
