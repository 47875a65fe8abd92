"""Files as other tools write them, with invented texts: what is read, and what is refused with file and line."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import DocBin

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import formats
from multiner.pipeline.corpora.formats import columns
from multiner.pipeline.corpora.formats.options import checked_options
from multiner.pipeline.corpora.formats.source import ConversionLoss, entities_of

FILES = Path(__file__).with_name("files")


def texts(document: Document) -> list[tuple[str, str]]:
    return [(document.text[start:end], label) for start, end, label, _ in entities_of(document)]


@pytest.mark.parametrize(
    ("corpus", "file", "expected"),
    [
        ("CoNLL-2002, Spanish", "conll2002.esp", [("Inés", "PER"), ("Logroño", "LOC")]),
        ("CoNLL-2003, German", "latin1.conll", [("Zürcher", "MISC"), ("Sölve Grünlich", "PER"), ("Orbingen", "LOC")]),
        ("GermEval 2014", "germeval.tsv", [("Sölve", "PER"), ("Bad Orbingen", "LOC")]),
    ],
)
def test_the_tutorials_options_read_known_corpora(
    root: Path, corpus: str, file: str, expected: list[tuple[str, str]]
) -> None:
    page = (root / "docs" / "tutorials" / "third_language.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {corpus}")]
    options = dict(re.findall(r"--option (\w+)=([^ `]+)", row))
    first, *_ = formats.read(FILES / file, "columns", **checked_options(columns.read, options, "the tutorial"))
    assert texts(first) == expected


def test_germeval_has_comments_and_the_token_in_the_second_column() -> None:
    options: dict[str, Any] = {"token_column": 2, "label_column": 3, "comments": True}
    first, second = formats.read(FILES / "germeval.tsv", "columns", **options)
    assert texts(first) == [("Sölve", "PER"), ("Bad Orbingen", "LOC")]
    assert texts(second) == [("Orbinger", "LOCderiv")]
    inner = formats.read(FILES / "germeval.tsv", "columns", **options | {"label_column": 4})
    assert texts(inner[0]) == [("Bad", "LOC")]


def test_stanzas_conllu_in_bioes_with_a_token_of_two_words() -> None:
    (document,) = formats.read(FILES / "stanza.conllu", "conllu")
    assert document.text == "Vámonos a Río Seco."
    assert texts(document) == [("Río Seco", "LOC")]
    assert document.words()[0] == "Vámonos"


def test_conllu_of_universal_dependencies() -> None:
    first, second = formats.read(FILES / "ud.conllu", "conllu")
    assert (first.id, first.text) == ("letter-1", "Costa del Oro (Inés)\n")
    assert texts(first) == [("Costa del Oro", "LOC"), ("Inés", "PER")]
    assert (second.id, second.text, second.spans) == ("letter-2", "Fin", ())


def test_a_folder_of_brat() -> None:
    with pytest.warns(ConversionLoss, match=r"several pieces \(1\).*notes \(3\).*nested.*\(1\)"):
        empty, note = formats.read(FILES / "brat", "brat")
    assert (empty.id, empty.text, empty.spans) == ("empty", "", ())
    assert texts(note) == [("Ingrid 😀 Halvorsen", "Person"), ("Northwind\nLabs", "Organization")]
    with pytest.warns(ConversionLoss):
        (kept,) = formats.read(FILES / "brat" / "note.ann", "brat", overlaps="keep")
    assert ("Ingrid", "Person") in texts(kept)


def test_an_export_of_inception() -> None:
    with pytest.warns(ConversionLoss, match=r"nested or overlapping entities \(1\)"):
        (document,) = formats.read(FILES / "inception.tsv", "webanno")
    assert document.text == "😀 Ms. Halvorsen\nBank of Oslo-based\tC\\D\nfirm."
    assert texts(document) == [("Halvorsen", "PER_x"), ("Bank of Oslo", "ORG")]
    (all_,) = formats.read(FILES / "inception.tsv", "webanno", overlaps="keep")
    assert texts(all_) == [("Halvorsen", "PER_x"), ("Bank of Oslo", "ORG"), ("Oslo", "LOC")]
    (words,) = formats.read(FILES / "inception.tsv", "webanno", layer="POS", feature="coarseValue")
    assert ("firm", "NOUN") in texts(words)


def test_an_export_of_label_studio() -> None:
    (document,) = formats.read(FILES / "label-studio.json", "label-studio")
    assert (document.id, texts(document)) == ("7", [("Ingrid", "PER"), ("Oslo", "LOC")])


def test_a_project_of_label_studio_may_call_its_text_otherwise() -> None:
    export = io.BytesIO(replaced("label-studio.json", '{"text": "😀', '{"source": "mail-3", "body": "😀'))
    (document,) = formats.read(export, "label-studio")
    assert texts(document) == [("Ingrid", "PER"), ("Oslo", "LOC")]


def test_json_lines_of_many_tools() -> None:
    documents = formats.read(FILES / "doccano.jsonl", "doccano")
    assert [texts(document) for document in documents] == [
        [("Ingrid", "PER"), ("Oslo", "LOC")],
        [("Ingrid", "PER")],
        [],
        [("Oslo", "LOC")],
        [("Ingrid", "PER"), ("Oslo", "LOC")],
        [("Ingrid", "PER")],
    ]
    assert documents[5].spans[0].score == 0.9
    assert documents[2].id == "3"


def test_a_docbin_of_spacys_with_sentences_and_blank_tokens(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    doc = nlp("Ingrid  Halvorsen left. Oslo\n\nwaited.")
    doc.ents = [span for span in (doc.char_span(0, 17, "PER"), doc.char_span(24, 28, "LOC")) if span]
    doc.spans["sc"] = [span for span in (doc.char_span(0, 6, "FIRST"),) if span]
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    with pytest.warns(formats.ConversionLoss, match="spans_key=sc"):
        (document,) = formats.read(tmp_path, "docbin")
    assert (document.text, texts(document)) == (doc.text, [("Ingrid  Halvorsen", "PER"), ("Oslo", "LOC")])
    assert [document.words(each.start, each.end)[0] for each in document.sentences] == ["Ingrid", "Oslo"]
    assert texts(formats.read(tmp_path, "docbin", spans_key="sc")[0]) == [("Ingrid", "FIRST")]
    with pytest.raises(NerError, match="no spans 'ner'"):
        formats.read(tmp_path, "docbin", spans_key="ner")


def test_spacy_trains_on_what_is_written(tmp_path: Path) -> None:
    from spacy.training import Corpus

    document = formats.read(io.BytesIO(b'{"text": "Ingrid \\n Halvorsen left.", "label": [[0, 18, "PER"]]}'), "jsonl")
    formats.write(document, tmp_path / "train.spacy", "docbin")
    nlp = spacy.blank("en")
    (example,) = Corpus(tmp_path / "train.spacy")(nlp)
    assert [(span.text, span.label_) for span in example.reference.ents] == [("Ingrid \n Halvorsen", "PER")]
    nlp.add_pipe("ner")
    nlp.initialize(lambda: [example])
    assert nlp.update([example])["ner"] > 0


def replaced(name: str, before: str, after: str) -> bytes:
    content = (FILES / name).read_text(encoding="utf-8")
    assert before in content
    return content.replace(before, after).encode()


PREPARED = {"id": "", "text": "ab", "tokens": [[0, 5]], "sentences": [[0, 1]], "spans": []}


@pytest.mark.parametrize(
    ("format", "content", "message", "where"),
    [
        ("conllu", lambda: replaced("ud.conllu", "NE=B-PER|", ""), None, None),
        ("conllu", lambda: replaced("ud.conllu", "NE=B-PER|", "NE=I-PER|"), "I-PER follows O", ":12"),
        ("conllu", lambda: replaced("ud.conllu", "6	Inés", "6 Inés"), "ten columns", ":12"),
        ("conllu", lambda: replaced("ud.conllu", "NE=", "Other="), "no token has NER= or NE=", ""),
        ("webanno", lambda: replaced("inception.tsv", "7-16", "8-17"), "is not at 8-17", ":10"),
        ("webanno", lambda: replaced("inception.tsv", "TSV 3.3", "TSV 2.1"), "no WebAnno TSV 3", ":1"),
        ("webanno", lambda: replaced("inception.tsv", "ner.type.NamedEntity|", "ner.type.X|"), "which layer", ""),
        ("webanno", lambda: replaced("inception.tsv", "identifier|value", "identifier|kind"), "no feature 'value'", ""),
        ("webanno", lambda: replaced("inception.tsv", "2-1	17-21	Bank", "2-1 17-21 Bank"), "no token", ":14"),
        ("label-studio", lambda: replaced("label-studio.json", '"Oslo"', '"Bergen"'), "not where", ": task 7"),
        ("label-studio", lambda: replaced("label-studio.json", '{"text": "😀', '{"title": "A letter", "body": "😀'),
         "which field is the text is not clear: title, body", ": task 7"),
        ("label-studio", lambda: b"{}", "no export", ""),
        ("doccano", lambda: replaced("doccano.jsonl", "[2, 8,", "[2, 80,"), "outside the text", ":1"),
        ("doccano", lambda: replaced("doccano.jsonl", '[2, 8, "PER"]', "[2, 8]"), "no entity", ":1"),
        ("jsonl", lambda: b'{"text": "a", "entities": []}\n{"text": 1}\n', "no document", ":2"),
        ("jsonl", lambda: b"{]\n", "no valid JSON", ":1"),
        ("jsonl", lambda: replaced("doccano.jsonl", '"word": "ingrid"', '"text": "In"'), "not 'In'", ":6"),
        ("documents", lambda: json.dumps(PREPARED).encode(), "no prepared", ":1"),
        ("docbin", lambda: b"no", "no DocBin", ""),
        ("brat", lambda: b"Oslo", "needs files", None),
    ],
)  # fmt: skip
def test_errors_name_the_place(
    format: str, content: Callable[[], bytes], message: str | None, where: str | None
) -> None:
    if message is None:  # the token is outside of entities
        assert len(formats.read(io.BytesIO(content()), format)) == 2
        return
    with pytest.raises(NerError, match=message) as caught:
        formats.read(io.BytesIO(content()), format)
    assert caught.value.remedy
    if where is not None:
        assert caught.value.where == f"<stream>{where}"


def test_brats_offsets_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"Seen\r\nOslo")
    with pytest.raises(NerError, match="annotations are missing"):
        formats.read(tmp_path / "a.txt", "brat")
    (tmp_path / "a.ann").write_text("T1\tLOC 5 9\tOslo\n", encoding="utf-8")
    with pytest.raises(NerError, match="not 'Oslo'") as caught:
        formats.read(tmp_path, "brat")
    assert caught.value.where == f"{tmp_path / 'a.ann'}:1"
    (tmp_path / "a.ann").write_text("T1\tLOC 6 10\tOslo\n", encoding="utf-8")
    assert texts(formats.read(tmp_path, "brat")[0]) == [("Oslo", "LOC")]


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NerError, match="file is missing"):
        formats.read(tmp_path / "none", "columns")
    with pytest.raises(NerError, match="no file of this format"):
        formats.read(tmp_path, "docbin")
    with pytest.raises(NerError, match="unknown format"):
        formats.read(tmp_path, "no-such")
    with pytest.raises(NerError, match="no tokenizer for 'qq'"):
        formats.read(FILES / "doccano.jsonl", "doccano", language="qq")
    (document,) = formats.read(io.BytesIO(b'{"text": "Oslo", "label": [[0, 4, "A B"]]}'), "doccano")
    with pytest.raises(NerError, match="cannot stand in a column"):
        formats.write([document], tmp_path / "brat", "brat")
    assert not list(tmp_path.iterdir())
