"""The formats of sources: what is read, exact offsets, and what is refused with file and line, or task."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.label_studio import import_task, labelling_interface
from multiner.pipeline.growing.declaration import growing_corpus
from multiner.pipeline.growing.records import read_path

Read = Callable[..., list[Document]]
TEXT = "Ingrid flew to Oslo."


@pytest.fixture
def read(declare: Callable[..., Workspace]) -> Read:
    """Writes a file into the workspace and reads it."""
    workspace = declare(tickets={})

    def read(name: str, content: str) -> list[Document]:
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return read_path(path, growing_corpus(workspace, "tickets"), workspace.root)

    return read


def entities(document: Document) -> list[tuple[str, str]]:
    return [(document.span_text(span), span.label) for span in document.spans]


def task(id: int, text: str, *regions: tuple[int, int, str, str], **more: Any) -> dict[str, Any]:
    """A task of an export, with an annotation of (start, end, label, text)."""
    result = [
        {
            "id": f"r{number}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "origin": "manual",
            "value": {"start": start, "end": end, "text": part, "labels": [label]},
        }
        for number, (start, end, label, part) in enumerate(regions)
    ]
    annotation = {"id": id, "result": result, "was_cancelled": False, "updated_at": "2026-01-04T10:00:00Z"}
    return {"id": id, "data": {"text": text}, "annotations": [annotation | more], "predictions": []}


def test_each_format_gives_the_same_document(read: Read) -> None:
    places = [{"start": 0, "end": 6, "label": "PER"}, {"start": 15, "end": 19, "label": "LOC"}]
    words, tags = ["Ingrid", "flew", "to", "Oslo", "."], ["B-PER", "O", "O", "B-LOC", "O"]
    quoted = json.dumps(places).replace('"', '""')
    contents = {
        "a.jsonl": json.dumps({"text": TEXT, "entities": places}),
        "b.ndjson": json.dumps({"tokens": words, "tags": tags}),
        "c.csv": f'text,entities\n{TEXT},"{quoted}"\n',
        "d.csv": f"tokens,tags\r\n{' '.join(words)},{' '.join(tags)}\r\n",
        "e.conll": "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True)),
        "f.txt": "".join(f"{word} X {tag}\n" for word, tag in zip(words, tags, strict=True)),
        "g.json": json.dumps([task(7, TEXT, (0, 6, "PER", "Ingrid"), (15, 19, "LOC", "Oslo"))]),
    }
    documents = {name: read(name, content) for name, content in contents.items()}
    assert {tuple(entities(document)) for (document,) in documents.values()} == {(("Ingrid", "PER"), ("Oslo", "LOC"))}
    assert len({document.id for (document,) in documents.values()}) == 1, "the words alone make the id"
    assert documents["a.jsonl"][0].source == "a.jsonl:1"
    assert documents["g.json"][0].source == "g.json: task 7"


def test_a_folder_gives_the_documents_of_all_its_files(read: Read) -> None:
    read("inbox/a.jsonl", json.dumps({"text": TEXT, "entities": []}))
    read("inbox/deep/b.conll", "Bergen\tB-LOC\n")
    with pytest.raises(NerError, match="no known format"):
        read("inbox/readme.md", "Bring new tickets here.")


@pytest.mark.parametrize(
    ("name", "content", "where", "message"),
    [
        ("a.jsonl", '\n{"text": "Oslo"\n', "a.jsonl:2", "no valid JSON"),
        ("a.jsonl", '{"text": "Oslo", "entities": [{"start": 0, "end": 9, "label": "LOC"}]}', "a.jsonl:1", "no entity"),
        ("a.jsonl", '{"text": "Oslo", "entities": [{"start": 0, "end": 4, "label": "X"}]}', "a.jsonl:1", "'X'"),
        ("a.jsonl", '{"text": "Oslo"}', "a.jsonl:1", "text and entities, or tokens and tags"),
        ("a.jsonl", '{"text": " ", "entities": []}', "a.jsonl:1", "no word"),
        ("a.jsonl", '{"tokens": ["Oslo"], "tags": []}', "a.jsonl:1", "every token needs a tag"),
        ("a.jsonl", '{"tokens": ["in", "Oslo"], "tags": ["O", "I-LOC"]}', "a.jsonl:1:2", "I-LOC follows O"),
        ("a.csv", 'text,entities\n"two\nlines",[]\nOslo,[}\n', "a.csv:4", "no valid JSON"),
        ("a.csv", "words\nOslo\n", "a.csv:2", "text and entities"),
        ("a.json", "{}", "a.json", "no export of Label Studio"),
        ("a.json", json.dumps([{"id": 1, "text": "Oslo", "label": []}]), "a.json", "no export of Label Studio"),
        ("a.json", json.dumps([task(9, TEXT, (15, 18, "LOC", "Osl"))]), "a.json: task 9", "cuts a word at 18"),
        ("a.json", json.dumps([task(9, TEXT, (15, 19, "LOC", "Rome"))]), "a.json: task 9", "not where its offsets"),
        (
            "a.json",
            json.dumps([task(9, TEXT, (0, 19, "PER", TEXT[:19]), (15, 19, "LOC", "Oslo"))]),
            "a.json: task 9",
            "overlap",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    read: Read, name: str, content: str, where: str, message: str
) -> None:
    with pytest.raises(NerError, match=message) as caught:
        read(name, content)
    assert caught.value.where == where


def test_all_records_that_cannot_be_read_are_named(read: Read) -> None:
    with pytest.raises(NerError, match=r"(?s)2 records.*a\.jsonl:1: .*a\.jsonl:3: "):
        read("a.jsonl", '{"text": 1}\n{"text": "Oslo", "entities": []}\n{}\n')


def test_an_unknown_label_names_the_place_to_declare_it(read: Read) -> None:
    with pytest.raises(NerError) as caught:
        read("a.conll", "Oslo\tB-city\n")
    assert "growing.tickets.types" in str(caught.value.remedy)


def test_a_token_is_cut_at_a_sign_but_not_within_a_word(read: Read) -> None:
    (document,) = read("a.json", json.dumps([task(1, "The Oslo-based firm", (4, 8, "LOC", "Oslo"))]))
    assert entities(document) == [("Oslo", "LOC")]
    assert document.words()[:2] == ["The", "Oslo"]


@pytest.mark.parametrize("shift", [0, 2])
def test_offsets_of_code_points_and_of_utf16_units_are_understood(read: Read, shift: int) -> None:
    text = "🚒🚒 Ingrid left. Nobody met her in Oslo."
    place = text.index("Oslo")
    (document,) = read("a.json", json.dumps([task(1, text, (place + shift, place + 4 + shift, "LOC", "Oslo"))]))
    assert entities(document) == [("Oslo", "LOC")]
    assert document.text == text


def test_blanks_at_an_entity_s_edges_are_left_out(read: Read) -> None:
    (document,) = read("a.json", json.dumps([task(1, TEXT, (14, 19, "LOC", " Oslo"))]))
    assert entities(document) == [("Oslo", "LOC")]


def test_an_entity_ends_in_the_sentence_in_which_it_begins(read: Read) -> None:
    text = "We met Smith & Co. Ltd. They left."
    (document,) = read("a.json", json.dumps([task(1, text, (7, 28, "ORG", text[7:28]))]))
    assert [entities(document), len(document.sentences)] == [[(text[7:28], "ORG")], 1]


def test_of_several_annotations_the_latest_counts_and_cancelled_ones_do_not(read: Read) -> None:
    old = task(1, TEXT, (0, 6, "PER", "Ingrid"))
    new = task(1, TEXT, (15, 19, "LOC", "Oslo"), updated_at="2026-02-01T10:00:00Z")["annotations"]
    cancelled = task(1, TEXT, updated_at="2026-03-01T10:00:00Z", was_cancelled=True)["annotations"]
    skipped = {"id": 2, "data": {"text": "Bergen"}, "annotations": [], "predictions": []}
    export = [old | {"annotations": [*new, *old["annotations"], *cancelled]}, skipped]
    (document,) = read("a.json", json.dumps(export))
    assert entities(document) == [("Oslo", "LOC")]


def test_what_goes_out_comes_back(read: Read) -> None:
    """Our prediction, submitted unchanged, as Label Studio exports it."""
    found = [
        {"start": 2, "end": 8, "label": "PER", "score": 0.4},
        {"start": 17, "end": 21, "label": "LOC", "score": None},
    ]
    sent = import_task(f"🚒 {TEXT} ", "en", "ner-en/3", found, 0.3)
    (prediction,) = sent["predictions"]
    assert [prediction["score"], prediction["model_version"]] == [0.3, "ner-en/3"]
    assert [region.get("score") for region in prediction["result"]] == [0.4, None]
    exported = sent | {"id": 1, "annotations": [{"id": 5, "result": prediction["result"], "was_cancelled": False}]}
    (document,) = read("a.json", json.dumps([exported]))
    assert entities(document) == [("Ingrid", "PER"), ("Oslo", "LOC")]
    interface = labelling_interface(["PER", "LOC"])
    for region in prediction["result"]:
        assert f'name="{region["from_name"]}" toName="{region["to_name"]}"' in interface
