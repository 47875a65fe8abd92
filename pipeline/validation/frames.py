"""Documents as data frames with one row per sentence or entity, and with columns that expectations need.

The column ``place`` names a row by file and line. Frames hold no text, since reports and Data Docs may be shared but
corpora may not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from os.path import commonpath
from typing import TYPE_CHECKING

from multiner.pipeline.core.document import Document, Sentence, Span

if TYPE_CHECKING:
    from pandas import DataFrame

Words = tuple[str, ...]
Repeats = Mapping[str, Mapping[str, int]]  # digest of a sentence -> part -> times

SENTENCE_COLUMNS = ["corpus", "split", "document", "place", "digest", "tokens", "entities", "offsets_ok", "id_unique"]
ENTITY_COLUMNS = ["corpus", "split", "document", "place", "label", "tokens", "tags_legal"]


def place(document: Document, sentence: Sentence, token: int | None = None) -> str:
    """``file:line`` of a sentence, or of one of its tokens (corpora have one token per line)."""
    line = sentence.line + (0 if token is None else token - sentence.start)
    name = document.source or f"{document.corpus}/{document.split}/{document.id}"
    return f"{name}:{line}" if sentence.line else name


def offsets_match(document: Document, sentence: Sentence) -> bool:
    """Whether a sentence's tokens are in order and inside the text, not empty, and without blanks at their ends."""
    end = document.tokens[sentence.start - 1].end if sentence.start else 0
    for token in document.tokens[sentence.start : sentence.end]:
        text = document.text[token.start : token.end]
        if not (end <= token.start < token.end <= len(document.text)) or text != text.strip():
            return False
        end = token.end
    return True


def legal_spans(document: Document) -> list[bool]:
    """For each span whether IOB2 can express it: not empty, in one sentence, and after the span before it."""
    sentence_at = [
        index for index, sentence in enumerate(document.sentences) for _ in range(sentence.end - sentence.start)
    ]
    legal, free_from = [], 0
    for span in document.spans:
        inside = 0 <= span.start < span.end <= len(sentence_at)
        legal.append(
            inside
            and span.start >= free_from
            and sentence_at[span.start] == sentence_at[span.end - 1]
            and bool(span.label)
        )
        free_from = max(free_from, span.end)
    return legal


def sentence_frame(documents: Sequence[Document], earlier: Mapping[str, Sequence[Document]] | None = None) -> DataFrame:
    """A row for each sentence of one or more parts of a corpus.

    Args:
        documents: the documents.
        earlier: by name, parts that should not share sentences with this one.

    Returns:
        SENTENCE_COLUMNS; ``copy`` (1 for the first row with these words, 2 for the second…); ``repeated`` (copy > 1);
        and for each earlier part ``in_<name>``, whether it has the sentence.
    """
    import pandas as pd

    others = {name: {words for *_, words in sentences_of(part)} for name, part in (earlier or {}).items()}
    ids = Counter((document.corpus, document.id) for document in documents)
    starts = {(document.corpus, document.id): Counter(_sentence_starts(document)) for document in documents}
    copies: Counter[str] = Counter()
    rows = []
    for document, index, sentence, words in sentences_of(documents):
        key = (document.corpus, document.id)
        mark = digest(words)
        copies[mark] += 1
        row = [
            document.corpus,
            document.split,
            document.id,
            place(document, sentence),
            mark,
            len(words),
            starts[key][index],
            offsets_match(document, sentence),
            ids[key] == 1,
            copies[mark],
            copies[mark] > 1,
        ]
        rows.append(row + [words in other for other in others.values()])
    return pd.DataFrame(rows, columns=[*SENTENCE_COLUMNS, "copy", "repeated", *(f"in_{name}" for name in others)])


def mark_excess(frame: DataFrame, part: str, repeats: Repeats, earlier: Sequence[str]) -> DataFrame:
    """The sentence frame of ``part`` with ``excess_repeat``: whether a row is one copy more than ``repeats`` allows.

    A sentence that ``repeats`` lacks may occur once in all parts together.
    """
    anywhere = frame["repeated"].to_numpy(copy=True)
    for name in earlier:
        anywhere |= frame[f"in_{name}"].to_numpy()
    excess = [
        copy > repeats[mark].get(part, 0) if mark in repeats else bool(again)
        for mark, copy, again in zip(frame["digest"], frame["copy"], anywhere, strict=True)
    ]
    return frame.assign(excess_repeat=excess)


def entity_frame(documents: Iterable[Document], types: Sequence[str]) -> DataFrame:
    """A row for each entity: ENTITY_COLUMNS, and for each type ``is_<type>`` (0 or 1), whose mean is its share."""
    import pandas as pd

    rows = []
    for document in documents:
        for span, legal in zip(document.spans, legal_spans(document), strict=True):
            where = place(document, _sentence_of(document, span), span.start)
            row = [document.corpus, document.split, document.id, where, span.label, span.end - span.start, legal]
            rows.append(row + [int(span.label == type_) for type_ in types])
    return pd.DataFrame(rows, columns=[*ENTITY_COLUMNS, *(f"is_{type_}" for type_ in types)])


def sentences_of(documents: Iterable[Document]) -> Iterator[tuple[Document, int, Sentence, Words]]:
    """Each sentence as a tuple: document, index in the document, sentence, texts of its tokens."""
    for document in documents:
        for index, sentence in enumerate(document.sentences):
            yield document, index, sentence, tuple(document.words(sentence.start, sentence.end))


def digest(words: Words) -> str:
    """Twelve hex digits that name a sentence where its text must not appear (reports, files under git)."""
    return sha256("\x1f".join(words).encode()).hexdigest()[:12]


def overlapping_sentences(train: Iterable[Document], test: Iterable[Document]) -> set[tuple[str, int]]:
    """The test sentences, as pairs of document id and index, whose tokens are also a sentence of ``train``."""
    training = {words for *_, words in sentences_of(train)}
    return {(document.id, index) for document, index, _, words in sentences_of(test) if words in training}


def find_repeats(parts: Mapping[str, Iterable[Document]]) -> dict[str, dict[str, int]]:
    """The sentences that occur more than once in all parts together: digest → part → times."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, documents in parts.items():
        for *_, words in sentences_of(documents):
            counts[digest(words)][name] += 1
    return {mark: dict(times) for mark, times in sorted(counts.items()) if times.total() > 1}


def sources_of(documents: Iterable[Document]) -> tuple[str, ...]:
    """For each corpus the file of its documents, or the common folder of their files."""
    files: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        if document.source:
            files[document.corpus].add(document.source)
    return tuple(commonpath(sorted(names)) for names in files.values())


def _sentence_starts(document: Document) -> list[int]:
    """For each span the index of the sentence in which it begins."""
    ends = [sentence.end for sentence in document.sentences]
    indices, index = [], 0
    for span in document.spans:
        while index < len(ends) and ends[index] <= span.start:
            index += 1
        indices.append(index)
    return indices


def _sentence_of(document: Document, span: Span) -> Sentence:
    """The sentence in which a span begins (the last one for a span beyond the end)."""
    for sentence in document.sentences:
        if sentence.start <= span.start < sentence.end:
            return sentence
    return document.sentences[-1]
