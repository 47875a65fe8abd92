"""Inference in a linear-chain conditional random field (Lafferty et al. 2001): marginals and the best path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Chain:
    """A trained chain over IOB2 labels, restricted to legal sequences: I- only follows B- or I- of its type.

    ``transitions`` ``[labels, labels]`` are the scores of the steps from one label (row) to the next (column).
    """

    def __init__(self, labels: Sequence[str], transitions: np.ndarray) -> None:
        inside = np.array([label.startswith("I-") for label in labels])
        continues = np.array([[left[1:] == right[1:] and left != "O" for right in labels] for left in labels])
        self.start = np.where(inside, -np.inf, 0.0)
        self.transitions = np.where(inside & ~continues, -np.inf, transitions.astype(np.float64))

    def marginals(self, emissions: np.ndarray) -> np.ndarray:
        """Probability of each label at each token, by the forward-backward algorithm with scaling (Rabiner 1989).

        From the scores ``emissions`` ``[tokens, labels]``; float64 of the same shape, rows sum to 1.
        """
        length = len(emissions)
        if not length:
            return np.zeros(emissions.shape)
        # Subtracting the maximum changes no probability and prevents overflow.
        emit = np.exp(emissions - emissions.max(axis=1, keepdims=True), dtype=np.float64)
        step = np.exp(self.transitions - self.transitions.max())
        forward, backward = np.empty(emit.shape), np.ones(emit.shape)
        row = np.exp(self.start) * emit[0]
        forward[0] = row / row.sum()
        for index in range(1, length):
            row = (forward[index - 1] @ step) * emit[index]
            forward[index] = row / row.sum()
        for index in range(length - 2, -1, -1):
            row = step @ (emit[index + 1] * backward[index + 1])
            backward[index] = row / row.sum()
        both = forward * backward
        return both / both.sum(axis=1, keepdims=True)

    def best_path(self, emissions: np.ndarray) -> np.ndarray:
        """The legal label sequence with the highest score (Viterbi 1967), as label indices ``[tokens]``."""
        length = len(emissions)
        path = np.zeros(length, dtype=np.int64)
        if not length:
            return path
        back = np.zeros(emissions.shape, dtype=np.int64)
        best = self.start + emissions[0]
        for index in range(1, length):
            scores = best[:, None] + self.transitions
            back[index] = scores.argmax(axis=0)
            best = scores.max(axis=0) + emissions[index]
        path[-1] = best.argmax()
        for index in range(length - 1, 0, -1):
            path[index - 1] = back[index, path[index]]
        return path
