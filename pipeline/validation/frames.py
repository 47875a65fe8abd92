"""Documents as data frames: a row a sentence, a row an entity, with what Great Expectations cannot compute itself.

Rows are named by file and line (``place``), never by their text: reports and Data Docs may be shared, corpora may not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from os.path import commonpath
from typing import TYPE_CHECKING

from multiner.pipeline.core.document import Document, Sentence, Span
from multiner.pipeline.validation.overlap import digest, sentences_of

if TYPE_CHECKING:
    from pandas import DataFrame

Repeats = Mapping[str, Mapping[str, int]]  # digest -> part -> times it stands there

SENTENCE_COLUMNS = ["corpus", "split", "document", "place", "digest", "tokens", "entities", "offsets_ok", "id_unique"]
ENTITY_COLUMNS = ["corpus", "split", "document", "place", "label", "tokens", "tags_legal"]


def place(document: Document, sentence: Sentence, token: int | None = None) -> str:
    """``file:line`` of a sentence, or of a token in it (the corpora's formats put one token on a line)."""
    line = sentence.line + (0 if token is None else token - sentence.start)
    name = document.source or f"{document.corpus}/{document.split}/{document.id}"
    return f"{name}:{line}" if sentence.line else name


def offsets_match(document: Document, sentence: Sentence) -> bool:
    """Whether a sentence's tokens are non-empty, without blanks at their ends, in order, and inside the text."""
    before = document.tokens[sentence.start - 1].end if sentence.start else 0
    for token in document.tokens[sentence.start : sentence.end]:
        text = document.text[token.start : token.end]
        if not (before <= token.start < token.end <= len(document.text)) or text != text.strip():
            return False
        before = token.end
    return True


def legal_spans(document: Document) -> list[bool]:
    """For each span whether it can stand in an IOB2 sequence: not empty, within one sentence, after the one before."""
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
    """A row for each sentence.

    Args:
        documents: of one part of a corpus, or of several merged.
        earlier: parts that should not share sentences with this one, by name.

    Returns:
        SENTENCE_COLUMNS; ``copy`` (1 for the first time a sentence stands in this part, 2 for the second…);
        ``repeated`` (copy > 1); and for each earlier part ``in_<name>``.
    """
    import pandas as pd

    others = {name: {words for *_, words in sentences_of(part)} for name, part in (earlier or {}).items()}
    ids = Counter((document.corpus, document.id) for document in documents)
    starts = {(document.corpus, document.id): Counter(_sentence_starts(document)) for document in documents}
    seen: Counter[str] = Counter()
    rows = []
    for document, index, sentence, words in sentences_of(documents):
        key = (document.corpus, document.id)
        mark = digest(words)
        seen[mark] += 1
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
            seen[mark],
            seen[mark] > 1,
        ]
        rows.append(row + [words in other for other in others.values()])
    return pd.DataFrame(rows, columns=[*SENTENCE_COLUMNS, "copy", "repeated", *(f"in_{name}" for name in others)])


def mark_excess(frame: DataFrame, part: str, known: Repeats, earlier: Sequence[str]) -> DataFrame:
    """The sentence frame with ``excess_repeat``: rows that repeat a sentence oftener than ``known`` says it does.

    A sentence that ``known`` lacks may stand once in all parts together.
    """
    anywhere = frame["repeated"].to_numpy(copy=True)
    for name in earlier:
        anywhere |= frame[f"in_{name}"].to_numpy()
    excess = [
        copy > known[mark].get(part, 0) if mark in known else bool(again)
        for mark, copy, again in zip(frame["digest"], frame["copy"], anywhere, strict=True)
    ]
    return frame.assign(excess_repeat=excess)


def entity_frame(documents: Iterable[Document], types: Sequence[str]) -> DataFrame:
    """A row for each entity: ENTITY_COLUMNS, and for each type ``is_<type>`` (0 or 1): its mean is the type's share."""
    import pandas as pd

    rows = []
    for document in documents:
        for span, legal in zip(document.spans, legal_spans(document), strict=True):
            where = place(document, _sentence_of(document, span), span.start)
            row = [document.corpus, document.split, document.id, where, span.label, span.end - span.start, legal]
            rows.append(row + [int(span.label == type_) for type_ in types])
    return pd.DataFrame(rows, columns=[*ENTITY_COLUMNS, *(f"is_{type_}" for type_ in types)])


def find_repeats(parts: Mapping[str, Iterable[Document]]) -> dict[str, dict[str, int]]:
    """The sentences that stand more than once in ``parts`` together: digest → part → times."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, documents in parts.items():
        for *_, words in sentences_of(documents):
            counts[digest(words)][name] += 1
    return {mark: dict(times) for mark, times in sorted(counts.items()) if times.total() > 1}


def sources_of(documents: Iterable[Document]) -> tuple[str, ...]:
    """For each corpus the file that its documents come from, or the folder where they come from several."""
    files: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        if document.source:
            files[document.corpus].add(document.source)
    return tuple(commonpath(sorted(names)) for names in files.values())


def _sentence_starts(document: Document) -> list[int]:
    """For each span the index of the sentence it begins in."""
    ends = [sentence.end for sentence in document.sentences]
    found, index = [], 0
    for span in document.spans:
        while index < len(ends) and ends[index] <= span.start:
            index += 1
        found.append(index)
    return found


def _sentence_of(document: Document, span: Span) -> Sentence:
    """The sentence a span begins in (the last one for a span beyond the end)."""
    for sentence in document.sentences:
        if sentence.start <= span.start < sentence.end:
            return sentence
    return document.sentences[-1]
