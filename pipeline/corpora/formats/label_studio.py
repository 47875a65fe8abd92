"""Label Studio's JSON: tasks with annotations or predictions to import there, and its exports.

They name the tags of this labelling interface (:func:`labelling_interface`). Label Studio counts offsets in code
points; older releases counted UTF-16 units, which an export shows, since each region has its text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from xml.sax.saxutils import quoteattr

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.source import Entity, Losses, Source, encoded, entities_of

FROM, TO, FIELD = "label", "text", "text"  # names of the tags Labels and Text, and of the text among a task's data
ID = "id"  # among a task's data, of the document


def labelling_interface(types: Sequence[str]) -> str:
    """The labelling interface of a project for these entity types, as Label Studio's settings take it."""
    labels = "".join(f"<Label value={quoteattr(type_)}/>" for type_ in types)
    return f'<View><Labels name="{FROM}" toName="{TO}">{labels}</Labels><Text name="{TO}" value="${FIELD}"/></View>'


def import_task(text: str, language: str, model: str, entities: Iterable[Any], score: float) -> dict[str, Any]:
    """A task with the prediction of ``model``.

    Args:
        text: the text.
        language: its language's code.
        model: name and version of the model.
        entities: with ``start``, ``end``, ``label`` and ``score``.
        score: of the whole prediction; Label Studio sorts tasks by it.
    """
    prediction = {"model_version": model, "score": score, "result": regions(text, entities)}
    return {"data": {FIELD: text, "language": language}, "predictions": [prediction]}


def regions(text: str, entities: Iterable[Any], from_name: str = FROM, to_name: str = TO) -> list[dict[str, Any]]:
    """The entities of a text as the regions of a prediction; offsets count code points, as Label Studio's editor does.

    Args:
        text: the text.
        entities: with ``start``, ``end``, ``label``, perhaps ``score``.
        from_name, to_name: names of the tags Labels and Text in the labelling interface.
    """
    return [
        {
            "id": f"entity-{number}",
            "from_name": from_name,
            "to_name": to_name,
            "type": "labels",
            "value": {
                "start": entity["start"],
                "end": entity["end"],
                "text": text[entity["start"] : entity["end"]],
                "labels": [entity["label"]],
            },
        }
        | ({} if entity.get("score") is None else {"score": entity["score"]})
        for number, entity in enumerate(entities, 1)
    ]


def annotated_tasks(content: str, name: str) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """The annotated tasks of an export: where each stands, and what gives its ``text``, ``entities`` and ``others``,
    the number of regions that are no labels, such as relations and choices.

    Of several annotations of a task the one changed last counts; cancelled ones, and tasks without any, are left out.

    Args:
        content: the export's text, in the format "JSON".
        name: the file's name.

    Raises:
        NerError: no such export; the function of a task raises it for regions that do not fit the task's text.
    """
    try:
        tasks = json.loads(content.removeprefix("\ufeff"))
    except ValueError as error:
        raise NerError(f"no valid JSON: {error}", where=name, remedy="Export the project anew.") from None
    except RecursionError:
        raise NerError("JSON of too many levels", where=name, remedy="Export the project anew.") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise NerError("no export of Label Studio", where=name, remedy='Export the project there in the format "JSON".')
    for task in tasks:
        annotations = task.get("annotations") or []
        if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
            raise NerError("its annotations are no list of objects", where=f"{name}: task {task.get('id', '?')}",
                           remedy="Export the project anew.")  # fmt: skip
        annotations = [each for each in annotations if not each.get("was_cancelled")]
        if annotations:
            latest = max(annotations, key=lambda each: (str(each.get("updated_at") or ""), str(each.get("id") or "")))
            yield f"{name}: task {task.get('id', '?')}", partial(_record, task, latest)


def _record(task: dict[str, Any], annotation: dict[str, Any]) -> dict[str, Any]:
    """Text and entities of a task with one of its annotations."""
    text = _text(task["data"])
    result = annotation.get("result") or []
    if not isinstance(result, list) or not all(isinstance(each, dict) for each in result):
        raise NerError("the result of its annotation is no list of objects")
    entities = [_entity(region.get("value")) for region in result if region.get("type") == "labels"]
    if any(entity["text"] not in (None, text[entity["start"] : entity["end"]]) for entity in entities):
        units = [{**each, "start": _index(text, each["start"]), "end": _index(text, each["end"])} for each in entities]
        for entity in units:
            if entity["text"] != text[entity["start"] : entity["end"]]:
                raise NerError(f"the region {entity['text']!r} is not where its offsets say")
        entities = units
    id = task["data"].get(ID, task.get("id", ""))
    return {"text": text, "entities": entities, "others": len(result) - len(entities), "id": str(id)}


def _text(data: Any) -> str:
    """The text among a task's data: the field ``text``, else the only one with words."""
    fields = {name: value for name, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    if FIELD in fields:
        return fields[FIELD]
    texts = [value for name, value in fields.items() if name != ID and len(value.split()) > 1]
    if len(texts) != 1:
        names = ", ".join(fields) or "none"
        raise NerError(f"its data has no {FIELD!r}, and which field is the text is not clear: {names}",
                       remedy=f"Name the field {FIELD!r} in the export.")  # fmt: skip
    return texts[0]


def _entity(value: Any) -> dict[str, Any]:
    labels = value.get("labels") if isinstance(value, dict) else None
    match labels:
        case [str(label)] if label and all(type(value.get(key)) is int for key in ("start", "end")):
            return {"start": value["start"], "end": value["end"], "label": label, "text": value.get("text")}
    raise NerError(f"a region needs start, end and one label: {json.dumps(value, ensure_ascii=False)[:100]}")


def read(source: Source) -> list[Document]:
    """The annotated tasks of an export in the format JSON.

    Raises:
        NerError: no such export, or a region does not fit its task's text (names the task).
    """
    documents = []
    for where, task in annotated_tasks(source.text(), source.name):
        try:
            value = task()
            entities: list[Entity] = [(each["start"], each["end"], each["label"], None) for each in value["entities"]]
            source.losses.add("relations, choices and other regions that are no labels", value["others"])
            documents.append(source.document(value["text"], entities, id=value["id"], where=where))
        except NerError as error:
            remedy = error.remedy or "Mend the task in Label Studio, and export the project anew."
            raise NerError(error.message, where=error.where or where, remedy=remedy) from None
    return documents


def write(documents: Iterable[Document], losses: Losses) -> bytes:
    """Tasks with an annotation each, for Label Studio's import; ``data`` has each document's id.

    The project needs the labelling interface of :func:`labelling_interface`.
    """
    tasks = []
    for document in documents:
        entities = ({"start": start, "end": end, "label": label} for start, end, label, _ in entities_of(document))
        annotation = {"result": regions(document.text, entities)}
        tasks.append({"data": {FIELD: document.text, ID: document.id}, "annotations": [annotation]})
    return encoded(json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")


def _index(text: str, units: int) -> int:
    """The index of the code point at an offset that counts UTF-16 units."""
    return len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "replace"))
