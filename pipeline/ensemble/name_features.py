"""Features of a name from outside its sentence: from the training documents, and from the rest of its document."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from multiner.pipeline.core.document import Document, Span

MOST_WORDS = 6  # of a longer name no parts are counted
SEEN = ("seen as type", "seen as other type", "seen in part", "new")
ELSEWHERE = ("same type elsewhere", "other type elsewhere", "within longer of type", "within longer of other type")


def surface_hash(text: str) -> str:
    """A hash of a name in lower case, eight hexadecimal digits: a model recognises names without containing them."""
    return blake2b(text.casefold().encode("utf-8", "replace"), digest_size=4).hexdigest()


@dataclass(frozen=True)
class Gazetteer:
    """The names of the training documents, as hashes by type."""

    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    words: frozenset[str] = frozenset()

    @classmethod
    def of(cls, documents: Iterable[Document]) -> Gazetteer:
        """The gold names of ``documents``, as a whole and word by word."""
        names: dict[str, set[str]] = {}
        words: set[str] = set()
        for document in documents:
            for span in document.spans:
                texts = document.norms(span.start, span.end)
                names.setdefault(span.label, set()).add(surface_hash(" ".join(texts)))
                words.update(surface_hash(text) for text in texts if len(text) > 2)
        return cls({type_: frozenset(hashes) for type_, hashes in names.items()}, frozenset(words))

    def to_json(self) -> dict:
        """A JSON-ready mapping; inverse of :meth:`from_json`."""
        return {"names": {type_: sorted(names) for type_, names in self.names.items()}, "words": sorted(self.words)}

    @classmethod
    def from_json(cls, value: dict) -> Gazetteer:
        """The gazetteer that :meth:`to_json` wrote."""
        return cls({type_: frozenset(names) for type_, names in value["names"].items()}, frozenset(value["words"]))

    def kind(self, words: Sequence[str], type_: str) -> int:
        """Index in :data:`SEEN` of a name."""
        name = surface_hash(" ".join(words))
        if name in self.names.get(type_, ()):
            return 0
        if any(name in names for names in self.names.values()):
            return 1
        return 2 if any(surface_hash(word) in self.words for word in words) else 3


class Mentions:
    """The names that the pool predicts in a document: evidence for the same name in another sentence.

    Such global features go back to Chieu and Ng (2003). ``spans`` are in order and do not overlap.
    """

    def __init__(self, document: Document, spans: Sequence[Span]) -> None:
        self._words = [word.casefold() for word in document.norms()]
        self._spans = spans
        self._starts = [span.start for span in spans]
        self._whole: dict[tuple[str, ...], Counter[str]] = {}
        self._within: dict[tuple[str, ...], Counter[str]] = {}
        for span in spans:
            for words, whole in self._parts(span):
                counts = self._whole if whole else self._within
                counts.setdefault(words, Counter())[span.label] += 1

    def _parts(self, span: Span) -> Iterator[tuple[tuple[str, ...], bool]]:
        """The name as a whole (True), and each distinct run of words within it (False) unless it is too long."""
        words = tuple(self._words[span.start : span.end])
        yield words, True
        if len(words) <= MOST_WORDS:
            runs = {words[at:end] for at in range(len(words)) for end in range(at + 1, len(words) + 1)}
            yield from ((run, False) for run in runs - {words})

    def elsewhere(self, span: Span) -> list[float]:
        """The values of :data:`ELSEWHERE` for a candidate; mentions that overlap it do not count."""
        words = tuple(self._words[span.start : span.end])
        here: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        at = max(0, bisect_right(self._starts, span.start) - 1)
        while at < len(self._spans) and self._spans[at].start < span.end:
            if self._spans[at].end > span.start:
                for part, whole in self._parts(self._spans[at]):
                    here[whole][self._spans[at].label] += part == words
            at += 1
        values = []
        for whole, counts in ((True, self._whole), (False, self._within)):
            labels = counts.get(words, Counter()) - here[whole]
            values += [float(span.label in labels), float(any(label != span.label for label in labels))]
        return values
