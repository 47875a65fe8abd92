"""The suites that check a language's corpora: for each published part, and for the merged sets.

Pure functions from documents and expected counts to frames and expectations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.validation.expected import Expected
from multiner.pipeline.validation.frames import entity_frame, mark_excess, sentence_frame, sources_of
from multiner.pipeline.validation.gate import FILES, SuiteInput
from multiner.pipeline.validation.suites import (
    entity_expectations,
    file_expectations,
    leakage_expectations,
    sentence_expectations,
)

Splits = dict[tuple[str, str], list[Document]]  # (corpus, split) -> documents


@dataclass(frozen=True)
class LanguageCorpora:
    """The corpora of a language, and the errors of those that cannot be read.

    Attributes:
        language: the language's parameters (types, train_on, report_on).
        labels: the labels that each published corpus may have.
        layouts: the published parts of each corpus, and the splits that each part contains; of a growing corpus one.
        splits: the documents by corpus and split.
        refused: the reader's error by corpus and split.
        shares: lowest and highest share of each type, of corpora that have bounds of their own.
    """

    language: Mapping[str, Any]
    labels: Mapping[str, Sequence[str]]
    layouts: Mapping[str, Mapping[str, Sequence[str]]]
    splits: Splits
    refused: Mapping[tuple[str, str], NerError] = field(default_factory=dict)
    shares: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def merged(self, corpora: Iterable[str], *splits: str) -> list[Document] | None:
        """The documents of several corpora, with the language's types only; None where one cannot be read."""
        keys = [(corpus, split) for corpus in corpora for split in splits]
        if any(key in self.refused for key in keys):
            return None
        types = self.language["types"]
        return [
            document.with_spans(span for span in document.spans if span.label in types)
            for key in keys
            for document in self.splits[key]
        ]

    def parts(self, corpus: str) -> dict[str, list[Document]]:
        """The documents of each published part of a corpus that can be read."""
        return {
            name: [document for split in splits for document in self.splits[corpus, split]]
            for name, splits in self.layouts[corpus].items()
            if not any((corpus, split) in self.refused for split in splits)
        }


def file_check(corpora: LanguageCorpora) -> SuiteInput:
    """Whether each corpus and split can be read; an error names file and line."""
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
    return SuiteInput(FILES, frame, file_expectations())


def part_checks(
    corpora: LanguageCorpora, corpus: str, expected: Expected, bounds: Mapping[str, Any]
) -> list[SuiteInput]:
    """Two suites (sentences, entities) for each published part of a corpus."""
    labels = corpora.labels[corpus]
    checks: list[SuiteInput] = []
    earlier: dict[str, list[Document]] = {}
    for name, documents in corpora.parts(corpus).items():
        sources = sources_of(documents)
        part = expected.parts.get(corpus, {}).get(name)
        compared = list(earlier) if part else []
        sentences = sentence_frame(documents, {other: earlier[other] for other in compared})
        if part:
            sentences = mark_excess(sentences, name, expected.repeats.get(corpus, {}), compared)
        expectations = sentence_expectations(bounds["tokens"], earlier=compared, part=part)
        checks.append(SuiteInput(f"{corpus}-{name}-sentences", sentences, expectations, sources))
        shares = dict.fromkeys(labels, corpora.shares.get(corpus, bounds["share"]))
        expectations = entity_expectations(labels, bounds["entity_tokens"], shares, part)
        checks.append(SuiteInput(f"{corpus}-{name}-entities", entity_frame(documents, labels), expectations, sources))
        earlier[name] = documents
    return checks


def growing_checks(corpora: LanguageCorpora, corpus: str, bounds: Mapping[str, Any]) -> list[SuiteInput]:
    """Two suites (sentences, entities) for a growing corpus, as far as it has sentences and entities."""
    documents = corpora.merged([corpus], *corpora.layouts[corpus]["accepted"])
    types = corpora.language["types"]
    checks = document_checks(corpus, documents or [], types, dict.fromkeys(types, (0, 1)), bounds)
    return [check for check in checks if len(check.frame)]


def document_checks(
    name: str,
    documents: Sequence[Document],
    types: Sequence[str],
    shares: Mapping[str, Sequence[float]],
    bounds: Mapping[str, Any],
) -> list[SuiteInput]:
    """Two suites (sentences, entities) without expected counts; ``shares`` are the bounds of each type's share."""
    sources = sources_of(documents)
    sentences = sentence_expectations(bounds["tokens"])
    entities = entity_expectations(types, bounds["entity_tokens"], shares)
    return [
        SuiteInput(f"{name}-sentences", sentence_frame(documents), sentences, sources),
        SuiteInput(f"{name}-entities", entity_frame(documents, types), entities, sources),
    ]


def merged_checks(
    corpora: LanguageCorpora, code: str, expected: Expected, bounds: Mapping[str, Any]
) -> list[SuiteInput]:
    """Suites for the merged training and development sets, and for test sentences that are in either of them."""
    train_on, report_on = corpora.language["train_on"], corpora.language["report_on"]
    types = corpora.language["types"]
    published = all(corpus in expected.parts for corpus in train_on)
    shares = bounds["merged_share"].get(code) if published else None
    usual = (0, 1) if any(corpus in corpora.shares for corpus in train_on) else bounds["share"]
    shares = {type_: (shares or {}).get(type_, usual) for type_ in types}
    checks: list[SuiteInput] = []
    for split in ("train", "dev"):
        documents = corpora.merged(train_on, split)
        if documents is not None:
            checks += document_checks(f"{code}-{split}", documents, types, shares, bounds)
    training, test = corpora.merged(train_on, "train", "dev"), corpora.merged(report_on, "test")
    if training is not None and test is not None and (most := expected.test_in_training.get(code)) is not None:
        frame = sentence_frame(test, {"training": training})
        rows = zip(frame["corpus"], frame["digest"], strict=True)
        frame = frame.assign(excess_repeat=[mark not in expected.repeats.get(corpus, {}) for corpus, mark in rows])
        checks.append(SuiteInput(f"{code}-test-leakage", frame, leakage_expectations(most), sources_of(test)))
    return checks


def all_checks(corpora: LanguageCorpora, code: str, expected: Expected, bounds: Mapping[str, Any]) -> list[SuiteInput]:
    """All suites of a language, in the order of the report."""
    checks = [file_check(corpora)]
    for corpus in corpora.labels:
        checks += part_checks(corpora, corpus, expected, bounds)
    for corpus in [each for each in corpora.layouts if each not in corpora.labels]:
        checks += growing_checks(corpora, corpus, bounds)
    return checks + merged_checks(corpora, code, expected, bounds)
