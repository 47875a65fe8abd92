"""The catalogue of corpora: their files, their formats and their entity types.

To add a corpus in a known format, add an entry to :data:`CORPORA` and a type map to type_maps.py, then name the corpus
in params.yaml under the languages that train on it or report on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from multiner.pipeline.config.type_maps import CONLL, FACTRUEVAL, WNUT17, TypeMap
from multiner.pipeline.core.errors import NerError


@dataclass(frozen=True)
class ColumnFormat:
    """The layout of a column file.

    Attributes:
        columns: number of columns of a token's line; the first is the token, the last its tag.
        separator: between columns: "blank" (one or more blanks or tabs) or "tab" (a single tab).
        scheme: IOB2 (every entity begins with B-) or IOB1 (B- only between neighbours of one type).
        documents: "docstart" (a line -DOCSTART- begins a document) or "block" (each block of lines is a document,
            unless the file has -DOCSTART- lines).
    """

    columns: int
    separator: Literal["blank", "tab"]
    scheme: Literal["IOB1", "IOB2"]
    documents: Literal["docstart", "block"]


@dataclass(frozen=True)
class StandoffFormat:
    """factRuEval's stand-off files, with the convention that turns their objects into spans."""

    convention: Literal["name", "object"]


@dataclass(frozen=True)
class Corpus:
    """A corpus of the catalogue.

    Attributes:
        language: language code.
        folder: its folder below the raw corpora.
        parts: file (or folder of files) of each split. Where train and dev share one, a part of its documents is held
            out as dev.
        form: the layout of the files.
        types: map from its entity types to the pipeline's.
    """

    language: str
    folder: str
    parts: Mapping[str, str]
    form: ColumnFormat | StandoffFormat
    types: TypeMap


_FACTRUEVAL = Corpus(
    language="ru",
    folder="factRuEval-2016",
    parts={"train": "devset", "dev": "devset", "test": "testset"},
    form=StandoffFormat("name"),
    types=FACTRUEVAL,
)

CORPORA: dict[str, Corpus] = {
    "conll2003": Corpus(
        language="en",
        folder="conll2003",
        parts={"train": "train.txt", "dev": "valid.txt", "test": "test.txt"},
        form=ColumnFormat(columns=4, separator="blank", scheme="IOB2", documents="docstart"),
        types=CONLL,
    ),
    "wnut17": Corpus(
        language="en",
        folder="wnut17",
        parts={"train": "wnut17train.conll", "dev": "emerging.dev.conll", "test": "emerging.test.annotated"},
        form=ColumnFormat(columns=2, separator="tab", scheme="IOB2", documents="block"),
        types=WNUT17,
    ),
    "factrueval-name": _FACTRUEVAL,
    "factrueval-object": replace(_FACTRUEVAL, form=StandoffFormat("object")),
}


def corpus_entry(corpus: str) -> Corpus:
    """The catalogue's entry of a corpus. Raises NerError if no corpus has that name."""
    try:
        return CORPORA[corpus]
    except KeyError:
        raise NerError(
            f"unknown corpus {corpus!r}",
            where="params.yaml: languages",
            remedy=f"Choose among: {', '.join(CORPORA)}; a further one is an entry in pipeline/config/corpora.py.",
        ) from None


def corpora_of(params: Mapping[str, Any]) -> list[str]:
    """The corpora that a language, by its parameters, trains on or reports on: each once, in their order there."""
    return list(dict.fromkeys([*params["train_on"], *params["report_on"]]))
