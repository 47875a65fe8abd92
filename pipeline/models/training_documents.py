"""The prepared documents that a language trains, tunes and stops early on."""

from __future__ import annotations

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, read_jsonl
from multiner.pipeline.core.errors import NerError


def read_prepared(workspace: Workspace, language: str, split: str) -> list[Document]:
    """The documents of a split of all corpora that ``language`` trains on.

    Raises:
        NerError: they were not prepared.
    """
    documents: list[Document] = []
    for corpus in workspace.language(language)["train_on"]:
        path = workspace.paths.documents(language) / f"{corpus}.{split}.jsonl"
        if not path.is_file():
            raise NerError(
                "prepared documents are missing", where=str(path), remedy=f"Run: dvc repro prepare@{language}"
            )
        documents += read_jsonl(path)
    return documents


def read_tune(workspace: Workspace, language: str) -> list[Document]:
    """The tune half of the development part.

    Raises:
        NerError: it was not prepared, or there is nothing to tune on.
    """
    dev = [document for document in read_prepared(workspace, language, "dev") if document.half() == "tune"]
    if not dev:
        raise NerError("no development documents to tune on", where=str(workspace.paths.documents(language)))
    return dev


def read_training(workspace: Workspace, language: str) -> tuple[list[Document], list[Document]]:
    """The train part, and the tune half of the development part.

    Raises:
        NerError: they were not prepared, or there is nothing to tune on.
    """
    return read_prepared(workspace, language, "train"), read_tune(workspace, language)
