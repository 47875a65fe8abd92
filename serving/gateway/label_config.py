"""Label Studio's labelling interface (its "label config"): which tags an entity belongs to, and under which label.

Source: https://labelstud.io/tags/labels and https://labelstud.io/guide/ml_create
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

MOST_CHARACTERS = 100_000


class UnfitInterface(ValueError):
    """The labelling interface has no place for named entities; the message says what is missing."""


@dataclass(frozen=True)
class LabelConfig:
    """The part of a labelling interface that takes entities.

    Attributes:
        from_name: name of the tag ``Labels``.
        to_name: name of the tag ``Text``.
        field: field of a task's data that has the text.
        labels: label of the interface by type of the model.
    """

    from_name: str
    to_name: str
    field: str
    labels: Mapping[str, str]

    def text(self, data: Mapping[str, Any]) -> str | None:
        """The text of a task's data; None where it has none."""
        value: Any = data
        for key in [self.field] if self.field in data else self.field.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, str) else None

    def relabelled(self, entities: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The entities whose type has a label in the interface, with that label."""
        return [
            {**entity, "label": self.labels[entity["label"]]} for entity in entities if entity["label"] in self.labels
        ]


def read_label_config(config: str, types: Sequence[str] | None) -> LabelConfig | None:
    """The first tag ``Labels`` over a tag ``Text``; None for an interface without tags, as a new project has it.

    A label is that of the type that it is called by, in capitals or not, or of those that its ``predicted_values``
    name. Where it has an ``alias``, annotations have that.

    Args:
        config: the interface in XML.
        types: the types of the model; None: not known, and any label is one.

    Raises:
        UnfitInterface: it is no XML, or it has no such tags, or none of the labels is a type of the model.
    """
    root = _parse(config)
    if not len(root):
        return None
    texts = {tag.get("name"): tag for tag in root.iter("Text")}
    pairs = [(tag, texts[name]) for tag in root.iter("Labels") for name in _names(tag.get("toName")) if name in texts]
    if not pairs:
        raise UnfitInterface(
            'It needs a tag Labels whose toName is the name of a tag Text with a value such as "$text".'
        )
    labels, text = pairs[0]
    field = text.get("value", "")
    if not field.startswith("$") or text.get("valueType", "text") != "text":
        raise UnfitInterface('The value of its tag Text must be a field of the task\'s data, such as "$text".')
    by_type = _labels(labels, types)
    if not by_type:
        raise UnfitInterface(
            f"None of its labels is a type of the model: {', '.join(types or ['any'])}. "
            'A label of another name can say which it is, as in <Label value="Company" predicted_values="ORG"/>.'
        )
    return LabelConfig(labels.get("name", ""), text.get("name", ""), field.removeprefix("$"), by_type)


def _parse(config: str) -> ElementTree.Element:
    """The root of the interface; a declaration of a document type, which could define entities, is refused."""
    if len(config) > MOST_CHARACTERS or "<!DOCTYPE" in config.upper():
        raise UnfitInterface(f"It has a DOCTYPE, or more than {MOST_CHARACTERS:,} characters.")
    try:
        return ElementTree.fromstring(config.strip() or "<View/>")
    except (ElementTree.ParseError, ValueError) as error:
        raise UnfitInterface(f"It is not valid XML: {error}.") from None


def _names(value: str | None) -> list[str]:
    return [name.strip() for name in (value or "").split(",")]


def _labels(labels: ElementTree.Element, types: Sequence[str] | None) -> dict[str, str]:
    """The label of each type that has one; of several, the first."""
    known = None if types is None else {type_.casefold(): type_ for type_ in types}
    result: dict[str, str] = {}
    for tag in labels.iter("Label"):
        value = tag.get("value", "")
        called = tag.get("alias") or value
        for name in (value, called, *_names(tag.get("predicted_values"))):
            if type_ := name if known is None else known.get(name.casefold()):
                result.setdefault(type_, called)
    return result
