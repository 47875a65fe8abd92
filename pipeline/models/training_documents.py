"""The prepared documents of a language: for training, early stopping, fitting the ensemble and evaluation."""

from __future__ import annotations

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, read_jsonl
from multiner.pipeline.core.errors import NerError


def read_part(workspace: Workspace, language: str, corpus: str, split: str) -> list[Document]:
    """A corpus's documents for train, dev or test. Raises NerError if the stage ``prepare`` has not run."""
    path = workspace.paths.documents(language) / f"{corpus}.{split}.jsonl"
    if not path.is_file():
        raise NerError("prepared documents are missing", where=str(path), remedy=f"Run: dvc repro prepare@{language}")
    return list(read_jsonl(path))


def read_split(workspace: Workspace, language: str, split: str) -> list[Document]:
    """The parts ``split`` of all corpora that the language trains on, joined."""
    corpora = workspace.language(language)["train_on"]
    return [document for corpus in corpora for document in read_part(workspace, language, corpus, split)]


def read_tune_half(workspace: Workspace, language: str) -> list[Document]:
    """The tune halves of the development parts: training stops early on them, and the ensemble is fitted to them.

    Raises NerError if they are empty.
    """
    dev = [document for document in read_split(workspace, language, "dev") if document.half() == "tune"]
    if not dev:
        raise NerError("no development documents to tune on", where=str(workspace.paths.documents(language)))
    return dev


def read_training(workspace: Workspace, language: str) -> tuple[list[Document], list[Document]]:
    """The train parts and the tune halves."""
    return read_split(workspace, language, "train"), read_tune_half(workspace, language)
