"""The document model: every corpus reader produces it, every base model consumes it.

Tokens carry character offsets (Unicode code points, half-open) into the document's text; sentences and spans
are half-open token ranges, as in spaCy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from multiner.pipeline.core.files import write_atomically


@dataclass(frozen=True, slots=True)
class Token:
    """A word or sign: ``document.text[start:end]``; models read ``norm`` in place of it (empty: the text itself)."""

    start: int
    end: int
    norm: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens ``start:end`` of a document; ``line`` is its first line in the source file (0: unknown)."""

    start: int
    end: int
    line: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """An entity over tokens ``start:end``; ``score`` is a probability, or None for gold."""

    start: int
    end: int
    label: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its tokens, sentences and (gold or predicted) spans, sorted and never overlapping."""

    id: str
    text: str
    tokens: tuple[Token, ...]
    sentences: tuple[Sentence, ...]
    spans: tuple[Span, ...] = ()
    corpus: str = ""
    split: str = ""
    source: str = ""

    def words(self, start: int = 0, end: int | None = None) -> list[str]:
        """Texts of the tokens ``start:end`` (all by default)."""
        return [self.text[token.start : token.end] for token in self.tokens[start:end]]

    def norms(self, start: int = 0, end: int | None = None) -> list[str]:
        """The tokens ``start:end`` (all by default) as models read them: the words without invisible characters."""
        return [token.norm or self.text[token.start : token.end] for token in self.tokens[start:end]]

    def span_text(self, span: Span) -> str:
        """The text from the first to the last character of a span."""
        return self.text[self.tokens[span.start].start : self.tokens[span.end - 1].end]

    def with_spans(self, spans: Iterable[Span]) -> Document:
        """A copy of the document with ``spans``, sorted by position, in place of its own."""
        return replace(self, spans=tuple(sorted(spans, key=lambda span: (span.start, span.end))))

    def half(self) -> str:
        """The half of a development part this document belongs to: ``tune`` or ``gate``, by hash of its id."""
        return "tune" if sha256(self.id.encode()).digest()[0] % 2 == 0 else "gate"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; inverse of :meth:`from_json`."""
        return {
            "id": self.id,
            "corpus": self.corpus,
            "split": self.split,
            "source": self.source,
            "text": self.text,
            "tokens": [[token.start, token.end, *([token.norm] if token.norm else [])] for token in self.tokens],
            "sentences": [[sentence.start, sentence.end, sentence.line] for sentence in self.sentences],
            "spans": [[span.start, span.end, span.label, span.score] for span in self.spans],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Document:
        """The document that :meth:`to_json` wrote."""
        return cls(
            id=value["id"],
            text=value["text"],
            tokens=tuple(Token(*token) for token in value["tokens"]),
            sentences=tuple(Sentence(*sentence) for sentence in value["sentences"]),
            spans=tuple(Span(*span) for span in value["spans"]),
            corpus=value["corpus"],
            split=value["split"],
            source=value["source"],
        )


def from_words(
    id: str,
    sentences: Iterable[Iterable[str]],
    spans: Iterable[Span] = (),
    *,
    lines: Iterable[int] | None = None,
    corpus: str = "",
    split: str = "",
    source: str = "",
) -> Document:
    """A document from tokenised sentences: words joined by a blank, sentences by a line break.

    Args:
        id: unique within the corpus.
        sentences: words, sentence by sentence.
        spans: token ranges over the whole document.
        lines: first source line of each sentence.
    """
    tokens: list[Token] = []
    bounds: list[Sentence] = []
    texts: list[str] = []
    offset = 0
    line_numbers = iter(lines) if lines is not None else None
    for words in sentences:
        first = len(tokens)
        words = list(words)
        for word in words:
            tokens.append(Token(offset, offset + len(word)))
            offset += len(word) + 1
        bounds.append(Sentence(first, len(tokens), next(line_numbers) if line_numbers else 0))
        texts.append(" ".join(words))
    document = Document(id, "\n".join(texts), tuple(tokens), tuple(bounds), (), corpus, split, source)
    return document.with_spans(spans)


def read_jsonl(path: Path) -> Iterator[Document]:
    """Documents of a JSON Lines file, in order."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Document.from_json(json.loads(line))


def write_jsonl(path: Path, documents: Iterable[Document]) -> None:
    """Write documents as JSON Lines; the file is whole or absent."""
    with write_atomically(path) as file:
        for document in documents:
            file.write(json.dumps(document.to_json(), ensure_ascii=False) + "\n")


def documents_hash(documents: Iterable[Document]) -> str:
    """SHA-256 over the whole content of documents, in their order."""
    digest = sha256()
    for document in documents:
        digest.update(json.dumps(document.to_json(), ensure_ascii=True).encode())
    return digest.hexdigest()
