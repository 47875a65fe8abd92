"""The interface of a base model: it gives each token of a document a probability distribution over the labels."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import sha256_of

SETTINGS = "leg.json"
"""The settings file beside the weights of a transformer: labels, window size and context."""


class TokenClassifier(Protocol):
    """A trained base model of an ensemble."""

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of :func:`multiner.pipeline.core.iob2.bio_labels`."""
        ...

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document; rows sum to 1."""
        ...


def code_hash() -> str:
    """SHA-256 over the code and settings of this package; it identifies the code that a checkpoint belongs to."""
    folder = Path(__file__).parent
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".cfg"))
    lines = (f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n" for path in files)
    return sha256("".join(lines).encode()).hexdigest()
