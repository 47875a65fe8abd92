"""Column files: columns, separators, encodings, schemes, marks and comments; errors name the line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import formats
from multiner.pipeline.corpora.formats.source import ConversionLoss


def read(content: str | bytes, **options: Any) -> list[Document]:
    raw = content if isinstance(content, bytes) else content.encode()
    return formats.read(io.BytesIO(raw), "columns", **options)


def entities(document: Document) -> list[tuple[str, str]]:
    return [(document.span_text(span), span.label) for span in document.spans]


def test_the_columns_of_token_and_label_are_options() -> None:
    content = "1\tFrau\tO\tx\n2\tHalvorsen\tB-PER\tx\n\n1\tOslo\tB-LOC\tx\n"
    documents = read(content, token_column=2, label_column=3, document_mark="")
    assert [document.text for document in documents] == ["Frau Halvorsen\nOslo"]
    assert entities(documents[0]) == [("Halvorsen", "PER"), ("Oslo", "LOC")]
    assert [sentence.line for sentence in documents[0].sentences] == [1, 4]


def test_a_file_in_another_encoding() -> None:
    content = "Łódź O\n".encode("iso-8859-2")
    assert read(content, encoding="iso-8859-2")[0].text == "Łódź"
    with pytest.raises(NerError, match="not UTF-8") as caught:
        read(b"Oslo B-LOC\n" + content)
    assert caught.value.where == "<stream>:2"


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("BIO", ["B-PER", "I-PER", "B-LOC", "B-LOC", "O"]),
        ("IOB1", ["I-PER", "I-PER", "I-LOC", "B-LOC", "O"]),
        ("BIOES", ["B-PER", "E-PER", "S-LOC", "S-LOC", "O"]),
        ("BILOU", ["B-PER", "L-PER", "U-LOC", "U-LOC", "O"]),
        ("IO", ["I-PER", "I-PER", "I-LOC", "I-LOC", "O"]),
    ],
)
def test_each_scheme_is_read_and_written(scheme: str, tags: list[str]) -> None:
    words = ["Ingrid", "Halvorsen", "Oslo", "Bergen", "."]
    content = "-DOCSTART-\tO\n\n" + "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True)) + "\n"
    spans = (Span(0, 2, "PER"), Span(2, 3, "LOC"), Span(3, 4, "LOC"))
    document = from_words("", [words], spans)
    (back,) = read(content, scheme=scheme)
    if scheme == "IO":
        assert back.spans == (Span(0, 2, "PER"), Span(2, 4, "LOC"))
        with pytest.warns(ConversionLoss, match="neighbouring"):
            written = write(document, scheme=scheme)
    else:
        assert back.spans == spans
        if scheme != "IOB1":
            assert read(content)[0].spans == spans  # the letters show the scheme
        written = write(document, scheme=scheme)
    assert written == content.encode()


def write(document: Document, **options: Any) -> bytes:
    output = io.BytesIO()
    formats.write([document], output, "columns", **options)
    return output.getvalue()


def test_bare_types_are_io() -> None:
    found = [("Ingrid Halvorsen", "PER"), ("Oslo", "LOC")]
    assert entities(read("Ingrid PER\nHalvorsen PER\nOslo LOC\n. O\n")[0]) == found
    assert entities(read("Ingrid PER\nHalvorsen PER\nOslo LOC\n", scheme="IO")[0]) == found


@pytest.mark.parametrize("text", ["Ada b-per\nleft o\n", "Ada NNP\nleft VBD\n"])
def test_other_tags_are_no_types(text: str) -> None:
    with pytest.raises(NerError, match="no tag is O"):
        read(text)


def test_a_list_of_words_is_refused() -> None:
    with pytest.raises(NerError, match="the token's and the label's"):
        read("Ada\nleft\n")


def test_documents_begin_at_their_mark_or_are_blocks_of_lines() -> None:
    assert len(read("a O\n\nb O\n")) == 2
    assert len(read("-DOCSTART- -X-\n\na O\n\nb O\n\n-DOCSTART- -X-\n\nc O\n")) == 2
    assert len(read("### O\na O\n\nb O\n", document_mark="###")) == 1


def test_comments_are_passed_over() -> None:
    assert read("# id 7\na O\n", comments=True)[0].text == "a"
    assert read("# sent_id = 7\n# O\na O\n")[0].text == "# a"


@pytest.mark.parametrize(
    ("content", "options", "message", "line"),
    [
        ("a O\nb\n", {}, "expected 2 columns", 2),
        ("a O\nb X-PER\n", {"scheme": "BIO"}, "illegal tag", 2),
        ("a O\n\nb O\nc I-PER\n", {}, "I-PER follows O", 4),
        ("a B-PER\nb O\n", {"scheme": "BIOES"}, "is not followed", 2),
        ("a B-PER\nb I-LOC\n", {}, "I-LOC follows B-PER", 2),
        ("a O\nb B-GPE\n", {"types": {"PER": "PER"}}, "unknown entity type 'GPE'", 2),
    ],
)
def test_errors_name_the_line(content: str, options: dict[str, Any], message: str, line: int) -> None:
    with pytest.raises(NerError, match=message) as caught:
        read(content, **options)
    assert caught.value.where == f"<stream>:{line}"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a O\n", {"label_column": 4}, "no column 4"),
        ("a O\n", {"scheme": "BIX"}, "unknown scheme"),
        ("a O\n", {"separator": ";"}, "unknown separator"),
        ("a O\n", {"columns": 2}, "no option 'columns'"),
        ("a O\n", {"token_column": "two"}, "cannot be 'two'"),
        ("a S-PER\nb U-PER\n", {}, "two schemes|mix the letters"),
        ("\n\n", {}, "no sentence"),
        ("a O\n", {"encoding": "no-such"}, "unknown encoding"),
    ],
)
def test_wrong_options_are_refused_with_a_remedy(content: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NerError, match=message) as caught:
        read(content, **options)
    assert caught.value.remedy


def test_types_are_mapped_or_left_out() -> None:
    content = "Ingrid B-person\nOslo B-place\n"
    assert entities(read(content, types={"person": "PER", "place": None})[0]) == [("Ingrid", "PER")]


def test_what_cannot_stand_in_a_column_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    document = from_words("", [["10 000", "x"]])
    assert write(document) == b"-DOCSTART-\tO\n\n10 000\tO\nx\tO\n\n"
    with pytest.raises(NerError, match="cannot stand in a column"):
        formats.write([document], tmp_path / "x.conll", "columns", separator="blank")
    with pytest.raises(NerError, match=r"no character U\+0416"):
        formats.write([from_words("", [["Ж"]])], tmp_path / "x.conll", "columns", encoding="iso-8859-1")
    with pytest.raises(NerError, match="mark of documents"):
        write(from_words("", [["-DOCSTART-"]]))
    assert not list(tmp_path.iterdir())


def test_losses_are_named() -> None:
    text = "Ingrid  flew."
    document = formats.read(io.BytesIO(b'{"text": "%s", "label": [[0, 6, "PER"]]}' % text.encode()), "doccano")[0]
    scored = document.with_spans([Span(0, 1, "PER", 0.5), Span(0, 2, "EVENT")])
    with pytest.warns(ConversionLoss, match=r"nested or overlapping entities \(1\).*the texts' own blanks"):
        content = write(scored)
    assert content.startswith(b"-DOCSTART-\tO\n\nIngrid\tB-EVENT\nflew\tI-EVENT\n")
