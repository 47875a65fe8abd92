"""The base models of the ensemble, which params.yaml and the API call legs.

To add one: a class with ``load(folder)``, an entry in :data:`BASE_MODELS`, and its name in params.yaml.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.base import TokenClassifier
from multiner.pipeline.models.spacy.lean import lean

BASE_MODELS = {
    "transformer": "multiner.pipeline.models.transformer.inference:TransformerModel",
    "spacy": "multiner.pipeline.models.spacy.inference:SpacyModel",
    "shipped": "multiner.pipeline.models.pretrained.inference:PretrainedModel",
}


def load_base_model(name: str, folder: Path) -> TokenClassifier:
    """Load a base model from the folder that its training wrote. Raises NerError for an unknown name or no folder."""
    if name not in BASE_MODELS:
        remedy = f"Known: {', '.join(BASE_MODELS)}."
        raise NerError(f"unknown leg {name!r}", where="params.yaml: ensemble.legs", remedy=remedy)
    if not folder.is_dir():
        raise NerError("no trained leg here", where=str(folder), remedy="Train it: dvc repro")
    module, _, attribute = BASE_MODELS[name].partition(":")
    with hidden_package("torch"):
        return lean(getattr(import_module(module), attribute).load(folder))


@contextmanager
def hidden_package(package: str) -> Iterator[None]:
    """Import as if ``package`` were not installed, unless it is imported already.

    thinc, on which spaCy is built, imports PyTorch wherever it is installed. That takes seconds and hundreds of MB, and
    no base model needs it to predict.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system reads None as "not installed"
    try:
        yield
    finally:
        del sys.modules[package]
