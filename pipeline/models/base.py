"""What a leg is: a model that gives each token of a document a distribution over the labels."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import sha256_of

SETTINGS = "leg.json"
"""The file beside a transformer leg's weights that says how to use them."""


class Leg(Protocol):
    """A trained member of an ensemble."""

    @property
    def labels(self) -> list[str]:
        """The label set, in the order of :func:`multiner.pipeline.core.iob2.bio_labels`."""
        ...

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document; rows sum to 1."""
        ...


def code_hash() -> str:
    """SHA-256 over the modules and settings of the base models, which names the code that a checkpoint belongs to."""
    folder = Path(__file__).parent
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".cfg"))
    lines = (f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n" for path in files)
    return sha256("".join(lines).encode()).hexdigest()
