"""What the ensemble says of each token: the probability of each type, and of none.

The marginals of the legal label sequences, by the forward-backward algorithm (Rabiner 1989), as for the scores of spans
in :mod:`multiner.pipeline.core.decoding`; B- and I- of a type are one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Sentence

_TINY = 1e-12


def token_types(probabilities: np.ndarray, sentences: Sequence[Sentence]) -> np.ndarray:
    """Probabilities of being outside, and within an entity of each type.

    Args:
        probabilities: ``[tokens, labels]`` of a document; labels as :func:`multiner.pipeline.core.iob2.bio_labels`
        orders them. sentences: they tile the document; no label sequence reaches across their borders.

    Returns:
        float64 ``[tokens, 1 + types]``, rows sum to 1.

    Raises:
        Cancelled: see :func:`multiner.pipeline.core.cancellation.check_cancelled`.
    """
    found = np.zeros((len(probabilities), (probabilities.shape[1] + 1) // 2))
    for sentence in sentences:
        check_cancelled()
        found[sentence.start : sentence.end] = _sentence(probabilities[sentence.start : sentence.end])
    return found


def _sentence(probabilities: np.ndarray) -> np.ndarray:
    """The same of one sentence. In plain floats: types are few, where numpy spends its time on being called."""
    emit = np.maximum(probabilities, _TINY).astype(np.float64)
    outside, begins, insides = emit[:, 0].tolist(), emit[:, 1::2].tolist(), emit[:, 2::2].tolist()
    types = range(emit.shape[1] // 2)
    # forward, scaled: the mass of being within each type; all labels but I- may follow any other
    within: list[list[float]] = []
    scales: list[float] = []
    running = [0.0 for _ in types]
    for out, begin, inside in zip(outside, begins, insides, strict=True):
        masses = [begin[x] + inside[x] * running[x] for x in types]
        scale = out + sum(masses)
        running = [mass / scale for mass in masses]
        within.append(running)
        scales.append(scale)
    # backward: of all that may come after being outside, and after each type
    rows: list[list[float]] = []
    free, held = 1.0, [1.0 for _ in types]
    for at in range(len(emit) - 1, -1, -1):
        scale = scales[at]
        rows.append([outside[at] / scale * free, *(within[at][x] * held[x] for x in types)])
        begun = (outside[at] * free + sum(begins[at][x] * held[x] for x in types)) / scale
        free, held = begun, [begun + insides[at][x] * held[x] / scale for x in types]
    return np.array(rows[::-1]).reshape(len(emit), 1 + len(types))
