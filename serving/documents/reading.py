"""The text of a file: plain text, .docx, or a PDF with a text layer. It is read in a process of its own."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

TEXT, PDF = "text/plain", "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ENCODINGS = ["cp1251", "koi8_r", "cp866", "cp1252", "latin_1"]  # of old Russian and English texts
UNPACKED_BYTES = 100_000_000  # most that the parts of a .docx may have together
OLD_OFFICE = b"\xd0\xcf\x11\xe0"  # begins a .doc, and a .docx with a password
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
SIGNS = {f"{WORD}{name}": sign for name, sign in {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "‑"}.items()}
# what was moved away, and the copy of a text box for old programs
LEFT_OUT = {f"{WORD}moveFrom", "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}
FULL_LINE = 0.6  # of the longest line of a page: a shorter line of a PDF ends a paragraph


class DocumentError(Exception):
    """Why a file has no text for us, for its sender; ``too_large``: it exceeds a limit, which the message names."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """Limits of a document: pages of a PDF, characters of the text."""

    pages: int
    characters: int


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text of a document; ``pages`` are the places of a PDF's pages in it, ``encoding`` is that of a plain text."""

    text: str
    pages: list[tuple[int, int]] | None = None
    encoding: str | None = None


def read(kind: str, content: bytes, limits: ReadingLimits, encoding: str | None = None) -> DocumentText:
    """The text of a file.

    Args:
        kind: its media type: TEXT, DOCX or PDF.
        content: its bytes.
        limits: which it must not exceed.
        encoding: that of a plain text; None: it is detected.

    Raises:
        DocumentError: it cannot be read, has no text, or exceeds a limit.
    """
    if not content.strip():
        raise DocumentError("The file is empty.")
    readers: dict[str, Callable[[], DocumentText]] = {
        TEXT: lambda: _read_text(content, encoding),
        DOCX: lambda: _read_docx(content),
        PDF: lambda: _read_pdf(content, limits),
    }
    document = readers[kind]()
    if not document.text.strip():
        raise DocumentError("The file has no text.")
    _check_characters(len(document.text), limits)
    return document


def _check_characters(number: int, limits: ReadingLimits) -> None:
    if number > limits.characters:
        detail = f"The document has more than {limits.characters:,} characters. Send it in parts."
        raise DocumentError(detail, too_large=True)


def _read_text(content: bytes, encoding: str | None) -> DocumentText:
    encoding = encoding or _encoding(content)
    try:
        text = content.decode(encoding)
    except (LookupError, UnicodeError):
        raise DocumentError(f"The file is not in the encoding {encoding[:40]!a}.") from None
    if "\0" in text:
        raise DocumentError("This is no plain text: it has NUL characters.")
    return DocumentText(_plain_lines(text.removeprefix("\ufeff")), encoding=encoding)


def _encoding(content: bytes) -> str:
    """By the byte order mark; else UTF-8 if it is valid; else the likeliest of ENCODINGS."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return encoding
    try:
        content.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    if b"\0" not in content and (guess := from_bytes(content, cp_isolation=ENCODINGS).best()):
        return guess.encoding
    raise DocumentError("This is no plain text in a known encoding. Save it as UTF-8.")


def _plain_lines(text: str) -> str:
    return re.sub(r"\r\n?|\u2028|\u2029", "\n", text)


def _read_docx(content: bytes) -> DocumentText:
    """The paragraphs, also of tables, text boxes and notes, as Word shows them without tracked changes."""
    import docx
    from docx.oxml import parse_xml

    if content.startswith(OLD_OFFICE):
        raise DocumentError("This is an old .doc, or has a password. Save it as .docx without a password.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        raise DocumentError("This is no .docx, or it is damaged.") from None
    if size > UNPACKED_BYTES:
        raise DocumentError(f"Unpacked, the file has more than {UNPACKED_BYTES:,} bytes.", too_large=True)
    try:
        document = docx.Document(io.BytesIO(content))
    except (KeyError, ValueError):
        raise DocumentError("This is no .docx, or it is damaged.") from None
    roots = [document.element.body]
    for relation in document.part.rels.values():
        if relation.reltype.endswith(("/footnotes", "/endnotes")) and not relation.is_external:
            roots.append(parse_xml(relation.target_part.blob))
    text = "".join(piece for root in roots for piece in _pieces(root))
    return DocumentText(re.sub(r"\n{3,}", "\n\n", text).strip("\n"))


def _pieces(element: Any) -> Iterator[str]:
    """The text below an element of WordprocessingML; each paragraph ends with a line break."""
    for each in element:
        if each.tag in LEFT_OUT:
            continue
        if each.tag == f"{WORD}t":
            yield each.text or ""
        elif each.tag in SIGNS:
            yield SIGNS[each.tag]
        else:
            yield from _pieces(each)
            if each.tag == f"{WORD}p":
                yield "\n"


def _read_pdf(content: bytes, limits: ReadingLimits) -> DocumentText:
    import pypdf

    if b"%PDF-" not in content[:1024]:
        raise DocumentError("This is no PDF.")
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("The PDF has a password. Save it without one.")
        number = len(reader.pages)
        if number > limits.pages:
            raise DocumentError(f"{number:,} pages; at most {limits.pages:,} can be read.", too_large=True)
        text, pages = "", []
        for page in reader.pages:
            start = len(text)
            text += _paragraphs(page.extract_text())
            pages.append((start, len(text)))
            text += "\n\n"
            _check_characters(len(text), limits)
    except pypdf.errors.PyPdfError:
        raise DocumentError("The PDF is damaged.") from None
    if not text.strip():
        raise DocumentError("The PDF has no text: its pages are images. Recognise their text first (OCR).")
    return DocumentText(text[: pages[-1][1]], pages=pages)


def _paragraphs(page: str) -> str:
    """The text of a page with its lines joined to paragraphs, since a name may go on in the next line."""
    lines = [line.strip() for line in _plain_lines(page.replace("\0", "")).split("\n")]
    longest = max(map(len, lines))
    text = ""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.search(r"\w[-\u00ad‐]$", line) and following[:1].islower():
            text += line[:-1]  # a word goes on in the next line
        elif line.endswith(("-", "‐")) and following:
            text += line
        else:
            text += line + (" " if following and len(line) >= FULL_LINE * longest else "\n")
    return text.strip()
