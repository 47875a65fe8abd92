"""The exact counts of the published corpora, measured once and checked in every run.

expected.yaml has the counts of each published part; repeats.tsv has the digests of sentences that a corpus holds more
than once. Only ``ner validate --accept`` rewrites them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from multiner.pipeline.config.settings import read_yaml
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.validation.frames import find_repeats, overlapping_sentences, sentences_of

FOLDER = Path(__file__).parent
HEAD = (
    "# Exact counts of the published corpora. Written by `ner validate --accept`: review the difference, then commit.\n"
)


@dataclass(frozen=True)
class PartCounts:
    """Exact counts of a published part of a corpus.

    ``repeated`` counts sentences that are earlier in the same part; ``overlaps`` counts, for each earlier part, the
    sentences that are also in it.
    """

    documents: int
    sentences: int
    tokens: int
    longest: int
    entities: int
    types: dict[str, int]
    repeated: int
    overlaps: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """The expected counts.

    Attributes:
        parts: corpus → part → counts; entities are counted in the usual types.
        repeats: corpus → digest of a sentence → part → times.
        test_in_training: for each language, the number of test sentences that are also in a training corpus.
        sets: set of types → corpus → part → entities by type.
    """

    parts: Mapping[str, Mapping[str, PartCounts]] = field(default_factory=dict)
    repeats: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    test_in_training: Mapping[str, int] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Mapping[str, dict[str, int]]]] = field(default_factory=dict)

    def in_types(self, type_set: str | None) -> Expected:
        """The same counts in a set of types, for corpora with a map to it. Raises NerError if none were measured."""
        if type_set is None:
            return self
        if type_set not in self.sets:
            raise NerError(
                f"no expected counts for the types {type_set!r}", remedy="Measure them: ner validate --accept"
            )
        parts = {
            corpus: {name: replace(part, types=by_part[name]) for name, part in self.parts[corpus].items()}
            for corpus, by_part in self.sets[type_set].items()
        }
        return replace(self, parts=parts)


def measure_part(documents: Sequence[Document], earlier: Mapping[str, Sequence[Document]]) -> PartCounts:
    """The counts of a part, with its overlap with the parts ``earlier``."""
    sentences = [words for *_, words in sentences_of(documents)]
    return PartCounts(
        documents=len(documents),
        sentences=len(sentences),
        tokens=sum(map(len, sentences)),
        longest=max(map(len, sentences), default=0),
        entities=sum(len(document.spans) for document in documents),
        types=dict(sorted(Counter(span.label for document in documents for span in document.spans).items())),
        repeated=len(sentences) - len(set(sentences)),
        overlaps={name: len(overlapping_sentences(part, documents)) for name, part in earlier.items()},
    )


def measure_corpus(parts: Mapping[str, Sequence[Document]]) -> tuple[dict[str, PartCounts], dict[str, dict[str, int]]]:
    """The counts of each part of a corpus, compared with the parts before it, and the corpus's repeated sentences."""
    counts: dict[str, PartCounts] = {}
    for name, documents in parts.items():
        counts[name] = measure_part(documents, {earlier: parts[earlier] for earlier in counts})
    return counts, find_repeats(parts)


def load(folder: Path = FOLDER) -> Expected:
    """The expected counts. Raises NerError if a file is malformed."""
    counts = read_yaml(folder / "expected.yaml")
    try:
        parts = {
            corpus: {name: PartCounts(**part) for name, part in by_name.items()}
            for corpus, by_name in counts.get("parts", {}).items()
        }
    except TypeError as error:
        raise NerError(f"not the counts of a corpus part: {error}", where=str(folder / "expected.yaml")) from None
    repeats: dict[str, dict[str, dict[str, int]]] = {}
    path = folder / "repeats.tsv"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [], 1):
        try:
            corpus, mark, *times = line.split("\t")
            pairs = (item.split("=") for item in times)
            repeats.setdefault(corpus, {})[mark] = {name: int(count) for name, count in pairs}
        except ValueError:
            raise NerError("expected corpus, digest and part=times, split by tabs", where=f"{path}:{number}") from None
    return Expected(parts, repeats, counts.get("test_in_training", {}), counts.get("sets", {}))


def save(expected: Expected, folder: Path = FOLDER) -> None:
    """Write the expected counts, for :func:`load` to read."""
    value: dict[str, Any] = {
        "parts": {
            corpus: {name: asdict(part) for name, part in by_name.items()} for corpus, by_name in expected.parts.items()
        },
        "test_in_training": dict(expected.test_in_training),
        "sets": {
            name: {corpus: dict(parts) for corpus, parts in corpora.items()} for name, corpora in expected.sets.items()
        },
    }
    with write_atomically(folder / "repeats.tsv") as file:
        for corpus, marks in expected.repeats.items():
            for mark, times in marks.items():
                file.write("\t".join([corpus, mark, *(f"{name}={count}" for name, count in times.items())]) + "\n")
    with write_atomically(folder / "expected.yaml") as file:
        file.write(HEAD + yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=120))
