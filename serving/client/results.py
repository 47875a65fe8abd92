"""What the gateway answers, typed, and its conversions to spaCy, CoNLL and pandas; each imported when used."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from multiner.pipeline.core.document import (
    Document,
    Sentence,
    Span,
    Token,
)
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.text.tokenizer import document_from_text, without_surrogates

if TYPE_CHECKING:
    import pandas as pd
    from spacy.language import Language
    from spacy.tokens import Doc
    from spacy.tokens import Span as SpacySpan
    from spacy.vocab import Vocab

SPANS_KEY = "entities"
_COLUMNS = {"result": "int64", "start": "int64", "end": "int64", "score": "float64"}


@dataclass(frozen=True, slots=True)
class Model:
    """The version that answered."""

    name: str
    version: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Model:
        """As the API answers it."""
        return cls(value["name"], value["version"])


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity: ``text == result.text[start:end]``, counted in Unicode code points.

    ``score`` is the probability that the span and its label are right, None where the model gives none. ``legs`` is
    what each member of the ensemble found there, as the API answers it. ``language`` is told where more than one
    language's model read the text. ``extra`` holds fields that this client does not know.
    """

    start: int
    end: int
    text: str
    label: str
    score: float | None = None
    legs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    language: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], text: str) -> Entity:
        """An entity of ``text``, as the API answers it."""
        known = {name: value[name] for name in ("start", "end", "label", "score", "legs", "language") if name in value}
        extra = {name: item for name, item in value.items() if name not in known and name != "text"}
        return cls(text=text[value["start"] : value["end"]], extra=extra, **known)

    def to_json(self) -> dict[str, Any]:
        """As the API answers it."""
        known = {name: getattr(self, name) for name in ("start", "end", "text", "label", "score", "legs")}
        return known | _given(language=self.language) | dict(self.extra)


@dataclass(frozen=True, slots=True)
class TokenTypes:
    """A token: ``text == result.text[start:end]``, and the probability of each type, and of ``O``, no entity.

    ``language`` is told where more than one language's model read the text.
    """

    start: int
    end: int
    text: str
    probabilities: Mapping[str, float] = field(hash=False)
    language: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any], text: str) -> TokenTypes:
        """A token of ``text``, as the API answers it."""
        start, end = value["start"], value["end"]
        return cls(start, end, text[start:end], value["probabilities"], value.get("language"))

    def to_json(self) -> dict[str, Any]:
        """As the API answers it."""
        known = {name: getattr(self, name) for name in ("start", "end", "text", "probabilities")}
        return known | _given(language=self.language)


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Result:
    """The entities of a text in their order, never overlapping; ``extra`` as in :class:`Entity`.

    ``language`` and ``model`` are the main ones. ``models`` are those that answered, by language, where they were
    several; else it is empty. ``tokens`` are None unless asked for.
    """

    text: str
    language: str
    model: Model
    entities: tuple[Entity, ...]
    tokens: tuple[TokenTypes, ...] | None = None
    models: Mapping[str, Model] = field(default_factory=dict, hash=False)
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], text: str | None = None) -> Result:
        """The result for ``text``, as the API answers it, or as :meth:`to_json` and ``ner predict`` write it.

        Raises:
            KeyError: a field is missing.
        """
        text = value["text"] if text is None else text
        entities = tuple(Entity.from_json(entity, text) for entity in value["entities"])
        tokens = value.get("tokens")
        if tokens is not None:
            tokens = tuple(TokenTypes.from_json(token, text) for token in tokens)
        models = {code: Model.from_json(model) for code, model in (value.get("models") or {}).items()}
        known = ("text", "language", "model", "entities", "tokens", "models")
        extra = {name: item for name, item in value.items() if name not in known}
        return cls(text, value["language"], Model.from_json(value["model"]), entities, tokens, models, extra)

    def to_json(self) -> dict[str, Any]:
        """As the API answers it, with the text."""
        entities = [entity.to_json() for entity in self.entities]
        known = {"text": self.text, "language": self.language, "model": asdict(self.model), "entities": entities}
        tokens = None if self.tokens is None else [token.to_json() for token in self.tokens]
        models = {code: asdict(model) for code, model in self.models.items()} or None
        return known | _given(tokens=tokens, models=models) | dict(self.extra)

    def to_document(self) -> Document:
        """The text with the pipeline's tokens and sentences, and the entities as spans over them.

        A token is cut where an entity begins or ends within it, so that no entity loses or gains a character.
        """
        plain = document_from_text(self.text, self.language)
        borders = sorted({place for entity in self.entities for place in (entity.start, entity.end)})
        tokens: list[Token] = []
        firsts = []  # of each token as it was: the index of its first piece
        for token in plain.tokens:
            firsts.append(len(tokens))
            inner = borders[bisect_right(borders, token.start) : bisect_left(borders, token.end)]
            tokens += map(Token, [token.start, *inner], [*inner, token.end])
        firsts.append(len(tokens))
        sentences = tuple(Sentence(firsts[sentence.start], firsts[sentence.end]) for sentence in plain.sentences)
        starts = [token.start for token in tokens]
        spans = (
            Span(bisect_left(starts, entity.start), bisect_left(starts, entity.end), entity.label, entity.score)
            for entity in self.entities
        )
        document = Document("", self.text, tuple(tokens), sentences)
        return document.with_spans(span for span in spans if span.start < span.end)

    def to_conll(self) -> list[str]:
        """Lines of a token, a blank and its IOB2 label, with an empty line between sentences.

        The tokens are those of :meth:`to_document`. Sentences that an entity reaches across are not parted.
        """
        document = self.to_document()
        labels = encode(document.spans, len(document.tokens))
        begins = {sentence.start for sentence in document.sentences if sentence.start}
        lines = []
        for index, (word, label) in enumerate(zip(document.words(), labels, strict=True)):
            if index in begins and not label.startswith("I-"):
                lines.append("")
            lines.append(f"{word} {label}")
        return lines

    def to_doc(self, nlp: Language | None = None) -> Doc:
        """A spaCy Doc with ``ents``, and a span group ``entities`` with the scores in ``attrs["scores"]``.

        ``doc.text`` is the text, but for lone surrogates, which spaCy cannot hold: each is U+FFFD; offsets stay.

        Args:
            nlp: whose tokenizer and vocabulary to use. An entity that begins or ends within one of its tokens is
                expanded to the whole token (``alignment_mode="expand"``); of entities that overlap then, ``ents`` holds
                the longest, the span group all. None: the tokens and sentences of :meth:`to_document`, in which
                every entity has its own borders; the vocabulary is shared by all results of a language.

        Raises:
            ValueError: the text is longer than ``nlp.max_length``.
        """
        from spacy.tokens import SpanGroup
        from spacy.util import filter_spans

        text = without_surrogates(self.text)
        doc = nlp.make_doc(text) if nlp else _doc(self.to_document(), text, _vocab(self.language))
        places = [
            doc.char_span(entity.start, entity.end, label=entity.label, alignment_mode="expand")
            for entity in self.entities
        ]
        spans = cast("list[SpacySpan]", places)  # there is one for every entity, as each is widened to whole tokens
        doc.ents = filter_spans(spans)
        scores = {"scores": [entity.score for entity in self.entities]}
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
    begins = {document.tokens[sentence.start].start for sentence in document.sentences[1:]}
    at = 0
    for token in (*document.tokens, Token(len(text), len(text))):
        gap = text[at : token.start]
        if spaces and gap.startswith(" "):
            spaces[-1], gap = True, gap[1:]
        for word, begin in ((gap, False), (text[token.start : token.end], token.start in begins)):
            if word:
                words.append(word)
                spaces.append(False)
                sentence_starts.append(begin or not sentence_starts)
        at = token.end
    return Doc(vocab, words=words, spaces=spaces, sent_starts=sentence_starts)


def to_pandas(results: Result | Iterable[Result]) -> pd.DataFrame:
    """A row an entity, in order.

    Columns: ``result`` (its place among the results), ``language``, ``model``, ``version`` (whose model found it),
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
            legs = {f"{leg}_{key}": said.get(key) for leg, said in entity.legs.items() for key in ("label", "score")}
            yield {"result": index, **source, **place, **legs}
