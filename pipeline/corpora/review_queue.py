"""The review queue: sentences that people have corrected, kept in CoNLL format until someone has read them.

A file a language, ``data/review/<language>.conll``: token, tab, IOB2 tag; each sentence is a document of its own,
whose line ``-DOCSTART- <id> <time> <model>/<version>`` tells when it was corrected and what had read it. The id stands
for the words: a sentence that is corrected again is appended again, and the last time counts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from multiner.pipeline.config.corpora import ColumnFormat
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.corpora.conll import DOCUMENT_START

FORMAT = ColumnFormat(columns=2, separator="tab", scheme="IOB2", documents="docstart")


class QueueFull(NerError):
    """The file has reached its limit; nothing was added."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A corrected sentence: its words with a tag each, when (ISO 8601, UTC), and the model whose answer it was."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    time: str = ""
    model: str = ""

    @property
    def id(self) -> str:
        """16 hex digits that stand for the words."""
        return sha256("\n".join(self.words).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        tokens = "".join(f"{word}\t{tag}\n" for word, tag in zip(self.words, self.tags, strict=True))
        return f"{DOCUMENT_START} {self.id} {self.time} {self.model}".rstrip() + f"\n\n{tokens}\n"


def sentences(document: Document, changed: Iterable[tuple[int, int]] | None = None) -> Iterator[Reviewed]:
    """The sentences of a text that has been corrected; those that an entity reaches across are taken as one.

    Args:
        document: the text, with the right entities as its spans.
        changed: places (code points, half-open) whose sentences are wanted; None: all.

    Raises:
        NerError: a word of such a sentence is what begins a document in CoNLL's format.
    """
    words, tags = document.words(), encode(document.spans, len(document.tokens))
    bounds = [each.start for each in document.sentences if not tags[each.start].startswith("I-")]
    places = None if changed is None else list(changed)
    for start, end in pairwise([*bounds, len(words)]):
        first, last = document.tokens[start].start, document.tokens[end - 1].end
        if places is not None and not any(begin < last and first < stop for begin, stop in places):
            continue
        if DOCUMENT_START in words[start:end]:
            raise NerError(f"{DOCUMENT_START} cannot be a word of a sentence in CoNLL's format")
        yield Reviewed(tuple(words[start:end]), tuple(tags[start:end]))


class ReviewQueue:
    """The queue's files.

    Args:
        folder: where they lie.
        most_bytes: the largest that a file may become.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def path(self, language: str) -> Path:
        """A language's file."""
        return self.folder / f"{language}.conll"

    def add(self, language: str, corrected: Sequence[Reviewed], model: str) -> int:
        """Append the sentences that do not stand there already with the same tags; returns how many these were.

        Whole or not at all, one caller at a time, on disk when this returns.

        Args:
            language: whose file.
            corrected: the sentences; their time and model are set here.
            model: name and version, such as ``ner-en/3``.

        Raises:
            QueueFull: the file would become larger than it may.
            OSError: the disk refuses; the file is as it was.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.path(language)) as handle:
            content = _content(handle)
            known = {each.words: each.tags for each in _parse(content, self.path(language))}
            new = {each.words: each for each in corrected if known.get(each.words) != each.tags}
            added = "".join(str(Reviewed(each.words, each.tags, now, model)) for each in new.values()).encode()
            if added and len(content) + len(added) > self.most_bytes:
                raise QueueFull(
                    f"the review queue for {language!r} is full ({self.most_bytes:,} bytes)",
                    where=str(self.path(language)),
                    remedy=f"Empty it: ner review --language {language} --output FILE --clear",
                )
            if added:
                _append(handle, len(content), added)
        return len(new)

    def read(self, language: str) -> list[Reviewed]:
        """Each sentence once, as it was corrected last, in the order of that; empty where there is no file.

        Raises:
            NerError: the file is not as it was written; names the line.
        """
        try:
            content = self.path(language).read_bytes()
        except FileNotFoundError:
            return []
        return _latest(_parse(content, self.path(language)))

    def export(self, language: str, output: Path, *, clear: bool = False) -> int:
        """Write the sentences of :meth:`read` as a CoNLL file of the layout :data:`FORMAT`; returns how many.

        With ``clear`` the queue is empty afterwards: what was added meanwhile is in the file, or still in the queue.

        Raises:
            NerError: there is nothing to write, or the queue's file is not as it was written.
        """
        path = self.path(language)
        if not path.is_file():
            raise NerError(f"no corrections for {language!r} are in the queue", where=str(path))
        with _locked(path) as handle:
            found = _latest(_parse(_content(handle), path))
            if not found:
                raise NerError(f"no corrections for {language!r} are in the queue", where=str(path))
            with write_atomically(output) as file:
                file.writelines(map(str, found))
            if clear:
                os.ftruncate(handle, 0)
        return len(found)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The open file, which nobody else changes meanwhile."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _content(handle: int) -> bytes:
    with os.fdopen(os.dup(handle), "rb") as file:
        file.seek(0)
        return file.read()


def _append(handle: int, size: int, added: bytes) -> None:
    """Write at the end of a file of ``size`` bytes, all or nothing."""
    try:
        at = size
        while added:
            written = os.pwrite(handle, added, at)
            at, added = at + written, added[written:]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def _latest(found: Iterable[Reviewed]) -> list[Reviewed]:
    by_words: dict[tuple[str, ...], Reviewed] = {}
    for each in found:
        by_words.pop(each.words, None)
        by_words[each.words] = each
    return list(by_words.values())


def _parse(content: bytes, path: Path) -> Iterator[Reviewed]:
    """The sentences in their order."""
    head: list[str] = []
    tokens: list[list[str]] = []
    for number, line in enumerate([*content.decode("utf-8", "replace").split("\n"), DOCUMENT_START], 1):
        if line.split(" ")[0] == DOCUMENT_START:  # a word's line has a tab after the word
            if tokens:
                words, tags = zip(*tokens, strict=True)
                yield Reviewed(words, tags, *head[2:4])
            head, tokens = line.split(" "), []
        elif line:
            columns = line.split("\t")
            if len(columns) != 2 or not head:
                raise NerError("not a token and its tag", where=f"{path}:{number}", remedy="Mend or remove the line.")
            tokens.append(columns)
