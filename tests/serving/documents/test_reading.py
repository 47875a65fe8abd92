"""The text of files."""

from __future__ import annotations

import pytest

from multiner.serving.documents.reading import DOCX, PDF, TEXT, UNPACKED_BYTES, DocumentError, ReadingLimits, read
from tests.serving.documents.files import docx, paragraph, pdf

LIMITS = ReadingLimits(pages=3, characters=1000)
RUSSIAN = "Анна Ветрова живёт в Архангельске и пишет о море. Её брат Пётр уехал в Мурманск."
TAB_AND_BREAK = "<w:p><w:r><w:t>Anna</w:t><w:tab/><w:t>Berg</w:t><w:br/><w:t>Oslo</w:t></w:r></w:p>"
TRACKED = (
    "<w:p><w:ins><w:r><w:t>Anna</w:t></w:r></w:ins><w:del><w:r><w:delText>Eva</w:delText></w:r></w:del>"
    "<w:moveFrom><w:r><w:t>Tom</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t> Berg</w:t></w:r></w:moveTo></w:p>"
)
TEXT_BOX = (
    "<w:p><mc:AlternateContent><mc:Choice><w:txbxContent>{0}</w:txbxContent></mc:Choice>"
    "<mc:Fallback><w:txbxContent>{0}</w:txbxContent></mc:Fallback></mc:AlternateContent></w:p>"
).format(paragraph("Anna"))


@pytest.mark.parametrize(
    ("content", "text", "encoding"),
    [
        ("Anna\r\nBerg – Осло 😀".encode(), "Anna\nBerg – Осло 😀", "utf-8"),
        ("Анна".encode("utf-8-sig"), "Анна", "utf-8-sig"),
        (b"\xff\xfe" + "Анна 😀".encode("utf-16-le"), "Анна 😀", "utf-16"),
        (b"\xfe\xff" + "Анна 😀".encode("utf-16-be"), "Анна 😀", "utf-16"),
        (RUSSIAN.encode("cp1251"), RUSSIAN, "cp1251"),
        (RUSSIAN.encode("koi8-r"), RUSSIAN, "koi8_r"),
        (RUSSIAN.encode("cp866"), RUSSIAN, "cp866"),
        ("Анна Ветрова".encode("cp1251"), "Анна Ветрова", "cp1251"),
        ("José Müller naît à Orléans.".encode("latin-1"), "José Müller naît à Orléans.", None),
    ],
)
def test_plain_text_in_whatever_encoding(content: bytes, text: str, encoding: str | None) -> None:
    document = read(TEXT, content, LIMITS)
    assert document.text == text
    assert document.encoding == encoding or encoding is None


def test_the_encoding_that_the_sender_names_counts() -> None:
    assert read(TEXT, "Łódź".encode("cp1250"), LIMITS, "windows-1250").text == "Łódź"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (paragraph("Anna", " Berg") + paragraph("Oslo"), "Anna Berg\nOslo"),
        (TAB_AND_BREAK, "Anna\tBerg\nOslo"),
        (f"<w:tbl><w:tr><w:tc>{paragraph('Anna')}</w:tc><w:tc>{paragraph('Oslo')}</w:tc></w:tr></w:tbl>", "Anna\nOslo"),
        (f"<w:sdt><w:sdtContent>{paragraph('Anna')}</w:sdtContent></w:sdt>", "Anna"),
        (TRACKED, "Anna Berg"),
        (TEXT_BOX, "Anna"),
    ],
    ids=["paragraphs", "tab and break", "table", "content control", "tracked changes", "text box"],
)
def test_docx(body: str, text: str) -> None:
    assert read(DOCX, docx(body), LIMITS).text == text


def test_docx_with_footnotes() -> None:
    content = docx(paragraph("Anna"), f"<w:footnote>{paragraph('Oslo')}</w:footnote>")
    assert read(DOCX, content, LIMITS).text == "Anna\nOslo"


def test_lines_of_a_pdf_become_paragraphs_and_pages_have_places() -> None:
    lines = ["The captain of the ship was Anna", "Berg of Oslo, who had come by rail-", "way and left.", "Next day."]
    document = read(PDF, pdf(lines, [], ["Tom"]), LIMITS)
    assert document.text == (
        "The captain of the ship was Anna Berg of Oslo, who had come by railway and left.\nNext day.\n\n\n\nTom"
    )
    assert [document.text[start:end] for start, end in document.pages or ()][1:] == ["", "Tom"]


def test_a_pdf_that_opens_without_a_password_is_read() -> None:
    assert read(PDF, pdf(["Anna"], password=""), LIMITS).text == "Anna"


@pytest.mark.parametrize(
    ("kind", "content", "message", "too_large"),
    [
        (TEXT, b" \n", "is empty", False),
        (TEXT, b"\xff\xfe \x00", "has no text", False),
        (TEXT, b"MZ\x90\0\3\0\0\0", "no plain text", False),
        (TEXT, b"a\0b", "NUL", False),
        (TEXT, b"a" * 1001, "more than 1,000 characters", True),
        (DOCX, b"PK\3\4 and no more", "no .docx", False),
        (DOCX, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "password", False),
        (DOCX, docx(""), "has no text", False),
        (DOCX, docx(paragraph("a" * 600) * 2), "more than 1,000 characters", True),
        (PDF, b"Anna", "no PDF", False),
        (PDF, b"%PDF-1.7 and no more", "damaged", False),
        (PDF, pdf(["Anna"], password="secret"), "password", False),
        (PDF, pdf([], []), "images", False),
        (PDF, pdf(*[["a"]] * 4), "4 pages; at most 3", True),
        (PDF, pdf(["a" * 600], ["a" * 600]), "more than 1,000 characters", True),
    ],
)
def test_what_cannot_be_read_is_named(kind: str, content: bytes, message: str, too_large: bool) -> None:
    with pytest.raises(DocumentError, match=message) as error:
        read(kind, content, LIMITS)
    assert error.value.too_large == too_large


def test_a_zip_bomb_is_not_unpacked() -> None:
    with pytest.raises(DocumentError, match="Unpacked") as error:
        read(DOCX, docx("", head=" " * UNPACKED_BYTES), LIMITS)
    assert error.value.too_large


def test_an_encoding_that_is_not_the_files_is_named() -> None:
    for encoding in ("no-such", "ascii", "zip"):
        with pytest.raises(DocumentError, match="not in the encoding"):
            read(TEXT, b"\xe4", LIMITS, encoding)
