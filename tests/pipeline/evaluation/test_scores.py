"""Scores against figures worked out by hand."""

from __future__ import annotations

import warnings

import pytest

from multiner.pipeline.core.decoding import span_f1
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.evaluation.predictions import EvaluatedPart
from multiner.pipeline.evaluation.scores import score, span_counts, token_confusion, without_sentences
from multiner.pipeline.evaluation.significance import micro_f1

TYPES = ["PER", "LOC", "ORG"]


def test_figures_worked_out_by_hand(part: EvaluatedPart) -> None:
    # 5 gold, 5 predicted, 2 right (Brill & Sons, Tam): precision, recall and F1 are 2/5
    # PER: gold 3, predicted 2, right 1: precision 1/2, recall 1/3, F1 = 2/5
    # ORG: gold 1, predicted 2, right 1: precision 1/2, recall 1, F1 = 2/3
    # LOC: gold 1, predicted 1, right 0
    result = score(part.documents, part.systems["transformer"], TYPES)
    assert (result["precision"], result["recall"], result["f1"], result["support"]) == (40.0, 40.0, 40.0, 5)
    assert result["per_type"]["PER"] == {"f1": 40.0, "precision": 50.0, "recall": 33.3333, "support": 3}
    assert result["per_type"]["ORG"] == {"f1": 66.6667, "precision": 50.0, "recall": 100.0, "support": 1}
    assert result["per_type"]["LOC"] == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 1}


def test_gold_against_itself_is_perfect(documents: list[Document]) -> None:
    result = score(documents, [document.spans for document in documents], TYPES)
    assert result["f1"] == 100.0
    assert {row["f1"] for row in result["per_type"].values()} == {100.0}


def test_nothing_at_all_gives_zeros_without_a_warning(documents: list[Document]) -> None:
    bare = [document.with_spans(()) for document in documents]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(bare, [(), ()], TYPES)
        nothing_found = score(documents, [(), ()], TYPES)
        no_documents = score([], [], TYPES)
    assert result["f1"] == nothing_found["f1"] == no_documents["f1"] == 0.0
    assert result["per_type"]["PER"]["support"] == 0
    assert nothing_found["per_type"]["PER"]["support"] == 3


def test_neighbours_of_one_type_stay_two_spans() -> None:
    document = from_words("d", [["Ada", "Ida"]], [Span(0, 1, "PER"), Span(1, 2, "PER")])
    assert score([document], [[Span(0, 2, "PER")]], TYPES)["f1"] == 0.0
    assert score([document], [[Span(0, 1, "PER"), Span(1, 2, "PER")]], TYPES)["f1"] == 100.0


def test_a_span_across_sentences_is_wrong_and_spoils_nothing_else() -> None:
    document = from_words("d", [["Ada"], ["Norwick"]], [Span(0, 1, "PER"), Span(1, 2, "LOC")])
    assert score([document], [[Span(0, 2, "PER")]], TYPES)["f1"] == 0.0


def test_overlapping_predictions_are_refused() -> None:
    document = from_words("d", [["Ada", "Quill"]])
    with pytest.raises(ValueError, match="overlap"):
        score([document], [[Span(0, 2, "PER"), Span(1, 2, "LOC")]], TYPES)


def test_lengths_must_agree(documents: list[Document]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        score(documents, [()], TYPES)


def test_counts_by_document_add_up_to_the_score(part: EvaluatedPart) -> None:
    counts = span_counts(part.documents, part.systems["transformer"])
    assert counts.tolist() == [[1, 2, 2], [1, 1, 1]]  # tp, fp, fn


def test_confusion_of_tokens(part: EvaluatedPart) -> None:
    confusion = token_confusion(part.documents, part.systems["transformer"], TYPES)
    # rows gold, columns predicted: O PER LOC ORG; 16 tokens, of them 8 inside gold spans
    assert confusion.tolist() == [[7, 0, 1, 0], [2, 2, 0, 0], [0, 0, 0, 1], [0, 0, 0, 3]]


def test_sentences_are_taken_out_on_both_sides(documents: list[Document]) -> None:
    first = documents[0]
    assert without_sentences(first, first.spans, {0}) == [Span(5, 8, "ORG")]
    assert without_sentences(first, first.spans, {1}) == [Span(0, 2, "PER"), Span(3, 4, "LOC")]
    assert without_sentences(first, first.spans, ()) == list(first.spans)


def test_three_ways_to_score_agree(part: EvaluatedPart) -> None:
    for spans in part.systems.values():
        by_seqeval = score(part.documents, spans, TYPES)["f1"]
        assert micro_f1(span_counts(part.documents, spans).sum(0)) == pytest.approx(by_seqeval)
        assert span_f1(part.documents, spans) == pytest.approx(by_seqeval)
