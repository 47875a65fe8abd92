"""Files that other tools write wrongly: nothing is dropped without a word, and every error names its place."""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import DocBin, Span

from multiner.pipeline.core.document import from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import formats
from multiner.pipeline.corpora.formats import ConversionLoss

EMPTY = "\t_" * 7
HEAD = "#FORMAT=WebAnno TSV 3.3\n#T_SP=a.NamedEntity|value\n\n\n#Text=Ada left\n"


def read(content: str, format: str, **options: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """The text and the entities of each document."""
    documents = formats.read(BytesIO(content.encode("utf-8", "surrogatepass")), format, **options)
    return [(each.text, [(each.span_text(span), span.label) for span in each.spans]) for each in documents]


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(each) + "\n" for each in records)


@pytest.mark.parametrize(
    ("ids", "problem"),
    [("1 2 1 2", "the ID 1 after 2"), ("2 1", "the ID 1 after 2"), ("1 1", "the ID 1 after 1"), ("2-1", "the ID 2-1")],
)
def test_conllu_without_a_blank_line_between_sentences(ids: str, problem: str) -> None:
    rows = "".join(f"{id}\tAda{EMPTY}\tNER=B-PER\n" for id in ids.split())
    with pytest.raises(NerError, match=problem) as raised:
        read(rows, "conllu")
    assert raised.value.where == f"<stream>:{3 if ids == '1 2 1 2' else len(ids.split())}"
    assert "blank line" in str(raised.value)


def test_a_record_with_text_and_tokens_keeps_its_entities_and_says_what_its_text_lost() -> None:
    record = {"text": "Ada, Oslo.", "tokens": ["Ada", ",", "Oslo", "."], "tags": ["NNP", ",", "NNP", "."]}
    entity = {"start": 0, "end": 3, "label": "PER"}
    assert read(lines(record | {"entities": [entity]}), "jsonl") == [("Ada, Oslo.", [("Ada", "PER")])]
    with pytest.warns(ConversionLoss, match="own blanks"):
        assert read(lines(record | {"tags": ["B-PER", "O", "B-LOC", "O"]}), "jsonl")[0][0] == "Ada , Oslo ."


def test_half_a_character_is_refused_where_it_stands() -> None:
    content = '{"text": "Ada", "entities": []}\n{"text": "Ada \\ud83d", "entities": []}\n'
    with pytest.raises(NerError, match=r"lone surrogate U\+D83D") as raised:
        read(content, "jsonl")
    assert raised.value.where == "<stream>:2"


@pytest.mark.parametrize("row", ["1-1", "1-1\t0-3", "1-1 0-3 Ada", f"{'9' * 5000}-1\t0-3\tAda\t_", "1-1\t0-3\t\t_"])
def test_webanno_rows_of_other_shapes(row: str) -> None:
    with pytest.raises(NerError) as raised:
        read(f"{HEAD}{row}\n", "webanno")
    assert raised.value.where == "<stream>:6"


def test_webanno_offsets_far_behind_the_text() -> None:
    with pytest.raises(NerError, match="begins 999,999,999 characters after"):
        read(f"{HEAD}1-1\t999999999-1000000002\tAda\t_\n".replace("1000000002", "999999999"), "webanno")


def test_brat_with_a_byte_order_mark_and_a_suffix_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "note.TXT").write_text("Ada left")
    (tmp_path / "note.ann").write_text("\ufeffT1\tPER 0 3\tAda\n", encoding="utf-8")
    (document,) = formats.read(tmp_path, "brat")
    assert [span.label for span in document.spans] == ["PER"]


@pytest.mark.parametrize("name", ["brat", "webanno"])
def test_a_folder_with_files_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "thesis.tex").touch()
    document = from_words("a", [["Ada", "left"]], [])
    with pytest.raises(NerError, match="not empty"):
        formats.write([document], tmp_path, name)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]
    formats.write([document], tmp_path / "new", name)
    assert list((tmp_path / "new").iterdir())


def test_a_long_id_in_wide_letters_names_a_file(tmp_path: Path) -> None:
    formats.write([from_words("案" * 200, [["Ada"]], [])], tmp_path / "new", "brat")
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.parametrize(
    "annotations",
    ["x", ["x"], [{"result": "x"}], [{"result": ["x"]}], *([{"result": [{"type": "labels", "value": value}]}] for value
     in ("x", {"start": 0, "end": 3, "labels": [5]}, {"start": 0, "end": 3, "labels": {"a": 1}}))],
)  # fmt: skip
def test_tasks_of_label_studio_in_other_shapes(annotations: Any) -> None:
    with pytest.raises(NerError) as raised:
        read(json.dumps([{"id": 7, "data": {"text": "Ada left"}, "annotations": annotations}]), "label-studio")
    assert raised.value.where == "<stream>: task 7"
    assert raised.value.remedy


def test_an_export_of_label_studio_may_have_a_byte_order_mark() -> None:
    assert read("\ufeff[]", "label-studio") == []
    with pytest.raises(NerError, match="too many levels"):
        read("[" * 100_000, "label-studio")


@pytest.mark.parametrize("name", ["language", "types", "overlaps", "path"])
def test_only_the_options_of_a_format_are_the_users(name: str) -> None:
    with pytest.raises(NerError, match=f"no option '{name}'"):
        formats.reading_options("jsonl", {name: "x"})


def test_an_encoding_that_refuses_every_file() -> None:
    with pytest.raises(NerError, match="unknown encoding"), warnings.catch_warnings(action="error"):
        read("Ada B-PER\n", "columns", encoding="undefined")


def test_regions_of_label_studio_that_are_no_labels_are_counted() -> None:
    value = {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}
    result = [{"type": "labels", "value": value}, {"type": "relation"}, {"type": "choices", "value": {}}]
    content = json.dumps([{"data": {"text": "Ada left"}, "annotations": [{"result": result}]}])
    with pytest.warns(ConversionLoss, match=r"other regions that are no labels \(2\)"):
        assert read(content, "label-studio") == [("Ada left", [("Ada", "PER")])]


def test_spans_of_a_docbin_that_are_not_read_are_counted() -> None:
    doc = spacy.blank("en")("Ada left Oslo")
    doc.spans["sc"] = [Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "LOC")]
    content = DocBin(docs=[doc]).to_bytes()
    with pytest.warns(ConversionLoss, match=r"spans_key=sc \(2\)"):
        (document,) = formats.read(BytesIO(content), "docbin")
    assert not document.spans
    (document,) = formats.read(BytesIO(content), "docbin", spans_key="sc")
    assert [span.label for span in document.spans] == ["PER", "LOC"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": 7}, "7 is no text"),
        ({"text": ["Ada"]}, "is no text"),
        ({"tokens": [[0, 3, 5]]}, "5 is no text"),
        ({"tokens": [[False, 3]]}, "False is no whole number"),
        ({"tokens": [[0.5, 3]]}, "0.5 is no whole number"),
        ({"sentences": [[0, True, 1]]}, "True is no whole number"),
        ({"spans": [[0, 1, 5, None]]}, "5 is no text"),
        ({"spans": [[0, 1, "", None]]}, "a span has no type"),
        ({"spans": [[0, 1, "PER", "high"]]}, "'high' is no score"),
    ],
)
def test_prepared_documents_with_values_of_other_kinds(change: dict[str, Any], problem: str) -> None:
    document = {"id": "a", "text": "Ada", "tokens": [[0, 3]], "sentences": [[0, 1, 1]], "spans": [[0, 1, "PER", 0.9]]}
    assert read(lines(document), "documents") == [("Ada", [("Ada", "PER")])]
    with pytest.raises(NerError) as raised:
        read(lines(document | change), "documents")
    assert problem in raised.value.message
    assert raised.value.where == "<stream>:1"
