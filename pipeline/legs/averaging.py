"""An exponential moving average of the trained weights (Polyak and Juditsky 1992): steadier than the last step's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class WeightAverage:
    """The average of a model's trained weights over its steps.

    Args:
        model: whose trained parameters are averaged.
        decay: share of the old average that a step keeps; 0: the average is the model itself. Early steps keep less,
            so that the untrained weights are soon forgotten.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self._parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self._decay = decay
        self.values = {name: value.detach().clone() for name, value in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number ``step``, counted from 0."""
        keep = min(self._decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(self.values.values()), list(self._parameters.values()), 1.0 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model carries the average for as long as the context lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(kept)
