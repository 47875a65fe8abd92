"""CoNLL-U (Universal Dependencies): ten columns, the tags in MISC: ``NER=B-PER``, ``NE=…`` or Stanza's ``ner=…``.

The blanks of a text are exact where MISC has UDPipe's ``SpacesAfter`` and ``SpacesBefore``, which the writer adds where
there is not one blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from multiner.pipeline.core.document import Document, Sentence, Span, Token
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats.columns import touching
from multiner.pipeline.corpora.formats.source import Losses, Source, cell, encoded, gaps, sentence_bounds
from multiner.pipeline.corpora.formats.tag_schemes import AUTO, decode, encode, scheme_of

_NEW_DOCUMENT = re.compile(r"#\s*newdoc(?:\s+id\s*=\s*(.*))?")
_ID = re.compile(r"(\d{1,9})(?:-(\d{1,9})|(\.\d{1,9}))?")
_ESCAPES = {" ": r"\s", "\t": r"\t", "\n": r"\n", "\r": r"\r", "|": r"\p", "\\": r"\\"}
_SIGNS = {escape[1]: sign for sign, escape in _ESCAPES.items()}
_KEYS = ("NER", "NE")  # in any case


@dataclass
class _Word:
    """A token of the text; ``tags`` has its own tag, then those of the syntactic words that it stands for."""

    line: int
    form: str
    before: str
    after: str | None
    tags: list[str | None]
    first: int  # number of the first syntactic word
    last: int  # and of the last one


@dataclass
class _Part:
    """A document: its id, and its sentences as lists of words."""

    id: str = ""
    sentences: list[list[_Word]] = field(default_factory=list)


def read(source: Source, *, key: str = AUTO, scheme: str = AUTO) -> list[Document]:
    """The documents of a CoNLL-U file; a file without ``# newdoc`` is one document.

    A multiword token (``1-2``) is one token; it is in an entity if one of its words is.

    Args:
        source: the file.
        key: in MISC, of the tags; ``auto``: NER or NE, in any case. A token without it is outside of entities.
        scheme: of the tags; ``auto``: as their letters show.

    Raises:
        NerError: the file is malformed, or no token has the key (names the line).
    """
    parts = [part for part in _parts(source, key) if part.sentences]
    tags = [tag for part in parts for words in part.sentences for word in words for tag in word.tags]
    if not tags:
        raise NerError("no token in the file", where=source.name, remedy="A token is a line of ten columns.")
    if not any(tags):
        names = " or ".join(f"{each}=" for each in (_KEYS if key == AUTO else (key,)))
        raise NerError(f"no token has {names} in MISC", where=source.name, remedy="Name the key of the tags: key=NAME.")
    try:
        scheme = scheme_of(scheme, (tag for tag in tags if tag))
    except NerError as error:
        raise NerError(error.message, where=source.name, remedy=error.remedy) from None
    return [_document(part, scheme, source) for part in parts]


def _parts(source: Source, key: str) -> Iterator[_Part]:
    part, open_ = _Part(), False
    for number, line in enumerate(source.lines(), 1):
        where = f"{source.name}:{number}"
        if line.startswith("#"):
            if match := _NEW_DOCUMENT.fullmatch(line):
                yield part
                part, open_ = _Part((match[1] or "").strip()), False
            continue
        if not line.strip():
            open_ = False
            continue
        columns = line.split("\t")
        id = _ID.fullmatch(columns[0])
        if len(columns) != 10 or not id or not columns[1].strip():
            problem = f"found {len(columns)}" if len(columns) != 10 else "ID or FORM is illegal"
            raise NerError(f"expected ten columns, separated by tabs: {problem}", where=where, remedy="Mend the line.")
        if not open_:
            part.sentences.append([])
            open_ = True
        words = part.sentences[-1]
        misc = dict(pair.partition("=")[::2] for pair in columns[9].split("|"))
        tag = next((misc[name] for name in misc if (name.upper() in _KEYS if key == AUTO else name == key)), None)
        if id[3]:
            continue  # an empty node
        first, last = int(id[1]), int(id[2] or id[1])
        if not id[2] and words and words[-1].first < words[-1].last and words[-1].first <= first <= words[-1].last:
            words[-1].tags.append(tag)  # a word of the token before, which stands for several
            continue
        if last < first or (words and first <= words[-1].last):
            before = f" after {words[-1].last}" if words else ""
            raise NerError(f"the ID {columns[0]}{before}", where=where,
                           remedy="Mend the ID, or put a blank line between the sentences.")  # fmt: skip
        after = _plain(misc["SpacesAfter"]) if "SpacesAfter" in misc else "" if misc.get("SpaceAfter") == "No" else None
        words.append(_Word(number, columns[1], _plain(misc.get("SpacesBefore", "")), after, [tag], first, last))
    yield part


def _plain(escaped: str) -> str:
    return re.sub(r"\\(.)", lambda match: _SIGNS.get(match[1], match[1]), escaped)


def _document(part: _Part, scheme: str, source: Source) -> Document:
    tokens: list[Token] = []
    sentences: list[Sentence] = []
    spans: list[Span] = []
    text = ""
    blank: str | None = ""  # after the token before
    for words in part.sentences:
        first = len(tokens)
        tags: list[str] = []
        owners: list[int] = []  # of each tag: its token
        for index, word in enumerate(words, first):
            text += (" " if blank is None else blank) + word.before
            tokens.append(Token(len(text), len(text) + len(word.form)))
            text, blank = text + word.form, word.after
            own = word.tags[:1] if word.tags[0] or len(word.tags) == 1 else word.tags[1:]
            tags += [tag or "O" for tag in own]
            owners += [index] * (len(tags) - len(owners))
        sentences.append(Sentence(first, len(tokens), words[0].line))
        places = [f"{source.name}:{words[owner - first].line}" for owner in (*owners, owners[-1])]
        for span in decode(tags, scheme, places.__getitem__):
            place = Span(owners[span.start], owners[span.end - 1] + 1, span.label)
            spans += source.spans([place], places[span.start])
    document = Document(part.id, text + (blank or ""), tuple(tokens), tuple(sentences), source=source.name)
    return document.with_spans(spans)


def write(documents: Iterable[Document], losses: Losses, *, key: str = "NER", scheme: str = "BIO") -> bytes:
    """The content of a CoNLL-U file; columns other than ID, FORM and MISC are empty.

    Args:
        documents: the documents.
        losses: collects what the file cannot hold.
        key: in MISC, of the tags; every token has one.
        scheme: of the tags.

    Raises:
        NerError: a token or a type cannot be written.
    """
    scheme = scheme_of(scheme, ())
    lines: list[str] = []
    for document in documents:
        if not document.tokens:
            losses.add("documents without a token")
            continue
        if scheme == "IO":
            losses.add("borders between neighbouring entities of one type", touching(document))
        words, blanks = document.words(), gaps(document)
        tags = encode(document.spans, len(words), scheme)
        id = " ".join(document.id.split())
        lines.append(f"# newdoc id = {id}" if id else "# newdoc")
        for number, (start, end) in enumerate(sentence_bounds(document), 1):
            text = document.text[document.tokens[start].start : document.tokens[end - 1].end]
            lines += [f"# sent_id = {id or 'document'}-{number}", f"# text = {' '.join(text.split())}"]
            for at in range(start, end):
                misc = [f"{key}={cell(tags[at], '|')}"]
                if at == 0 and blanks[0]:
                    misc.append(f"SpacesBefore={_escaped(blanks[0])}")
                after, ends = blanks[at + 1], at + 1 == len(words)
                if not after:
                    misc += [] if ends else ["SpaceAfter=No"]
                elif after != " " or ends:
                    misc.append(f"SpacesAfter={_escaped(after)}")
                columns = [str(at - start + 1), cell(words[at]), *"_" * 7, "|".join(misc)]
                lines.append("\t".join(columns))
            lines.append("")
    return encoded("".join(f"{line}\n" for line in lines))


def _escaped(blanks: str) -> str:
    return "".join(_ESCAPES.get(sign, sign) for sign in blanks)
