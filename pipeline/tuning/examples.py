"""A user's annotated sentences: reading them, holding a part out, and mixing the rest with training documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.growing.declaration import GrowingCorpus
from multiner.pipeline.growing.records import read_path

CORPUS = "examples"  # name of the user's documents beside the language's corpora
ORIGINAL = "original"  # name of the language's documents to stop on, which count as one corpus
FEWEST = 10  # examples


@dataclass(frozen=True)
class Examples:
    """The examples in three parts.

    Attributes:
        train: the model learns from these.
        dev: training stops early on these, and the meta-classifier is fitted to them.
        check: only the scores before and after are taken on these.
    """

    train: list[Document]
    dev: list[Document]
    check: list[Document]

    @property
    def all(self) -> list[Document]:
        """The documents of the three parts."""
        return self.train + self.dev + self.check


def read_examples(path: Path, language: str, types: Sequence[str]) -> list[Document]:
    """The annotated sentences of a file, as :mod:`multiner.pipeline.growing.records` reads it; each text once.

    Raises:
        NerError: the file is missing, a record cannot be read or has an unknown type (names file and line), or there
            are fewer than :data:`FEWEST` different texts.
    """
    source = GrowingCorpus(CORPUS, language, None, {label: label for label in types}, 0.0, path.parent)
    try:
        documents = read_path(path, source, path.parent)
    except NerError as error:
        if error.remedy and "growing." in error.remedy:  # these texts are not declared in params.yaml
            error.remedy = f"The model's types are: {', '.join(types)}. Mend the record."
        raise
    if len(documents) < FEWEST:
        raise NerError(
            f"{len(documents)} different texts are too few to learn from and to check on",
            where=str(path),
            remedy=f"Annotate at least {FEWEST}; one or two hundred are better.",
        )
    return documents


def split_examples(documents: Sequence[Document], held_out: float) -> Examples:
    """Hold out a share of the examples, half of it to stop training and half to check; the ids decide which.

    Raises:
        NerError: the training part or the check part has no entity.
    """
    ordered = sorted(documents, key=lambda document: document.id)  # ids are hashes
    kept_back = min(max(2, round(len(ordered) * held_out)), len(ordered) - 1)
    check = (kept_back + 1) // 2
    parts = Examples(ordered[kept_back:], ordered[check:kept_back], ordered[:check])
    for part, purpose in ((parts.train, "learn from"), (parts.dev, "stop on"), (parts.check, "check on")):
        if not any(document.spans for document in part):
            raise NerError(
                f"the {len(part)} examples to {purpose} have no entity",
                where="--examples",
                remedy="Annotate more texts that have entities.",
            )
    return parts


def replayed(train: Sequence[Document], tokens: int, seed: int) -> list[Document]:
    """Training documents with about this many tokens, chosen at random, equally many tokens of each corpus."""
    corpora = list(dict.fromkeys(document.corpus for document in train))
    chosen: list[Document] = []
    for corpus in corpora:
        documents = [document for document in train if document.corpus == corpus]
        Random(f"{seed}/{corpus}").shuffle(documents)
        chosen += up_to(documents, tokens / len(corpora))
    return chosen


def up_to(documents: Sequence[Document], tokens: float) -> list[Document]:
    """The first documents, as many as are needed for this many tokens."""
    count = 0
    chosen = []
    for document in documents:
        if count >= tokens:
            break
        chosen.append(document)
        count += len(document.tokens)
    return chosen


def balanced(examples: Sequence[Document], original: Sequence[Document], entities: int) -> list[Document]:
    """Documents to stop on: in the mean F1 over corpora, the examples and the language's own documents weigh the same.

    Args:
        examples: one corpus.
        original: of these, as many as are needed for ``entities``, with equally many entities of each corpus; together
            they count as one corpus.
        entities: entities of the original documents; at least as many as the examples have.
    """
    own = sum(len(document.spans) for document in examples)
    corpora = list(dict.fromkeys(document.corpus for document in original))
    chosen: list[Document] = []
    for corpus in corpora:
        count = 0.0
        for document in sorted((each for each in original if each.corpus == corpus), key=lambda each: each.id):
            if count >= max(entities, own) / len(corpora):
                break
            chosen.append(replace(document, corpus=ORIGINAL))
            count += len(document.spans)
    return [*chosen, *examples]
