"""The probability of each entity type at each token, and of O.

They are marginals over the legal label sequences, by the forward-backward algorithm (Rabiner 1989), like the scores of
spans in :mod:`multiner.pipeline.core.decoding`. The probability of a type is that of its B- and I- together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Sentence

_TINY = 1e-12


def token_types(probabilities: np.ndarray, sentences: Sequence[Sentence]) -> np.ndarray:
    """The probabilities of O and of each type.

    Args:
        probabilities: ``[tokens, labels]`` of a document; labels in the order of
            :func:`multiner.pipeline.core.iob2.bio_labels`.
        sentences: the sentences of the document; a label sequence ends with its sentence.

    Returns:
        float64 ``[tokens, 1 + types]``; rows sum to 1.

    Raises:
        Cancelled: see :func:`multiner.pipeline.core.cancellation.check_cancelled`.
    """
    result = np.zeros((len(probabilities), (probabilities.shape[1] + 1) // 2))
    for sentence in sentences:
        check_cancelled()
        result[sentence.start : sentence.end] = _sentence_types(probabilities[sentence.start : sentence.end])
    return result


def _sentence_types(probabilities: np.ndarray) -> np.ndarray:
    """The same for one sentence, with Python floats: for so few types, calls of numpy would take longer."""
    emit = np.maximum(probabilities, _TINY).astype(np.float64)
    outside, begins, insides = emit[:, 0].tolist(), emit[:, 1::2].tolist(), emit[:, 2::2].tolist()
    types = range(emit.shape[1] // 2)
    # Forward pass, scaled: the mass of each type. Every label but I- may follow any label.
    within: list[list[float]] = []
    scales: list[float] = []
    running = [0.0 for _ in types]
    for out, begin, inside in zip(outside, begins, insides, strict=True):
        masses = [begin[x] + inside[x] * running[x] for x in types]
        scale = out + sum(masses)
        running = [mass / scale for mass in masses]
        within.append(running)
        scales.append(scale)
    # Backward pass: the mass of all continuations after O, and after each type.
    rows: list[list[float]] = []
    after_o, after_type = 1.0, [1.0 for _ in types]
    for at in range(len(emit) - 1, -1, -1):
        scale = scales[at]
        rows.append([outside[at] / scale * after_o, *(within[at][x] * after_type[x] for x in types)])
        mass = (outside[at] * after_o + sum(begins[at][x] * after_type[x] for x in types)) / scale
        after_o, after_type = mass, [mass + insides[at][x] * after_type[x] / scale for x in types]
    return np.array(rows[::-1]).reshape(len(emit), 1 + len(types))
