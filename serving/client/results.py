"""What the gateway answers, typed. Conversions to spaCy, CoNLL and pandas are imported when they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

    from multiner.pipeline.core.document import Document


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
    what each member of the ensemble found there, as the API answers it. ``language`` is set where more than one
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
        names = ("start", "end", "label", "score", "legs", "language")
        fields = {name: value[name] for name in names if name in value}
        extra = {name: item for name, item in value.items() if name not in ("text", *names)}
        return cls(text=text[value["start"] : value["end"]], extra=extra, **fields)

    def to_json(self) -> dict[str, Any]:
        """As the API answers it."""
        fields = {name: getattr(self, name) for name in ("start", "end", "text", "label", "score", "legs")}
        return fields | _without_nulls(language=self.language) | dict(self.extra)


@dataclass(frozen=True, slots=True)
class TokenTypes:
    """A token: ``text == result.text[start:end]``, and the probability of each type, and of ``O``, no entity.

    ``language`` is set where more than one language's model read the text.
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
        fields = {name: getattr(self, name) for name in ("start", "end", "text", "probabilities")}
        return fields | _without_nulls(language=self.language)


def _without_nulls(**fields: Any) -> dict[str, Any]:
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
        names = ("text", "language", "model", "entities", "tokens", "models")
        extra = {name: item for name, item in value.items() if name not in names}
        return cls(text, value["language"], Model.from_json(value["model"]), entities, tokens, models, extra)

    def to_json(self) -> dict[str, Any]:
        """As the API answers it, with the text."""
        entities = [entity.to_json() for entity in self.entities]
        fields = {"text": self.text, "language": self.language, "model": asdict(self.model), "entities": entities}
        tokens = None if self.tokens is None else [token.to_json() for token in self.tokens]
        models = {code: asdict(model) for code, model in self.models.items()} or None
        return fields | _without_nulls(tokens=tokens, models=models) | dict(self.extra)

    def to_document(self) -> Document:
        """The text with the pipeline's tokens and sentences, and the entities as spans over them.

        A token is cut where an entity begins or ends within it, so that no entity loses or gains a character.
        """
        from multiner.serving.client.conversions import to_document

        return to_document(self)

    def to_conll(self) -> list[str]:
        """Lines of a token, a blank and its IOB2 label, with an empty line between sentences.

        The tokens are those of :meth:`to_document`. No empty line stands within an entity, even where a sentence ends.
        """
        from multiner.serving.client.conversions import to_conll

        return to_conll(self)

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
        from multiner.serving.client.conversions import to_doc

        return to_doc(self, nlp)
