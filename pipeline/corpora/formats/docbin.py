"""spaCy's DocBin (``.spacy``): the training data of ``spacy train``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from multiner.pipeline.core.document import Document, Sentence, Token
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.source import Losses, Source, gaps, sentence_bounds
from multiner.pipeline.corpora.formats.tag_schemes import encode

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

ID = "id"  # in a Doc's user data


def read(source: Source, *, spans_key: str = "") -> list[Document]:
    """The documents of a DocBin, with its tokens; sentences by our rules where it has none.

    Args:
        source: the file.
        spans_key: a key of ``doc.spans``, such as ``sc``, whose spans are the entities; empty: ``doc.ents``.

    Raises:
        NerError: the file is no DocBin, or has no such spans.
    """
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    try:
        docs = list(DocBin().from_bytes(source.content).get_docs(Vocab()))
    except Exception as error:  # of zlib, msgpack, numpy and spaCy: whatever the bytes bring about
        raise NerError(
            f"no DocBin: {type(error).__name__}", where=source.name, remedy="Write it by spaCy: DocBin.to_disk."
        ) from None
    return [
        _document(doc, f"{source.name}: document {number}", source, spans_key) for number, doc in enumerate(docs, 1)
    ]


def _document(doc: Doc, where: str, source: Source, spans_key: str) -> Document:
    from multiner.pipeline.text.tokenizer import sentence_starts

    if spans_key and spans_key not in doc.spans:
        keys = ", ".join(doc.spans) or "no spans"
        raise NerError(f"no spans {spans_key!r}", where=where, remedy=f"The document has: {keys}.")
    tokens: list[Token] = []
    starts: list[int] = []
    whole, begins = doc.has_annotation("SENT_START"), True
    for token in doc:
        begins = begins or (whole and bool(token.is_sent_start))
        if not token.text.isspace():
            starts += [len(tokens)] if begins else []
            begins = False
            tokens.append(Token(token.idx, token.idx + len(token)))
    if not whole:
        offsets = set(sentence_starts(doc.text))
        starts = [index for index, token in enumerate(tokens) if token.start in offsets]
    bounds = sorted({0, *starts, len(tokens)}) if tokens else []
    sentences = tuple(Sentence(start, end) for start, end in pairwise(bounds))
    for key in doc.spans if not spans_key else ():
        source.losses.add(f"spans of doc.spans, read by spans_key={key}", len(doc.spans[key]))
    spans = doc.spans[spans_key] if spans_key else doc.ents
    entities = [(span.start_char, span.end_char, span.label_, None) for span in spans]
    id = doc.user_data.get(ID, "")
    plain = Document("", doc.text, tuple(tokens), sentences)
    return source.document(doc.text, entities, id=id if isinstance(id, str) else "", where=where, plain=plain)


def write(documents: Iterable[Document], losses: Losses) -> bytes:
    """A DocBin with tokens, sentences, ``doc.ents``, and each document's id in ``doc.user_data["id"]``."""
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    vocab = Vocab()
    content = DocBin(attrs=["ORTH", "SPACY", "SENT_START", "ENT_IOB", "ENT_TYPE"], store_user_data=True)
    for document in documents:
        words: list[str] = []
        spaces: list[bool] = []
        begins: list[bool | int | None] = []
        tags: list[str] = []
        first = {start for start, _ in sentence_bounds(document)}
        labels = encode(document.spans, len(document.tokens), "BIO")
        inside = _inside(document)
        for index, gap in enumerate(gaps(document)):
            if index:
                words.append(document.text[document.tokens[index - 1].start : document.tokens[index - 1].end])
                spaces.append(gap.startswith(" "))
                begins.append(index - 1 in first)
                tags.append(labels[index - 1])
                gap = gap[spaces[-1] :]
            if gap:  # blanks that are a token of spaCy's
                words.append(gap)
                spaces.append(False)
                begins.append(False)
                tags.append(inside.get(index, "O"))
        content.add(_doc(document.id, words, spaces, begins, tags, vocab))
    return content.to_bytes()


def _inside(document: Document) -> dict[int, str]:
    """The tags of the blanks before those tokens that continue an entity."""
    return {at: f"I-{span.label}" for span in document.spans for at in range(span.start + 1, span.end)}


def _doc(
    id: str, words: list[str], spaces: list[bool], begins: list[bool | int | None], tags: list[str], vocab: Vocab
) -> Doc:
    from spacy.tokens import Doc

    try:
        doc = Doc(vocab, words=words, spaces=spaces, sent_starts=begins or None, ents=tags or None)
    except UnicodeEncodeError:
        raise NerError("a text has a lone surrogate, which UTF-8 has not", where=id, remedy="Replace it.") from None
    doc.user_data[ID] = id
    return doc
