"""What a training says when it cannot go on: memory or loss fail, and which parameter to change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from multiner.pipeline.core.errors import NerError

SIGNS = ("out of memory", "can't allocate memory", "not enough memory")  # of PyTorch's errors, on GPUs and processors


class Diverged(NerError):
    """The loss of a training is no finite number any more."""


def require_finite(loss: float, place: str, *, where: str, remedy: str) -> None:
    """Refuse a loss that is no finite number.

    Args:
        loss: of a step or an epoch.
        place: the step or the epoch, for the message.
        where, remedy: the parameter, and what to do, as of :class:`NerError`.

    Raises:
        Diverged: it is infinite or not a number.
    """
    if not math.isfinite(loss):
        raise Diverged(f"the loss is {loss} in {place}: the training diverges", where=where, remedy=remedy)


@contextmanager
def memory_advice(lower: str, parameter: str) -> Iterator[None]:
    """Turn an error of missing memory within the block into one that says what to lower.

    Args:
        lower: the parameters to lower, for the message.
        parameter: the first of them, by its name in params.yaml.

    Raises:
        NerError: the memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in SIGNS):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise NerError(
            f"the memory does not suffice for the training ({reason})",
            where=f"params.yaml: {parameter}",
            remedy=f"Lower {lower}, or end other programs; with the same parameters the training goes on from its last "
            "checkpoint.",
        ) from error
