"""``ner compare``: two registered versions on the same documents, per corpus and type, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from multiner.pipeline.annotate import predict_isolated, registered_model
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Sentence, Span, read_jsonl
from multiner.pipeline.core.dvc_cache import require_whole
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.span_differences import SentenceErrors, worst_sentences
from multiner.pipeline.evaluation.scores import span_counts
from multiner.pipeline.evaluation.significance import Interval, micro_f1, paired_bootstrap
from multiner.pipeline.registry.gate.comparison import gate_documents, of_types
from multiner.pipeline.registry.gate.judgement import types_of

ALL = "all"
GATE, TEST = "gate half", "test part"
Spans = Sequence[Sequence[Span]]


@dataclass(frozen=True, slots=True)
class PairedScores:
    """F1 in percent of two versions on the same documents, and the difference with its interval.

    Attributes:
        part: ``gate half`` or ``test part``.
        corpus, type: ``all`` for all corpora, or all types, together.
        documents: their number.
        spans: the number of gold spans.
        first, second: F1 of the two versions.
        interval: second minus first.
    """

    part: str
    corpus: str
    type: str
    documents: int
    spans: int
    first: float
    second: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class DifferentSentence:
    """A sentence of a gate half in which one of the versions makes more errors; for the terminal alone."""

    corpus: str
    document: str
    text: str
    gold: list[str]
    first: list[str]
    second: list[str]


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """The scores of two versions of a model, and sentences in which they differ."""

    model: str
    first: str
    second: str
    types: list[str]
    scores: list[PairedScores]
    sentences: list[DifferentSentence]


def compare(workspace: Workspace, language: str, first: str, second: str, examples: int = 10) -> VersionComparison:
    """Compare two registered versions on the gate halves and, apart from these, on the test parts.

    Each version predicts in a process of its own with its own code. The types are those that both know.

    Args:
        first, second: ``champion`` or the number of a version.
        examples: the number of sentences at most; they are of the gate halves, so that nobody tunes on test parts.

    Raises:
        NerError: there is no such version, it does not answer, the two share no type, or documents are missing.
    """
    workspace.language(language)  # refuses an unknown one
    folder_a, name, version_a = registered_model(workspace, language, first)
    folder_b, _, version_b = registered_model(workspace, language, second)
    known = types_of(folder_b)
    types = [type_ for type_ in types_of(folder_a) if type_ in known]
    if not types:
        raise NerError(f"versions {version_a} and {version_b} share no entity type", where=name)
    require_whole(workspace.root, [workspace.paths.documents(language)])
    parts = {GATE: gate_documents(workspace, language), TEST: test_parts(workspace, language)}
    everything = [document for corpora in parts.values() for documents in corpora.values() for document in documents]
    spans_a, spans_b = predict_isolated(folder_a, everything), predict_isolated(folder_b, everything)
    options = {"resamples": workspace.params["promotion"]["bootstrap"], "seed": workspace.params["seed"]}
    scores: list[PairedScores] = []
    at = 0
    for part, corpora in parts.items():
        end = at + sum(map(len, corpora.values()))
        scores += paired_scores(part, corpora, spans_a[at:end], spans_b[at:end], types, **options)
        at = end
    half = [document for documents in parts[GATE].values() for document in documents]
    sentences = different_sentences(half, spans_a[: len(half)], spans_b[: len(half)], types, examples)
    return VersionComparison(name, version_a, version_b, types, scores, sentences)


def test_parts(workspace: Workspace, language: str) -> dict[str, list[Document]]:
    """The test parts by corpus, as far as they were prepared."""
    folder = workspace.paths.documents(language)
    files = {corpus: folder / f"{corpus}.test.jsonl" for corpus in workspace.language(language)["report_on"]}
    return {corpus: list(read_jsonl(file)) for corpus, file in files.items() if file.is_file()}


def paired_scores(
    part: str,
    corpora: Mapping[str, Sequence[Document]],
    first: Spans,
    second: Spans,
    types: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> list[PairedScores]:
    """The scores on each corpus, over all types and by type; before them, of the gate halves, on all together.

    Types without gold and predicted spans in a corpus are left out. ``first`` and ``second`` are the predictions for
    the documents of all corpora in turn.
    """
    tables = {
        type_: (_counts(corpora, first, chosen), _counts(corpora, second, chosen))
        for type_, chosen in ((ALL, types), *((type_, [type_]) for type_ in types))
    }

    def row(corpus: str, type_: str, before: np.ndarray, after: np.ndarray) -> PairedScores:
        interval = paired_bootstrap(before, after, resamples=resamples, seed=seed)
        gold = int(before[:, [0, 2]].sum())
        f1 = [float(micro_f1(table.sum(0))) for table in (before, after)]
        return PairedScores(part, corpus, type_, len(before), gold, f1[0], f1[1], interval)

    filled = [corpus for corpus, documents in corpora.items() if documents]
    rows = []
    if part == GATE and len(filled) > 1:  # test parts may be the same texts with other gold
        before, after = (np.concatenate([side[corpus] for corpus in filled]) for side in tables[ALL])
        rows.append(row(ALL, ALL, before, after))
    for corpus in filled:
        for type_, (before_by_corpus, after_by_corpus) in tables.items():
            before, after = before_by_corpus[corpus], after_by_corpus[corpus]
            if before.any() or after.any():
                rows.append(row(corpus, type_, before, after))
    return rows


def _counts(corpora: Mapping[str, Sequence[Document]], spans: Spans, types: Collection[str]) -> dict[str, np.ndarray]:
    """Counts ``[documents, 3]`` by corpus; gold and predicted spans of other types than ``types`` are left out."""
    rest, result = iter(spans), {}
    for corpus, part in corpora.items():
        gold = [document.with_spans(of_types(document.spans, types)) for document in part]
        result[corpus] = span_counts(gold, [of_types(next(rest), types) for _ in part])
    return result


def different_sentences(
    documents: Sequence[Document], first: Spans, second: Spans, types: Sequence[str], limit: int
) -> list[DifferentSentence]:
    """At most ``limit`` sentences in which the two make unlike numbers of errors, those that differ most first.

    Half of them are sentences in which the first makes more errors, as far as there are such; these come first.
    """
    gold = [document.with_spans(of_types(document.spans, types)) for document in documents]
    sides = {
        "first": [of_types(spans, types) for spans in first],
        "second": [of_types(spans, types) for spans in second],
    }
    errors = worst_sentences(gold, sides, "first", limit=sum(len(document.sentences) for document in gold))
    errors.sort(key=lambda one: -abs(_excess(one)))
    worse_first = [one for one in errors if _excess(one) > 0]
    worse_second = [one for one in errors if _excess(one) < 0]
    chosen = worse_first[: max(limit - limit // 2, limit - len(worse_second))]
    chosen += worse_second[: limit - len(chosen)]
    return [
        _shown(gold[one.document], one.sentence, sides["first"][one.document], sides["second"][one.document])
        for one in chosen
    ]


def _excess(errors: SentenceErrors) -> int:
    """How many more errors the first version makes than the second."""
    return len(errors.errors["first"]) - len(errors.errors["second"])


def _shown(document: Document, index: int, first: Sequence[Span], second: Sequence[Span]) -> DifferentSentence:
    sentence = document.sentences[index]
    gold, entities, other_entities = (_entities(document, sentence, spans) for spans in (document.spans, first, second))
    text = " ".join(document.words(sentence.start, sentence.end))
    return DifferentSentence(document.corpus, document.id, text, gold, entities, other_entities)


def _entities(document: Document, sentence: Sentence, spans: Sequence[Span]) -> list[str]:
    """The entities that begin in a sentence, as ``text/TYPE``."""
    return [f"{document.span_text(span)}/{span.label}" for span in spans if sentence.start <= span.start < sentence.end]


def as_json(comparison: VersionComparison) -> dict[str, Any]:
    """The comparison without any text of the corpora."""
    return {name: value for name, value in asdict(comparison).items() if name != "sentences"}


def table(comparison: VersionComparison) -> str:
    """The scores as a text table, each part under a heading."""
    first, second = f"version {comparison.first}", f"version {comparison.second}"
    lines = [f"{comparison.model}: {second} against {first}, F1 in percent; types: {', '.join(comparison.types)}"]
    part = ""
    for row in comparison.scores:
        if row.part != part:
            part = row.part
            heading = (
                f"{'corpus':<20}{'type':<10}{'documents':>10}{'spans':>8}{first:>14}{second:>14}   difference, 95 %"
            )
            lines += ["", {GATE: "Gate halves", TEST: "Test parts (to report, not to choose by)"}[part], heading]
        f1 = f"{row.first:>14.2f}{row.second:>14.2f}"
        lines.append(f"{row.corpus:<20}{row.type:<10}{row.documents:>10,}{row.spans:>8,}{f1}   {row.interval}")
    return "\n".join([*lines, "", "Paired bootstrap over documents; p is not corrected for the number of rows."])


def examples(comparison: VersionComparison) -> str:
    """The sentences in which the two versions differ, with the gold entities and those of each."""
    lines = ["Sentences of the gate halves in which one version makes more errors:"]
    for sentence in comparison.sentences:
        lines += ["", f"{sentence.corpus} {sentence.document}", f"  {sentence.text}"]
        sides = {
            "gold": sentence.gold,
            f"version {comparison.first}": sentence.first,
            f"version {comparison.second}": sentence.second,
        }
        lines += [f"  {title + ':':<14}{', '.join(entities) or 'none'}" for title, entities in sides.items()]
    return "\n".join(lines if comparison.sentences else ["The versions make as many errors in each sentence."])
