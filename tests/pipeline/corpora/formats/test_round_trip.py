"""Documents that are written in a format and read again are the same, as far as the format can say."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.corpora import formats
from multiner.pipeline.corpora.formats.source import ConversionLoss, Losses, entities_of, flat, sentence_bounds
from multiner.pipeline.text.tokenizer import document_from_text

SCHEMES = ("BIO", "IOB1", "BIOES", "BILOU")
CASES = [
    *(("columns", {"scheme": scheme}) for scheme in SCHEMES),
    ("columns", {"separator": "blank"}),
    ("columns", {"encoding": "utf-16"}),
    *(("conllu", {"scheme": scheme}) for scheme in SCHEMES),
    *((name, {}) for name in formats.FORMATS if name not in ("columns", "conllu")),
]
WITH_TOKENS = {"columns", "conllu", "docbin", "documents", "webanno"}
WITH_TEXT = set(formats.FORMATS) - {"columns", "webanno"}  # the blanks between words are in the file
WITHOUT_EMPTY = {"columns", "conllu"}  # documents without a token are left out

WORDS = st.sampled_from(
    (
        *(
            "Ingrid",
            "Halvorsen",
            "EU",
            "-based",
            "Zoë",
            "Zoe\u0308",
            "😀",
            "👩\u200d👩\u200d👧",
            "Москва",
            "東京",
            "don't",
        ),
        *("#", "# x = y", "_", "*", "|", "a|b", "[1]", "\\", "-DOCSTART-", ".", "Mr.", "O", "a;b", "->", "1\u00a0000"),
        *("\ufeff", "\u200b", "\xad", "\x85"),
    )
)
GAPS = st.sampled_from([" ", "", "  ", "\n", "\r\n", "\r", "\t", "\u00a0", "\n\n", "\u2028", " \x0b"])
LABELS = st.sampled_from(["PER", "LOC", "GPE-LOC", "WORK_OF_ART", "Ort"])
ENDS = st.sampled_from(["", " ", "\n", "\u00a0"])


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """spaCy is loaded before Hypothesis watches the state of ``random``."""
    document_from_text("", "en")


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    """Documents of words and blanks, the texts' own tokens, and entities that may overlap."""
    result = []
    for number in range(draw(st.integers(0, 3))):
        pieces = draw(st.lists(st.tuples(WORDS, GAPS), max_size=8))
        text = (
            draw(ENDS) + "".join(word + gap for word, gap in pieces) + draw(st.sampled_from(["", "fin"])) + draw(ENDS)
        )
        document = document_from_text(text, "en", f"corpus/{number}")
        places = st.integers(0, max(0, len(document.tokens) - 1))
        spans = draw(st.lists(st.tuples(places, st.integers(1, 3), LABELS), max_size=4)) if document.tokens else []
        document = document.with_spans(
            {Span(start, min(start + size, len(document.tokens)), label) for start, size, label in spans}
        )
        result.append(replace(document, source=""))
    return result


def round_trip(content: list[Document], name: str, **options: Any) -> list[Document]:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionLoss)
        path = Path(folder) / "corpus"
        formats.write(content, path, name, **options)
        if formats.FORMATS[name].folder and not content:
            return []
        return formats.read(path, name, language="en", overlaps="keep", **options)


def expected(content: list[Document], name: str) -> list[Document]:
    if name in WITHOUT_EMPTY:
        content = [document for document in content if document.tokens]
    if not formats.FORMATS[name].nested:
        content = [flat(document, Losses()) for document in content]
    return content


def writable(document: Document, name: str, options: dict[str, Any]) -> bool:
    """Whether every token may stand in a column."""
    if name != "columns":
        return True
    blanks = " " if options.get("separator") == "blank" else "\t"
    return not any(word == "-DOCSTART-" or word.startswith("# ") or blanks in word for word in document.words())


@pytest.mark.parametrize(("name", "options"), CASES)
@given(content=documents())
@settings(max_examples=15, deadline=None)
def test_documents_come_back(name: str, options: dict[str, Any], content: list[Document]) -> None:
    content = [document for document in content if writable(document, name, options)]
    wanted = expected(content, name)
    if name in WITHOUT_EMPTY and not wanted:
        return  # such a file has no token, and is refused
    back = round_trip(content, name, **options)
    assert len(back) == len(wanted)
    for before, after in zip(wanted, back, strict=True):
        if name != "columns":
            assert sorted(texts(before)) == sorted(texts(after))
        if name in WITH_TEXT:
            assert after.text == before.text
            assert sorted(entities_of(after)) == sorted(entities_of(before))
        if name in WITH_TOKENS:
            assert after.words() == before.words()
            assert sorted(after.spans, key=repr) == sorted(before.spans, key=repr)
            bounds = [(each.start, each.end) for each in before.sentences] if name == "documents" else None
            assert [(each.start, each.end) for each in after.sentences] == (bounds or sentence_bounds(before))


def texts(document: Document) -> list[tuple[str, str]]:
    return [(document.text[start:end], label) for start, end, label, _ in entities_of(document)]


@pytest.mark.parametrize("name", sorted({*formats.FORMATS} - WITHOUT_EMPTY))
@given(text=st.text(max_size=40))
@settings(max_examples=15, deadline=None)
def test_any_text_comes_back(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # lone surrogates: see below
    document = document_from_text(text, "en", "one")
    spans = [Span(at, at + 1, "PER") for at in range(0, len(document.tokens), 2)]
    document = document.with_spans(spans)
    if name == "webanno" and any("\t" in word or "\n" in word or "\r" in word for word in document.words()):
        return  # a token that cannot stand in a column
    (back,) = round_trip([document], name)
    assert texts(back) == texts(document)
    assert back.text == text or name == "webanno"


@pytest.mark.parametrize("name", [name for name, form in formats.FORMATS.items() if form.scores])
def test_scores_come_back(name: str) -> None:
    document = document_from_text("Ingrid flew.", "en", "one").with_spans([Span(0, 1, "PER", 0.75)])
    assert round_trip([document], name)[0].spans == document.spans


@pytest.mark.parametrize("name", formats.FORMATS)
def test_lone_surrogates_are_refused_and_leave_nothing(name: str, tmp_path: Path) -> None:
    document = document_from_text("Ingrid \ud800x.", "en", "one").with_spans([Span(0, 1, "PER")])
    with pytest.raises(formats.NerError, match=r"surrogate|U\+D800"):
        formats.write([document], tmp_path / "out", name)
    assert not list(tmp_path.iterdir())


def test_one_token_sentences_and_a_stream() -> None:
    content = io.BytesIO(b"Oslo\tB-LOC\n\nBergen\tB-LOC\n\n")
    (document,) = formats.read(content, "columns", document_mark="")
    output = io.BytesIO()
    formats.write([document], output, "conllu")
    output.seek(0)
    (back,) = formats.read(output, "conllu")
    assert (back.words(), back.spans, len(back.sentences)) == (document.words(), document.spans, 2)
