"""The extras of setup.py: what is said where one of them is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from multiner.pipeline.core.errors import NerError


def missing(error: ModuleNotFoundError, extra: str) -> NerError:
    """The error of a package that ``extra`` brings; raises ``error`` itself if it is of a module of this project."""
    package = (error.name or "multiner").partition(".")[0]
    if package == "multiner":
        raise error
    return NerError(
        f"the package {package} is not installed", remedy=f"This needs: pip install 'ner-pipeline[{extra}]'"
    )


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """A block, or as a decorator a function, that imports packages of ``extra``.

    Raises:
        NerError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing(error, extra) from error
