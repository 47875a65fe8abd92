"""What a leg is: a model that gives each token of a document a distribution over the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.document import Document

SETTINGS = "leg.json"
"""The file beside a transformer leg's weights that says how to use them."""


class Leg(Protocol):
    """A trained member of an ensemble."""

    labels: list[str]
    """The label set, in the order of :func:`pipeline.bio.bio_labels`."""

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document; rows sum to 1."""
        ...
