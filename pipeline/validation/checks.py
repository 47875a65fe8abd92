"""Which suites a language's corpora are put through: of each published part, and of the sets that parts are merged to.

Pure: from documents and expected counts to frames and expectations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.validation.expected import Expected
from multiner.pipeline.validation.frames import (
    entity_frame,
    mark_excess,
    sentence_frame,
    sources_of,
)
from multiner.pipeline.validation.gate import FILES, Check
from multiner.pipeline.validation.suites import (
    entity_expectations,
    file_expectations,
    leakage_expectations,
    sentence_expectations,
)

Splits = dict[tuple[str, str], list[Document]]  # (corpus, split) -> documents


@dataclass(frozen=True)
class Corpora:
    """What could be read of a language's corpora, and what the reader refused.

    Attributes:
        language: its parameters (types, train_on, report_on).
        labels: the labels that each corpus may carry.
        layouts: the published parts of each corpus, and the splits that each feeds.
        splits: the documents.
        refused: the reader's refusal of each corpus and split that it refused.
    """

    language: Mapping[str, Any]
    labels: Mapping[str, Sequence[str]]
    layouts: Mapping[str, Mapping[str, Sequence[str]]]
    splits: Splits
    refused: Mapping[tuple[str, str], NerError] = field(default_factory=dict)

    def merged(self, corpora: Iterable[str], *splits: str) -> list[Document] | None:
        """The documents of several corpora, with the language's types only; None where one of them was refused."""
        wanted = [(corpus, split) for corpus in corpora for split in splits]
        if any(key in self.refused for key in wanted):
            return None
        types = self.language["types"]
        return [
            document.with_spans(span for span in document.spans if span.label in types)
            for key in wanted
            for document in self.splits[key]
        ]

    def parts(self, corpus: str) -> dict[str, list[Document]]:
        """The documents of each published part of a corpus that the reader took whole."""
        return {
            name: [document for split in splits for document in self.splits[corpus, split]]
            for name, splits in self.layouts[corpus].items()
            if not any((corpus, split) in self.refused for split in splits)
        }


def file_check(corpora: Corpora) -> Check:
    """The reader's word on each corpus and split; a refusal names file and line."""
    import pandas as pd

    rows = [
        (corpus, split, ", ".join(sources_of(documents)), True, "")
        for (corpus, split), documents in corpora.splits.items()
    ]
    rows += [
        (corpus, split, error.where or corpus, False, f"{error.message}.")
        for (corpus, split), error in corpora.refused.items()
    ]
    frame = pd.DataFrame(rows, columns=["corpus", "split", "place", "readable", "problem"])
    return Check(FILES, frame, file_expectations())


def part_checks(corpora: Corpora, corpus: str, expected: Expected, bounds: Mapping[str, Any]) -> list[Check]:
    """Two suites (sentences, entities) for each published part of a corpus."""
    labels = corpora.labels[corpus]
    checks: list[Check] = []
    earlier: dict[str, list[Document]] = {}
    for name, documents in corpora.parts(corpus).items():
        sources = sources_of(documents)
        part = expected.parts.get(corpus, {}).get(name)
        compared = list(earlier) if part else []
        sentences = sentence_frame(documents, {other: earlier[other] for other in compared})
        if part:
            sentences = mark_excess(sentences, name, expected.repeats.get(corpus, {}), compared)
        asked = sentence_expectations(bounds["tokens"], earlier=compared, part=part)
        checks.append(Check(f"{corpus}-{name}-sentences", sentences, asked, sources))
        shares = dict.fromkeys(labels, bounds["share"])
        asked = entity_expectations(labels, bounds["entity_tokens"], shares, part)
        checks.append(Check(f"{corpus}-{name}-entities", entity_frame(documents, labels), asked, sources))
        earlier[name] = documents
    return checks


def merged_checks(corpora: Corpora, code: str, expected: Expected, bounds: Mapping[str, Any]) -> list[Check]:
    """Suites of the merged training and development sets, and the leakage of the test sets into either."""
    train_on, report_on = corpora.language["train_on"], corpora.language["report_on"]
    types = corpora.language["types"]
    published = all(corpus in expected.parts for corpus in train_on)
    shares = bounds["merged_share"].get(code) if published else None
    shares = {type_: (shares or {}).get(type_, bounds["share"]) for type_ in types}
    checks: list[Check] = []
    for split in ("train", "dev"):
        documents = corpora.merged(train_on, split)
        if documents is None:
            continue
        sources = sources_of(documents)
        asked = sentence_expectations(bounds["tokens"])
        checks.append(Check(f"{code}-{split}-sentences", sentence_frame(documents), asked, sources))
        asked = entity_expectations(types, bounds["entity_tokens"], shares)
        checks.append(Check(f"{code}-{split}-entities", entity_frame(documents, types), asked, sources))
    training, test = corpora.merged(train_on, "train", "dev"), corpora.merged(report_on, "test")
    if training is not None and test is not None and (most := expected.test_in_training.get(code)) is not None:
        frame = sentence_frame(test, {"training": training})
        known = [
            mark in expected.repeats.get(corpus, {})
            for corpus, mark in zip(frame["corpus"], frame["digest"], strict=True)
        ]
        frame = frame.assign(excess_repeat=[not one for one in known])
        checks.append(Check(f"{code}-test-leakage", frame, leakage_expectations(most), sources_of(test)))
    return checks


def all_checks(corpora: Corpora, code: str, expected: Expected, bounds: Mapping[str, Any]) -> list[Check]:
    """Every suite of a language, in the order they are reported in."""
    checks = [file_check(corpora)]
    for corpus in corpora.labels:
        checks += part_checks(corpora, corpus, expected, bounds)
    return checks + merged_checks(corpora, code, expected, bounds)
