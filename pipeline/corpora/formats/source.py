"""What the readers and writers of all formats share: a file with the wishes of its reader, and the list of losses."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from multiner.pipeline.config.type_maps import TypeMap
from multiner.pipeline.core.document import Document, Sentence, Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.flat_spans import resolve
from multiner.pipeline.corpora.text import decode, map_type, normalise

ANY_LANGUAGE = "xx"  # spaCy's code for the rules that all languages share
Entity = tuple[int, int, str, float | None]
"""First character, the one after the last, type, and score or None."""


class ConversionLoss(UserWarning):
    """Something that a format cannot hold, or that documents cannot, was left out; the message says what."""


@dataclass
class Losses:
    """What a file could not hold, counted by kind."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, count: int = 1) -> None:
        """Count a loss; ``what`` is a plural, such as ``scores``."""
        if count:
            self.counts[what] += count

    def warn(self, name: str) -> None:
        """Warn of all losses in the file ``name``."""
        if self.counts:
            kinds = "; ".join(f"{what} ({count:,})" for what, count in self.counts.items())
            warnings.warn(f"{name}: lost: {kinds}", ConversionLoss, stacklevel=3)


@dataclass(frozen=True)
class Source:
    """A file to read.

    Attributes:
        name: as messages name it.
        content: its bytes.
        losses: collects what documents cannot hold.
        path: where it lies; None for a stream.
        language: whose rules split texts into tokens and sentences.
        types: map from the file's types to those of the documents; None: as they are.
    """

    name: str
    content: bytes
    losses: Losses
    path: Path | None = None
    language: str = ANY_LANGUAGE
    types: TypeMap | None = None

    def text(self, encoding: str = "utf-8") -> str:
        """The characters of the file as they are. Raises NerError if they have another encoding (names the line)."""
        return decode(self.content, self.name, encoding)

    def lines(self, encoding: str = "utf-8") -> list[str]:
        """The lines of the file without their ends and a byte order mark."""
        lines = normalise(self.text(encoding)).split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    def label(self, type_: str, where: str) -> str | None:
        """The documents' type for a type of the file; None where it is left out.

        Raises:
            NerError: the map has no such type.
        """
        if self.types is None:
            return type_
        try:
            return map_type(type_, self.types, where)
        except NerError as error:
            remedy = f"Known are: {', '.join(self.types)}. Mend the line, or add the type to the map `types`."
            raise NerError(error.message, where=where, remedy=remedy) from None

    def spans(self, spans: Iterable[Span], where: str) -> list[Span]:
        """Spans with the documents' types, without those that are left out."""
        labels = ((span, self.label(span.label, where)) for span in spans)
        return [replace(span, label=label) for span, label in labels if label]

    def document(
        self, text: str, entities: Sequence[Entity], *, id: str = "", where: str = "", plain: Document | None = None
    ) -> Document:
        """The document of a text with entities of the file by offsets; no entity crosses the end of a sentence.

        A token is cut where an entity ends within it. Blanks at an entity's edges are left out.

        Args:
            text: the text.
            entities: in any order; they may overlap.
            id: the document's id.
            where: file and line, for errors.
            plain: the text's tokens and sentences; None: by the rules of the source's language.

        Raises:
            NerError: an entity lies outside the text, or its type is not in the map.
        """
        from multiner.pipeline.text.alignment import aligned, with_entities

        where = where or self.name
        places: list[Entity] = []
        for start, end, type_, score in entities:
            if not 0 <= start < end <= len(text):
                raise NerError(
                    f"the entity {start}:{end} {type_} lies outside the text, which has {len(text):,} characters",
                    where=where,
                    remedy="Mend its offsets; they count Unicode code points, and the end is exclusive.",
                )
            if (label := self.label(type_, where)) is None:
                continue
            inner = text[start:end]
            first, last = start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip())
            if first >= last:
                self.losses.add("entities of blanks alone")
                continue
            self.losses.add("blanks at the edges of entities", int((first, last) != (start, end)))
            places.append((first, last, label, score))
        try:
            document = with_entities(plain, places) if plain else aligned(text, self.language, places)
        except ImportError as error:  # spaCy's, for a language that it does not know or that needs a package
            reason = str(error).partition("\n")[0]
            raise NerError(f"no tokenizer for {self.language!r}: {reason}", where=where,
                           remedy=f"Give another language, such as {ANY_LANGUAGE}.") from None  # fmt: skip
        self.losses.add("entities of invisible characters alone", len(places) - len(document.spans))
        lines = {each.start: each.line for each in document.sentences}
        sentences = tuple(Sentence(start, end, lines.get(start, 0)) for start, end in sentence_bounds(document))
        return replace(document, id=id, sentences=sentences, source=where)


def sentence_bounds(document: Document) -> list[tuple[int, int]]:
    """The sentences as token ranges that hold all tokens; a sentence's end within a span is passed over."""
    inner = {token for span in document.spans for token in range(span.start + 1, span.end)}
    starts = {each.start for each in document.sentences if 0 < each.start < len(document.tokens)} - inner
    bounds = sorted({0, *starts, len(document.tokens)})
    return list(pairwise(bounds)) if document.tokens else []


def flat(document: Document, losses: Losses) -> Document:
    """The document without nested, overlapping and repeated spans; of overlapping ones the longest stays."""
    if all(before.end <= after.start for before, after in pairwise(document.spans)):
        return document
    spans, counts = resolve(document.spans)
    losses.add("nested or overlapping entities", counts.objects - counts.kept)
    return document.with_spans(spans)


def gaps(document: Document) -> list[str]:
    """The text before the first token, after each token, and so on: one more than there are tokens."""
    edges = [0, *(edge for token in document.tokens for edge in (token.start, token.end)), len(document.text)]
    return [document.text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def cell(text: str, forbidden: str = "") -> str:
    """A token or type as it stands in a column.

    Raises:
        NerError: it holds a tab, a line break or one of the ``forbidden`` characters, or begins or ends with a blank.
    """
    bad = next((each for each in text if each in "\t\n\r" or each in forbidden), None)
    if bad is not None or text != text.strip(" ") or not text:
        reason = f"it holds {bad!r}" if bad is not None else "it begins or ends with a blank"
        raise NerError(
            f"{text!r} cannot stand in a column of this format: {reason}",
            remedy="Split the token, rename the type, or choose another format or separator.",
        )
    return text


def encoded(text: str, encoding: str = "utf-8") -> bytes:
    """The bytes of a text. Raises NerError if the encoding is unknown or has not its characters."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        sign = text[error.start]
        raise NerError(
            f"{encoding} has no character U+{ord(sign):04X}", remedy="Choose encoding=utf-8, or replace the character."
        ) from None
    except (LookupError, UnicodeError):  # "undefined" is a codec that refuses every text
        raise NerError(f"unknown encoding {encoding!r}", remedy="Name one such as utf-8.") from None


def entities_of(document: Document) -> list[Entity]:
    """The spans by character offsets."""
    tokens = document.tokens
    return [(tokens[each.start].start, tokens[each.end - 1].end, each.label, each.score) for each in document.spans]
