"""factRuEval's four files: both conventions, the rule for overlaps, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.factrueval import document_stems, read_document
from multiner.pipeline.corpora.flat_spans import Resolution, resolve

TEXT = "Мэр города Велмск Ия Орт ушла.\nОна из ОАО Зорп 🙂 и Лиги.\n"
WORDS = [["Мэр", "города", "Велмск", "Ия", "Орт", "ушла", "."], ["Она", "из", "ОАО", "Зорп", "🙂", "и", "Лиги", "."]]


def token_lines() -> str:
    """The .tokens of TEXT, ids from 100."""
    lines: list[str] = []
    at, id = 0, 100
    for words in WORDS:
        for word in words:
            at = TEXT.index(word, at)
            lines.append(f"{id} {at} {len(word)} {word}")
            at, id = at + len(word), id + 1
        lines.append("")
    return "\n".join(lines) + "\n"


SPANS = """\
1 loc_descr 4 6 101 1  # 101 города
2 loc_name 11 6 102 1  # 102 Велмск
3 name 18 2 103 1  # 103 Ия
4 surname 21 3 104 1  # 104 Орт
5 job 0 3 100 1  # 100 Мэр
6 org_descr 38 3 109 1  # 109 ОАО
7 org_name 42 4 110 1  # 110 Зорп
8 org_descr 51 4 113 1  # 113 Лиги
"""
OBJECTS = """\
20 Location 1 2 # города Велмск
21 LocOrg 2 # Велмск
22 Person 3 4 # Ия Орт
23 Org 6 7 # ОАО Зорп
24 Org 8 # Лиги
25 Project 7 # Зорп
"""


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    folder = tmp_path / "devset"
    folder.mkdir()
    files = {".txt": TEXT, ".tokens": token_lines(), ".spans": SPANS, ".objects": OBJECTS, ".coref": "", ".facts": ""}
    for suffix, content in files.items():
        (folder / f"book_1{suffix}").write_bytes(content.encode())
    (folder / "list.txt").write_text("book_1.txt book_2.txt\n")
    return folder / "book_1"


def spoil(stem: Path, suffix: str, old: str, new: str) -> Path:
    path = stem.with_suffix(suffix)
    content = path.read_text(encoding="utf-8")
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new).encode())
    return path


def entities(document: Document) -> list[tuple[str, str]]:
    return [(document.span_text(span), span.label) for span in document.spans]


def test_whole_objects(stem: Path) -> None:
    document, resolution = read_document(stem, "object", id="factrueval/book_1", source="devset/book_1.tokens")
    assert entities(document) == [("города Велмск", "LOC"), ("Ия Орт", "PER"), ("ОАО Зорп", "ORG"), ("Лиги", "ORG")]
    assert resolution == Resolution(kept=4, nested=1, unmapped=1)
    assert resolution.objects == 5
    assert document.text == TEXT
    assert [(one.start, one.end, one.line) for one in document.sentences] == [(0, 7, 1), (7, 15, 9)]
    assert document.words() == [word for words in WORDS for word in words]
    assert (document.id, document.source) == ("factrueval/book_1", "devset/book_1.tokens")


def test_names(stem: Path) -> None:
    document, resolution = read_document(stem, "name")
    assert entities(document) == [("Велмск", "LOC"), ("Ия Орт", "PER"), ("Зорп", "ORG")]
    assert resolution == Resolution(kept=3, duplicate=1, nameless=1, unmapped=1)


@pytest.mark.parametrize(
    ("candidates", "kept", "counts"),
    [
        ([(0, 3, "ORG"), (1, 2, "LOC")], [(0, 3, "ORG")], Resolution(kept=1, nested=1)),
        ([(1, 2, "LOC"), (0, 3, "ORG")], [(0, 3, "ORG")], Resolution(kept=1, nested=1)),
        ([(0, 2, "LOC"), (0, 2, "ORG")], [(0, 2, "LOC")], Resolution(kept=1, same_range=1)),
        ([(0, 2, "LOC"), (0, 2, "LOC")], [(0, 2, "LOC")], Resolution(kept=1, duplicate=1)),
        ([(0, 2, "LOC"), (1, 4, "ORG")], [(1, 4, "ORG")], Resolution(kept=1, crossing=1)),
        ([(0, 2, "LOC"), (1, 3, "ORG")], [(0, 2, "LOC")], Resolution(kept=1, crossing=1)),
        ([(4, 5, "PER"), (0, 2, "LOC")], [(0, 2, "LOC"), (4, 5, "PER")], Resolution(kept=2)),
    ],
)
def test_outermost_wins(candidates: list, kept: list, counts: Resolution) -> None:
    assert resolve([Span(*one) for one in candidates]) == ([Span(*one) for one in kept], counts)


@pytest.mark.parametrize("suffix", [".tokens", ".spans", ".objects"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(" ", "\t"),
    ],
    ids=["crlf", "bom", "no-final-newline", "tabs"],
)
def test_annotation_files_are_read_right(stem: Path, suffix: str, change) -> None:  # noqa: ANN001
    expected = read_document(stem, "object")
    path = stem.with_suffix(suffix)
    path.write_bytes(change(path.read_text(encoding="utf-8")).encode())
    assert read_document(stem, "object") == expected


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_changed_by_a_checkout_keeps_the_published_offsets(stem: Path, mark: str, end: str) -> None:
    expected = read_document(stem, "object")
    stem.with_suffix(".txt").write_bytes((mark + TEXT.replace("\n", end)).encode())
    assert read_document(stem, "object") == expected


def test_offsets_that_count_carriage_returns_fit_the_text_as_it_is(stem: Path) -> None:
    stem.with_suffix(".txt").write_bytes(("\n" + TEXT[:-1]).replace("\n", "\r\n").encode())

    def shifted(line: str) -> str:
        id, offset, rest = line.split(" ", 2)
        return f"{id} {int(offset) + (2 if int(offset) < 31 else 3)} {rest}"

    lines = [shifted(line) if line else line for line in token_lines().split("\n")]
    stem.with_suffix(".tokens").write_text("\n".join(lines))
    stem.with_suffix(".spans").write_text("")
    stem.with_suffix(".objects").write_text("")
    document, _ = read_document(stem, "object")
    assert "\r\n" in document.text
    assert document.words() == [word for words in WORDS for word in words]


@pytest.mark.parametrize(
    ("suffix", "old", "new", "line", "says"),
    [
        (".tokens", "103 18 2 Ия", "103 18 2 Ея", 4, "hold 'Ия' in the text, not 'Ея'"),
        (".tokens", "103 18 2 Ия", "103 17 2 Ия", 4, "offsets 17:19"),
        (".tokens", "103 18 2 Ия", "103 18 3 Ия", 4, "offsets 18:21"),
        (".tokens", "103 18 2 Ия", "103 18 2", 4, "a column is missing"),
        (".tokens", "103 18 2 Ия", "103 x 2 Ия", 4, "the offset is not a number"),
        (".tokens", "103 18 2 Ия", "103 18 -2 Ия", 4, "the length is not a number"),
        (".tokens", "103 18 2 Ия", "102 18 2 Ия", 4, "token id 102 stands twice"),
        (".tokens", "103 18 2 Ия", "103 4 2 Ия", 4, "begins before"),
        (".spans", "3 name 18 2 103 1", "3 nmae 18 2 103 1", 3, "unknown span type 'nmae'"),
        (".spans", "3 name 18 2 103 1", "3 name 18 2 103", 3, "a column is missing"),
        (".spans", "3 name 18 2 103 1", "3 name 18 3 103 1", 3, "do not match the tokens"),
        (".spans", "3 name 18 2 103 1", "3 name 18 2 104 1", 3, "do not match the tokens"),
        (".spans", "3 name 18 2 103 1", "3 name 18 2 999 1", 3, "do not match the tokens"),
        (".spans", "3 name 18 2 103 1", "3 name 18 999 103 1", 3, "do not match the tokens"),
        (".spans", "4 surname", "3 surname", 4, "span id 3 stands twice"),
        (".objects", "22 Person 3 4", "22 Persona 3 4", 3, "unknown entity type 'Persona'"),
        (".objects", "22 Person 3 4", "22 Person", 3, "a column is missing"),
        (".objects", "22 Person 3 4", "22 Person 3 44", 3, "the span 44"),
    ],
)
def test_malformed_lines_are_refused(stem: Path, suffix: str, old: str, new: str, line: int, says: str) -> None:
    path = spoil(stem, suffix, old, new)
    with pytest.raises(NerError) as caught:
        read_document(stem, "object")
    assert caught.value.where == f"{path}:{line}"
    assert says in caught.value.message
    assert caught.value.remedy


def test_changed_text_is_refused(stem: Path) -> None:
    spoil(stem, ".txt", "города", "городка")
    with pytest.raises(NerError, match="offsets 4:10 hold") as caught:
        read_document(stem, "name")
    assert caught.value.where == f"{stem.with_suffix('.tokens')}:2"


def test_truncated_text_is_refused(stem: Path) -> None:
    stem.with_suffix(".txt").write_text(TEXT[:-3], encoding="utf-8")
    with pytest.raises(NerError) as caught:
        read_document(stem, "name")
    assert caught.value.where == f"{stem.with_suffix('.tokens')}:15"


@pytest.mark.parametrize("suffix", [".txt", ".tokens", ".spans", ".objects"])
def test_missing_sibling_is_named(stem: Path, suffix: str) -> None:
    stem.with_suffix(suffix).unlink()
    assert document_stems(stem.parent) == [stem]
    with pytest.raises(NerError, match="file is missing") as caught:
        read_document(stem, "name")
    assert caught.value.where == str(stem.with_suffix(suffix))


def test_entity_across_a_sentence_border_is_refused(stem: Path) -> None:
    spoil(stem, ".tokens", "104 21 3 Орт", "\n104 21 3 Орт")
    with pytest.raises(NerError, match="cuts an entity of type PER") as caught:
        read_document(stem, "name")
    assert caught.value.where == f"{stem.with_suffix('.tokens')}:6"


def test_of_two_readings_of_a_span_the_last_counts(stem: Path) -> None:
    spoil(stem, ".spans", "8 org_descr 51 4 113 1", "8 org_descr 51 4 113 1\n8 org_name 51 4 113 1")
    document, _ = read_document(stem, "name")
    assert ("Лиги", "ORG") in entities(document)


def test_empty_token_file_and_empty_folder(stem: Path, tmp_path: Path) -> None:
    stem.with_suffix(".tokens").write_text("\n")
    with pytest.raises(NerError, match="no token"):
        read_document(stem, "name")
    with pytest.raises(NerError, match="no document"):
        document_stems(tmp_path / "testset")
