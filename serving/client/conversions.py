"""Results as the pipeline's documents, CoNLL lines, spaCy Docs and pandas tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from multiner.pipeline.core.document import Document, Token
from multiner.pipeline.core.extras import needs
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.text.alignment import aligned
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.serving.client.results import Result

if TYPE_CHECKING:
    import pandas as pd
    from spacy.language import Language
    from spacy.tokens import Doc
    from spacy.tokens import Span as SpacySpan
    from spacy.vocab import Vocab

SPANS_KEY = "entities"
_COLUMNS = {"result": "int64", "start": "int64", "end": "int64", "score": "float64"}


@needs("infer")
def to_document(result: Result) -> Document:
    """As :meth:`Result.to_document`."""
    return aligned(
        result.text, result.language, [(each.start, each.end, each.label, each.score) for each in result.entities]
    )


def to_conll(result: Result) -> list[str]:
    """As :meth:`Result.to_conll`."""
    document = to_document(result)
    labels = encode(document.spans, len(document.tokens))
    sentence_starts = {sentence.start for sentence in document.sentences if sentence.start}
    lines = []
    for index, (word, label) in enumerate(zip(document.words(), labels, strict=True)):
        if index in sentence_starts and not label.startswith("I-"):
            lines.append("")
        lines.append(f"{word} {label}")
    return lines


@needs("infer")
def to_doc(result: Result, nlp: Language | None = None) -> Doc:
    """As :meth:`Result.to_doc`."""
    text = without_surrogates(result.text)
    doc = nlp.make_doc(text) if nlp else _doc(to_document(result), text, _vocab(result.language))
    return set_entities(doc, result)


def set_entities(doc: Doc, result: Result) -> Doc:
    """The Doc, of the result's text, with its entities; each is widened to whole tokens."""
    from spacy.tokens import SpanGroup
    from spacy.util import filter_spans

    places = [
        doc.char_span(entity.start, entity.end, label=entity.label, alignment_mode="expand")
        for entity in result.entities
    ]
    spans = cast("list[SpacySpan]", places)  # there is one for every entity, as each is widened to whole tokens
    doc.ents = filter_spans(spans)
    scores = {"scores": [entity.score for entity in result.entities]}
    doc.spans[SPANS_KEY] = SpanGroup(doc, name=SPANS_KEY, spans=spans, attrs=scores)
    return doc


@lru_cache(maxsize=8)
def _vocab(language: str) -> Vocab:
    import spacy

    return spacy.blank(language).vocab


def _doc(document: Document, text: str, vocab: Vocab) -> Doc:
    """A Doc of the document's tokens; of the blanks between two, one belongs to the first, the rest are a token."""
    from spacy.tokens import Doc

    words: list[str] = []
    spaces: list[bool] = []
    sentence_starts: list[bool | int | None] = []
    offsets = {document.tokens[sentence.start].start for sentence in document.sentences[1:]}
    at = 0
    for token in (*document.tokens, Token(len(text), len(text))):
        gap = text[at : token.start]
        if spaces and gap.startswith(" "):
            spaces[-1], gap = True, gap[1:]
        for word, is_start in ((gap, False), (text[token.start : token.end], token.start in offsets)):
            if word:
                words.append(word)
                spaces.append(False)
                sentence_starts.append(is_start or not sentence_starts)
        at = token.end
    return Doc(vocab, words=words, spaces=spaces, sent_starts=sentence_starts)


def to_pandas(results: Result | Iterable[Result]) -> pd.DataFrame:
    """A row an entity, in order.

    Columns: ``result`` (its place among the results), ``language``, ``model``, ``version`` (of the model that read it),
    ``start``, ``end``, ``text``, ``label``, ``score``, and for each leg ``<leg>_label`` and ``<leg>_score``.
    """
    import pandas as pd

    columns = ["result", "language", "model", "version", "start", "end", "text", "label", "score"]
    rows = list(_rows([results] if isinstance(results, Result) else results))
    legs = list(dict.fromkeys(name for row in rows for name in row if name not in columns))
    return pd.DataFrame(rows, columns=[*columns, *legs]).astype(_COLUMNS)


def _rows(results: Iterable[Result]) -> Iterator[dict[str, Any]]:
    for index, result in enumerate(results):
        for entity in result.entities:
            language = entity.language or result.language
            model = result.models.get(language, result.model)
            source = {"language": language, "model": model.name, "version": model.version}
            place = {name: getattr(entity, name) for name in ("start", "end", "text", "label", "score")}
            legs = {f"{leg}_{key}": view.get(key) for leg, view in entity.legs.items() for key in ("label", "score")}
            yield {"result": index, **source, **place, **legs}
