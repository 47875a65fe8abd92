"""JSON lines: a document on each line, with its text and entities by offsets, or with tokens and tags.

The offsets count Unicode code points. Three shapes are written: that of this project's prepared documents
(``documents``), that of its API (``jsonl``), and that of doccano and spaCy's tutorials (``doccano``). Each is read
whatever its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from multiner.pipeline.core.document import Document, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.source import Entity, Losses, Source, encoded, entities_of
from multiner.pipeline.corpora.formats.tag_schemes import AUTO, decode, scheme_of

_STARTS, _ENDS, _LABELS = ("start", "start_offset"), ("end", "end_offset"), ("label", "entity_group", "entity")
_SHAPE = "A line is an object with text and entities, with text and label: [[start, end, type]], or tokens and tags."


def read(source: Source, *, scheme: str = AUTO) -> list[Document]:
    """The documents of a file of JSON lines.

    Args:
        source: the file.
        scheme: of ``tags``; ``auto``: as their letters show.

    Raises:
        NerError: a line is no JSON or of no known shape, or an entity does not fit its text (names the line).
    """
    documents = []
    for number, line in enumerate(source.lines(), 1):
        if line.strip():
            where = f"{source.name}:{number}"
            try:
                documents.append(_document(json.loads(line), source, where, scheme))
            except ValueError as error:
                raise NerError(f"no valid JSON: {error}", where=where, remedy="Mend the line.") from None
            except RecursionError:
                raise NerError("JSON of too many levels", where=where, remedy="Mend the line.") from None
            except NerError as error:
                raise NerError(error.message, where=error.where or where, remedy=error.remedy) from None
    return documents


def _document(value: Any, source: Source, where: str, scheme: str) -> Document:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):  # spaCy 2: text, {"entities": …}
        value = {"text": value[0], **value[1]}
    if not isinstance(value, dict):
        raise NerError("no document", remedy=_SHAPE)
    id = str("" if value.get("id") is None else value["id"])
    if {"tokens", "sentences", "spans", "text"} <= value.keys():
        return _prepared(value, source, where)
    text: Any = value.get("text")
    tokens: Any = value.get("tokens")
    tags: Any = value.get("tags", value.get("ner_tags"))
    if isinstance(text, str):
        names = ("entities", "spans") if tokens and tags else ("entities", "label", "labels", "spans")
        key = next((name for name in names if isinstance(value.get(name), list)), None)
        if key:
            entities = [_entity(each, text) for each in value[key]]
            for name in ("relations", "cats", "Comments", "comments"):
                source.losses.add(f"{name.lower()} of documents", int(bool(value.get(name))))
            return source.document(text, entities, id=id, where=where)
    if not (_is_texts(tokens) and _is_texts(tags)) or len(tokens) != len(tags) or not all(map(str.strip, tokens)):
        raise NerError("no document: every token needs a tag, every text its entities", remedy=_SHAPE)
    spans = decode(tags, scheme_of(scheme, tags), lambda _: where)
    document = from_words(id, [tokens] if tokens else [], source.spans(spans, where), source=where)
    source.losses.add("the texts' own blanks, in documents", int(isinstance(text, str) and text != document.text))
    return document


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _prepared(value: dict[str, Any], source: Source, where: str) -> Document:
    try:
        document = Document.from_json({"corpus": "", "split": "", "source": "", **value})
        _check_types(document)
        end = 0
        for token in document.tokens:
            if not end <= token.start < token.end <= len(document.text):
                raise ValueError(f"the token {token.start}:{token.end} does not fit")
            end = token.end
        ranges = [(each.start, each.end) for each in document.sentences]
        for start, end in [*ranges, *((span.start, span.end) for span in document.spans)]:
            if not 0 <= start < end <= len(document.tokens):
                raise ValueError(f"the range {start}:{end} does not fit")
    except (TypeError, KeyError, ValueError) as error:
        raise NerError(f"no prepared document: {error}", remedy="Write it anew: ner prepare, or ner convert.") from None
    return document.with_spans(source.spans(document.spans, where))


def _check_types(document: Document) -> None:
    """Refuse texts that are no strings, and numbers that are no integers. Raises ValueError."""
    tokens, sentences, spans = document.tokens, document.sentences, document.spans
    texts: list[Any] = [document.id, document.text, document.corpus, document.split, document.source]
    texts += [*(token.norm for token in tokens), *(span.label for span in spans)]
    numbers: list[Any] = [
        edge for parts in (tokens, sentences, spans) for each in parts for edge in (each.start, each.end)
    ]
    numbers += [sentence.line for sentence in sentences]
    scores: list[Any] = [span.score for span in spans if span.score is not None]
    kinds = (("text", texts, (str,)), ("whole number", numbers, (int,)), ("score", scores, (int, float)))
    for kind, values, types in kinds:
        for value in values:
            if type(value) not in types:
                raise ValueError(f"{value!r} is no {kind}")
    if not all(span.label for span in spans):
        raise ValueError("a span has no type")


def _entity(value: Any, text: str) -> Entity:
    start: Any
    end: Any
    label: Any
    score: Any = None
    if isinstance(value, dict):
        keys = (_STARTS, _ENDS, _LABELS)
        start, end, label = (next((value[key] for key in names if key in value), None) for names in keys)
        score = value.get("score")
    else:
        start, end, label = value if isinstance(value, list) and len(value) == 3 else (None, None, None)
    numbers = type(start) is int and type(end) is int and (score is None or isinstance(score, int | float))
    if not (numbers and isinstance(label, str) and label):
        raise NerError(
            f"no entity: {json.dumps(value, ensure_ascii=False)[:100]}", remedy="An entity has start, end and label."
        )
    stated = value.get("text", value.get("word")) if isinstance(value, dict) and "start" in value else None
    if isinstance(stated, str) and "text" in value and stated != text[start:end]:
        raise NerError(
            f"the text at {start}:{end} is {text[start:end]!r}, not {stated!r}",
            remedy="Mend the offsets; they count Unicode code points, not bytes or UTF-16 units.",
        )
    return start, end, label, score


def write_documents(documents: Iterable[Document], losses: Losses) -> bytes:
    """The documents as the pipeline prepares them, with tokens and sentences; nothing is lost."""
    return _lines(document.to_json() for document in documents)


def write_entities(documents: Iterable[Document], losses: Losses) -> bytes:
    """On each line ``id``, ``text`` and ``entities`` with ``start``, ``end``, ``text``, ``label`` and ``score``."""
    return _lines(
        {
            "id": document.id,
            "text": document.text,
            "entities": [
                {"start": start, "end": end, "text": document.text[start:end], "label": label}
                | ({} if score is None else {"score": score})
                for start, end, label, score in entities_of(document)
            ],
        }
        for document in documents
    )


def write_doccano(documents: Iterable[Document], losses: Losses) -> bytes:
    """On each line ``id``, ``text`` and ``label``: a list of start, end and type."""
    return _lines(
        {
            "id": document.id,
            "text": document.text,
            "label": [[start, end, label] for start, end, label, _ in entities_of(document)],
        }
        for document in documents
    )


def _lines(values: Iterable[dict[str, Any]]) -> bytes:
    def lines() -> Iterator[str]:
        for value in values:
            yield json.dumps(value, ensure_ascii=False) + "\n"

    return encoded("".join(lines()))
