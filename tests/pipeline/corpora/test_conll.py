"""Column files: what is read right although malformed, and what is refused with file and line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from multiner.pipeline.config.corpora import ColumnFormat, published
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.conll import read_columns, read_tags

CONLL, WNUT17 = published()["conll2003"].types, published()["wnut17"].types
FOUR = published()["conll2003"].form
TWO = published()["wnut17"].form
assert isinstance(FOUR, ColumnFormat)
assert isinstance(TWO, ColumnFormat)

NEWS = """\
-DOCSTART- -X- -X- O

Mira NNP B-NP B-PER
Olden NNP I-NP I-PER
left VBD B-VP O
Port NNP B-NP B-LOC
Velm NNP I-NP I-LOC
. . O O

Fine JJ B-NP O

-DOCSTART- -X- -X- O

Korvex NNP B-NP B-ORG
Mira NNP B-NP B-PER
"""


def read(tmp_path: Path, content: str | bytes, form: ColumnFormat = FOUR) -> list[Document]:
    path = tmp_path / "news.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    types = CONLL if form.columns == 4 else WNUT17
    return read_columns(path, form, types, corpus="sample", split="train", source="sample/news.txt")


def refused(tmp_path: Path, content: str | bytes, form: ColumnFormat = FOUR) -> NerError:
    with pytest.raises(NerError) as caught:
        read(tmp_path, content, form)
    assert caught.value.remedy
    return caught.value


def test_documents_sentences_and_spans(tmp_path: Path) -> None:
    first, second = read(tmp_path, NEWS)
    assert first.id == "sample/train/0001"
    assert second.id == "sample/train/0002"
    assert first.text == "Mira Olden left Port Velm .\nFine"
    assert [(one.start, one.end, one.line) for one in first.sentences] == [(0, 6, 3), (6, 7, 10)]
    assert first.spans == (Span(0, 2, "PER"), Span(3, 5, "LOC"))
    assert first.span_text(first.spans[1]) == "Port Velm"
    assert second.spans == (Span(0, 1, "ORG"), Span(1, 2, "PER"))
    assert (first.corpus, first.split, first.source) == ("sample", "train", "sample/news.txt")


def test_the_sign_of_a_hashtag_is_a_token_of_its_own(tmp_path: Path) -> None:
    rows = [("#Velm", "B-location"), ("#OldPort", "B-person"), ("#Bay", "I-person"), ("now", "O"), ("#", "O")]
    (post,) = read(tmp_path, "".join(f"{word}\t{tag}\n" for word, tag in rows), TWO)
    assert post.words(0, 10) == ["#", "Velm", "#", "OldPort", "#", "Bay", "now", "#"]
    assert post.spans == (Span(1, 2, "LOC"), Span(3, 6, "PER")), "no name begins with the sign"
    assert [span.label for span in read(tmp_path, "#Velm X Y B-LOC\n", FOUR)[0].spans] == ["LOC"]
    assert read(tmp_path, "#Velm X Y B-LOC\n", FOUR)[0].text == "#Velm", "only where the corpus says so"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace(" ", "  "),
        lambda text: text.replace("\n", " \n"),
        lambda text: text.replace("\n\n", "\n \t\n"),
        lambda text: text.replace("Mira", "# sent_id = 1\nMira").replace("left", "# newpar\nleft"),
        lambda text: text.replace("\n\n-DOC", "\n-DOC").replace("X- O\n\n", "X- O\n"),
        lambda text: text.replace("-DOCSTART- -X- -X- O", "-DOCSTART- O"),
        lambda text: text.removeprefix("-DOCSTART- -X- -X- O\n\n"),
    ],
    ids=[
        *(
            "crlf",
            "cr",
            "crcrlf",
            "bom",
            "no-final-newline",
            "tabs",
            "two-blanks",
            "trailing-blank",
            "blanks-in-blank-line",
        ),
        *("comments", "no-blank-around-docstart", "short-docstart", "no-first-docstart"),
    ],
)
def test_read_right_where_the_meaning_is_clear(tmp_path: Path, spoil) -> None:  # noqa: ANN001
    def essence(documents: list[Document]) -> list:
        return [(one.id, one.text, one.tokens, one.spans) for one in documents]

    assert essence(read(tmp_path, spoil(NEWS))) == essence(read(tmp_path, NEWS))


def test_docstart_without_sentences_is_no_document(tmp_path: Path) -> None:
    assert len(read(tmp_path, "-DOCSTART- -X- -X- O\n\n" + NEWS)) == 2


@pytest.mark.parametrize(
    ("line", "instead", "number", "says"),
    [
        ("left VBD B-VP O", "left B-VP O", 5, "expected 4 columns, found 3"),
        ("left VBD B-VP O", "left VBD B-VP O O", 5, "expected 4 columns, found 5"),
        ("left VBD B-VP O", "left VBD B-VP B-FOO", 5, "unknown entity type 'FOO'"),
        ("left VBD B-VP O", "left VBD B-VP S-PER", 5, "illegal tag 'S-PER'"),
        ("left VBD B-VP O", "left VBD B-VP o", 5, "illegal tag 'o'"),
        ("left VBD B-VP O", "left VBD B-VP B-", 5, "illegal tag 'B-'"),
        ("left VBD B-VP O", "left VBD B-VP I-LOC", 5, "I-LOC follows I-PER"),
        ("Mira NNP B-NP B-PER\nOlden", "Mira NNP B-NP O\nOlden", 4, "I-PER follows O"),
        ("Fine JJ B-NP O", "Fine JJ B-NP I-LOC", 10, "I-LOC follows nothing"),
    ],
)
def test_malformed_lines_are_refused(tmp_path: Path, line: str, instead: str, number: int, says: str) -> None:
    assert NEWS.count(line) == 1
    error = refused(tmp_path, NEWS.replace(line, instead))
    assert error.where == f"{tmp_path / 'news.txt'}:{number}"
    assert says in error.message


def test_line_numbers_hold_with_crlf(tmp_path: Path) -> None:
    spoilt = NEWS.replace("left VBD B-VP O", "left VBD B-VP I-LOC").replace("\n", "\r\n")
    assert refused(tmp_path, spoilt).where.endswith("news.txt:5")


def test_no_utf8(tmp_path: Path) -> None:
    error = refused(tmp_path, NEWS.replace("Velm", "Vélm").encode("latin-1"))
    assert error.where.endswith("news.txt:7")
    assert "0xe9" in error.message


@pytest.mark.parametrize("content", ["", "\n\n", "-DOCSTART- -X- -X- O\n"])
def test_empty_file(tmp_path: Path, content: str) -> None:
    assert "no sentence" in refused(tmp_path, content).message


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NerError, match="file is missing") as caught:
        read_columns(tmp_path / "absent.txt", FOUR, CONLL)
    assert caught.value.where == str(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["I-PER", "I-PER", "O"], [Span(0, 2, "PER")]),
        (["I-PER", "B-PER", "I-PER"], [Span(0, 1, "PER"), Span(1, 3, "PER")]),
        (["I-PER", "I-LOC"], [Span(0, 1, "PER"), Span(1, 2, "LOC")]),
        (["O", "B-LOC", "I-LOC"], [Span(1, 3, "LOC")]),
    ],
)
def test_iob1_becomes_spans(tags: list[str], spans: list[Span]) -> None:
    assert read_tags(tags, "IOB1", CONLL, "news.txt", 1) == spans


def test_declared_scheme_decides(tmp_path: Path) -> None:
    iob1 = NEWS.replace("B-PER", "I-PER").replace("B-LOC", "I-LOC").replace("B-ORG", "I-ORG")
    assert [one.spans for one in read(tmp_path, iob1, replace(FOUR, scheme="IOB1"))] == [
        one.spans for one in read(tmp_path, NEWS)
    ]
    assert "IOB1" in refused(tmp_path, iob1).remedy


POSTS = "@lio\tO\nsees\tO\nAda\tB-person\nQuill\tI-person\nat\tO\nGnub\tB-corporation\n\t\nthe\tO\nZorp\tB-product\n\n"


def test_a_block_is_a_document_and_types_are_mapped(tmp_path: Path) -> None:
    first, second = read(tmp_path, POSTS, TWO)
    assert (first.id, second.id) == ("sample/train/00001", "sample/train/00002")
    assert first.spans == (Span(2, 4, "PER"), Span(5, 6, "ORG"))
    assert second.spans == (Span(1, 2, "MISC"),)
    assert second.sentences[0].line == 8


@pytest.mark.parametrize("line", ["-DOCSTART-\tO\n\n", "-DOCSTART-\tO\n", "-DOCSTART-\n", "-DOCSTART- -X- -X- O\n\n"])
def test_boundary_lines_of_a_file_of_blocks_begin_its_documents(tmp_path: Path, line: str) -> None:
    first, second = read(tmp_path, line + POSTS + line + "-DOCSTART-s\tO\n", TWO)
    assert [len(first.sentences), *first.words()[-2:]] == [2, "the", "Zorp"]
    assert second.words() == ["-DOCSTART-s"]


@pytest.mark.parametrize("form", [FOUR, TWO])
def test_doubled_line_ends_are_refused(tmp_path: Path, form: ColumnFormat) -> None:
    content = NEWS if form is FOUR else POSTS
    for doubled in ("\n\n", "\r\n\r\n", "\r\r\n\n"):
        error = refused(tmp_path, content.replace("\n", doubled), form)
        assert "line ends are doubled" in error.message
    words = "a\tO\n\nb\tO\n\nc\tO\n\nd\tO\n\n"
    assert [len(read(tmp_path, each, TWO)) for each in (words, "\n\n" + words, words + "\n\n")] == [4, 4, 4]


def test_look_alike_letters_are_named(tmp_path: Path) -> None:
    illegal = refused(tmp_path, POSTS.replace("at\tO", "at\t\u041e"), TWO)
    assert illegal.message == "illegal tag '\u041e' (with U+041E CYRILLIC CAPITAL LETTER O)"
    unknown = refused(tmp_path, NEWS.replace("B-ORG", "B-\u041eRG"))
    assert "(with U+041E CYRILLIC CAPITAL LETTER O)" in unknown.message
    follows = refused(tmp_path, NEWS.replace("I-PER", "I-P\u0415R"))
    assert follows.message.startswith("I-P\u0415R follows B-PER (with U+0415 CYRILLIC CAPITAL LETTER IE)")


def test_blanks_for_tabs(tmp_path: Path) -> None:
    assert read(tmp_path, POSTS.replace("\t", " "), TWO) == read(tmp_path, POSTS, TWO)


def test_line_separators_of_unicode_are_no_line_ends(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "so\u200bfar\tO\nDub\ufeff\tB-person\nx\u2028y\tO\n", TWO)
    assert document.words() == ["so\u200bfar", "Dub\ufeff", "x\u2028y"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("\tO", "the token is empty"),
        ("at\t", "found 1"),
        ("at", "found 1"),
        ("at\tO\tO", "found 3"),
        ("at\tB-PER", "PER"),
    ],
)
def test_malformed_posts(tmp_path: Path, line: str, says: str) -> None:
    error = refused(tmp_path, POSTS.replace("at\tO", line), TWO)
    assert error.where.endswith("news.txt:5")
    assert says in error.message
