"""The legs of the ensemble. Adding one: a module with a ``load(folder)``, an entry here, a name in params.yaml."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.base import Leg
from multiner.pipeline.models.spacy.lean import lean

LEGS = {
    "transformer": "multiner.pipeline.models.transformer.inference:TransformerLeg",
    "spacy": "multiner.pipeline.models.spacy.inference:SpacyLeg",
    "shipped": "multiner.pipeline.models.pretrained.inference:ShippedLeg",
}


def load_leg(name: str, folder: Path) -> Leg:
    """The trained leg ``name`` that lies in ``folder``.

    Raises:
        NerError: the name is unknown, or the folder is missing.
    """
    if name not in LEGS:
        raise NerError(f"unknown leg {name!r}", where="params.yaml: ensemble.legs", remedy=f"Known: {', '.join(LEGS)}.")
    if not folder.is_dir():
        raise NerError("no trained leg here", where=str(folder), remedy="Train it: dvc repro")
    module, _, attribute = LEGS[name].partition(":")
    with without("torch"):
        return lean(getattr(import_module(module), attribute).load(folder))


@contextmanager
def without(package: str) -> Iterator[None]:
    """Import as if ``package`` were not installed, unless it is imported already.

    thinc, under spaCy, imports PyTorch wherever it finds it: seconds and hundreds of MB, for nothing that a leg uses.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system's own sign for "not to be found"
    try:
        yield
    finally:
        del sys.modules[package]
