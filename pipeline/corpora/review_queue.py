"""The review queue: sentences that users have corrected, in CoNLL format, until a person reviews them.

One file per language, ``data/review/<language>.conll``: token, tab, IOB2 tag. Each sentence is a document of its own:
its line ``-DOCSTART- <id> <time> <model>/<version>`` names the time of the correction and the model that answered. The
id is a hash of the words. A sentence that is corrected again is appended again, and its last correction counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from multiner.pipeline.config.corpora import ColumnFormat
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.corpora.conll import DOCUMENT_START

FORMAT = ColumnFormat(columns=2, separator="tab", scheme="IOB2", documents="docstart")


class QueueFull(NerError):
    """The file has reached its limit; nothing was added."""


@dataclass(frozen=True, slots=True)
class CorrectedSentence:
    """A corrected sentence: words and tags, time of the correction (ISO 8601, UTC), and the model that answered."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    time: str = ""
    model: str = ""

    @property
    def id(self) -> str:
        """A hash of the words, 16 hex digits."""
        return sha256("\n".join(self.words).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        tokens = "".join(f"{word}\t{tag}\n" for word, tag in zip(self.words, self.tags, strict=True))
        return f"{DOCUMENT_START} {self.id} {self.time} {self.model}".rstrip() + f"\n\n{tokens}\n"


def sentences(document: Document, changed: Iterable[tuple[int, int]] | None = None) -> Iterator[CorrectedSentence]:
    """The sentences of a corrected text. Sentences that share an entity are joined.

    Args:
        document: the text, with the corrected entities as its spans.
        changed: only the sentences at these character ranges (code points, half-open); None for all sentences.

    Raises:
        NerError: a word of such a sentence is the mark that begins a document in CoNLL's format.
    """
    words, tags = document.words(), encode(document.spans, len(document.tokens))
    bounds = [each.start for each in document.sentences if not tags[each.start].startswith("I-")]
    ranges = None if changed is None else list(changed)
    for start, end in pairwise([*bounds, len(words)]):
        first, last = document.tokens[start].start, document.tokens[end - 1].end
        if ranges is not None and not any(begin < last and first < stop for begin, stop in ranges):
            continue
        if DOCUMENT_START in words[start:end]:
            raise NerError(f"{DOCUMENT_START} cannot be a word of a sentence in CoNLL's format")
        yield CorrectedSentence(tuple(words[start:end]), tuple(tags[start:end]))


class ReviewQueue:
    """The queue's files in ``folder``, each of at most ``most_bytes``."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def path(self, language: str) -> Path:
        """The file of a language."""
        return self.folder / f"{language}.conll"

    def hold(self, language: str) -> AbstractContextManager[None]:
        """Hold the lock of a language's file: meanwhile no other process adds to it or empties it."""
        return locks.hold(self.folder / f".{language}.lock", locks.REVIEW_QUEUE)

    def add(self, language: str, corrected: Sequence[CorrectedSentence], model: str) -> int:
        """Append the sentences that are not in the file with the same tags; returns their number.

        All or none are appended, and they are on disk when this returns. Callers wait for each other. The time and the
        ``model`` (name and version, such as ``ner-en/3``) are set in the sentences here.

        Raises:
            QueueFull: the file would become too large.
            OSError: the file cannot be written; it is unchanged.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        path = self.path(language)
        with self.hold(language):
            content = path.read_bytes() if path.is_file() else b""
            old = {each.words: each.tags for each in _parse(content, path)}
            new = {each.words: each for each in corrected if old.get(each.words) != each.tags}
            addition = "".join(str(replace(each, time=now, model=model)) for each in new.values()).encode()
            if addition and len(content) + len(addition) > self.most_bytes:
                raise QueueFull(
                    f"the review queue for {language!r} is full ({self.most_bytes:,} bytes)",
                    where=str(path),
                    remedy=f"Empty it: ner review --language {language} --output FILE --clear",
                )
            if addition:
                _append(path, len(content), addition)
        return len(new)

    def read(self, language: str) -> list[CorrectedSentence]:
        """The last correction of each sentence, in order of time. Raises NerError if the file is malformed."""
        path = self.path(language)
        latest: dict[tuple[str, ...], CorrectedSentence] = {}
        for each in _parse(path.read_bytes(), path) if path.is_file() else ():
            latest.pop(each.words, None)
            latest[each.words] = each
        return list(latest.values())

    def export(self, language: str, output: Path, *, clear: bool = False) -> int:
        """Write the sentences of :meth:`read` as a CoNLL file of the layout :data:`FORMAT`; returns their number.

        ``clear`` empties the queue; a sentence that is added at the same time is in the output or in the queue.

        Raises:
            NerError: the queue is empty, or its file is malformed.
        """
        with self.hold(language):
            corrected = self.read(language)
            if not corrected:
                raise NerError(f"no corrections for {language!r} are in the queue", where=str(self.path(language)))
            with write_atomically(output) as file:
                file.writelines(map(str, corrected))
            if clear:
                os.truncate(self.path(language), 0)
        return len(corrected)


def _append(path: Path, size: int, addition: bytes) -> None:
    """Write at the end of a file of ``size`` bytes, all or nothing."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        position = size
        while addition:
            count = os.pwrite(handle, addition, position)
            position, addition = position + count, addition[count:]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise
    finally:
        os.close(handle)


def _parse(content: bytes, path: Path) -> Iterator[CorrectedSentence]:
    """The corrected sentences in the order of the file."""
    head: list[str] = []
    tokens: list[list[str]] = []
    for number, line in enumerate([*content.decode("utf-8", "replace").split("\n"), DOCUMENT_START], 1):
        if line.split(" ")[0] == DOCUMENT_START:  # in a word's line a tab follows the word
            if tokens:
                words, tags = zip(*tokens, strict=True)
                yield CorrectedSentence(words, tags, *head[2:4])
            head, tokens = line.split(" "), []
        elif line:
            columns = line.split("\t")
            if len(columns) != 2 or not head:
                raise NerError("not a token and its tag", where=f"{path}:{number}", remedy="Mend or remove the line.")
            tokens.append(columns)
