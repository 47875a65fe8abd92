"""The growing corpora as params.yaml declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError

REVIEW = "review"  # the source of corrections from the page


@dataclass(frozen=True)
class GrowingCorpus:
    """A declared growing corpus.

    Attributes:
        name: its name, also that of its folder below data/raw.
        language: language code.
        source: ``review``, or a file or folder, relative to the workspace; None: `ner corpus import` alone feeds it.
        types: map from the source's labels to the pipeline's types; labels that map to None are left out.
        heldout: share of its documents that are for development.
        folder: where its accepted batches are.
    """

    name: str
    language: str
    source: str | None
    types: Mapping[str, str | None]
    heldout: float
    folder: Path


def growing_corpus(workspace: Workspace, name: str) -> GrowingCorpus:
    """The declaration of a growing corpus. Raises NerError if there is none (says what to write)."""
    if name not in workspace.growing:
        raise NerError(
            f"params.yaml declares no growing corpus {name!r}",
            where="params.yaml: growing",
            remedy=f"Write there, for example, growing: {{{name}: {{language: {workspace.languages[0]}}}}}, "
            f"and add {name} to train_on of the language.",
        )
    options = workspace.growing[name]
    own = {label: label for label in workspace.language(options["language"])["types"]}
    return GrowingCorpus(
        name,
        options["language"],
        options.get("source"),
        own | options.get("types", {}),
        options.get("heldout", 0.0),
        workspace.paths.raw / name,
    )
