"""Growing corpora as they were taken in: a folder below data/raw with a file for each accepted batch.

A batch is a JSON Lines file of documents, ``<number>-<hash of its content>.jsonl``, and never changes. A document's id
is a hash of its words, so a text that a later batch holds with other entities replaces the earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from multiner.pipeline.core.document import Document, Sentence, Span, Token, read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import rank

SPLITS = ("train", "dev")


def text_key(words: Iterable[str]) -> str:
    """Equal for sentences of the same characters, blanks and capitals aside, however they are split into words."""
    return "".join(words).casefold()


def document_id(corpus: str, document: Document) -> str:
    """The id of a document of a growing corpus, from its words in their sentences."""
    content = "\n\n".join("\n".join(document.words(each.start, each.end)) for each in document.sentences)
    return f"{corpus}/{sha256(content.encode()).hexdigest()[:16]}"


def split_of(id: str, heldout: float) -> str:
    """``dev`` for about the share ``heldout`` of all ids, else ``train``; it depends on the id alone."""
    return "dev" if int.from_bytes(rank(id, "heldout")[:8]) < heldout * 2**64 else "train"


def read_growing(folder: Path) -> dict[str, Document]:
    """The accepted documents by id, the latest of each; none if there is neither such a folder nor DVC's pointer to it.

    Raises:
        NerError: a batch is damaged, or the folder that the pointer stands for is not here, as in a fresh clone.
    """
    pointer = folder.with_name(f"{folder.name}.dvc")
    if pointer.is_file() and not folder.is_dir():
        raise NerError("the accepted texts are not here", where=str(folder), remedy=f"Run: dvc pull {pointer}")
    documents: dict[str, Document] = {}
    for path in sorted(folder.glob("*.jsonl")):
        try:
            for document in read_jsonl(path):
                documents.pop(document.id, None)  # to stand where its latest version does
                documents[document.id] = document
        except (ValueError, KeyError, TypeError) as error:
            remedy = f"Restore it: dvc checkout --force {folder.name}.dvc, in the folder above it."
            raise NerError(f"a damaged batch: {error}", where=str(path), remedy=remedy) from None
    return documents


def held_sentences(documents: Iterable[Document]) -> set[str]:
    """The keys (:func:`text_key`) of all sentences of the development and test parts, which must not train."""
    return {text_key(document.words(each.start, each.end)) for document in documents for each in document.sentences}


def without_held(documents: Sequence[Document], held: set[str]) -> tuple[list[Document], int]:
    """The documents without their sentences that ``held`` has, and the number of these; empty documents are dropped."""
    clean, count = [], 0
    for document in documents:
        sentences = [each for each in document.sentences if text_key(document.words(each.start, each.end)) not in held]
        count += len(document.sentences) - len(sentences)
        if sentences:
            clean.append(_with_sentences(document, sentences))
    return clean, count


def _with_sentences(document: Document, sentences: Sequence[Sentence]) -> Document:
    """The document with these of its sentences alone; its text and the offsets into it stay."""
    if len(sentences) == len(document.sentences):
        return document
    tokens: list[Token] = []
    kept: list[Sentence] = []
    spans: list[Span] = []
    for each in sentences:
        shift = len(tokens) - each.start
        kept.append(Sentence(each.start + shift, each.end + shift, each.line))
        tokens += document.tokens[each.start : each.end]
        spans += [
            Span(span.start + shift, span.end + shift, span.label, span.score)
            for span in document.spans
            if each.start <= span.start < each.end
        ]
    return replace(document, tokens=tuple(tokens), sentences=tuple(kept)).with_spans(spans)
