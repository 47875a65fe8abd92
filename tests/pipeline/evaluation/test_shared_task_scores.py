"""The scores of shared tasks: surface forms, token F1, and which corpus has which."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from multiner.pipeline.core.document import Span, from_words
from multiner.pipeline.corpora import read_corpus
from multiner.pipeline.evaluation.predictions import EvaluatedPart
from multiner.pipeline.evaluation.scores import token_confusion, token_f1
from multiner.pipeline.evaluation.shared_task_scores import shared_task_scores, six_type_scores, surface_scores

TYPES = ["PER", "LOC", "ORG"]


def test_a_frequent_name_counts_once() -> None:
    gold = [from_words(str(n), [["Zorp", "sang"]], [Span(0, 1, "PER")]) for n in range(3)]
    gold.append(from_words("3", [["in", "Lume"]], [Span(1, 2, "LOC")]))
    predicted = [(Span(0, 1, "PER"),), (), (), ()]
    score = surface_scores(gold, predicted, TYPES)
    assert (score["precision"], score["recall"], score["support"]) == (100.0, 50.0, 2)
    assert score["per_type"]["PER"]["f1"] == 100.0
    assert score["per_type"]["ORG"] == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 0}


def test_case_and_type_make_another_form_and_the_place_must_be_right() -> None:
    gold = [from_words("1", [["Zorp", "zorp"]], [Span(0, 1, "PER")]), from_words("2", [["Zorp"]])]
    assert surface_scores(gold, [(Span(1, 2, "PER"),), ()], TYPES)["f1"] == 0.0
    assert surface_scores(gold, [(Span(0, 1, "LOC"),), ()], TYPES)["f1"] == 0.0
    assert surface_scores(gold, [(), (Span(0, 1, "PER"),)], TYPES)["f1"] == 0.0, "found where it is none"


def test_token_f1_looks_at_types_not_at_borders() -> None:
    gold = [from_words("1", [["Ada", "Quill", "of", "Lume"]], [Span(0, 2, "PER"), Span(3, 4, "LOC")])]
    split = [(Span(0, 1, "PER"), Span(1, 2, "PER"), Span(2, 4, "LOC"))]
    assert token_f1(token_confusion(gold, split, TYPES), TYPES) == {"PER": 100.0, "LOC": 66.6667, "ORG": 0.0}


@pytest.mark.parametrize(
    ("corpus", "split", "keys"),
    [
        ("wnut17", "test", {"surface", "six_types"}),
        ("wnut17", "test_without_overlap", {"surface"}),
        ("factrueval-name", "test", {"official"}),
        ("factrueval-object", "dev", {"official"}),
        ("factrueval-name", "test_without_overlap", set()),
        ("conll2003", "test", set()),
    ],
)
def test_which_corpus_gets_what(root: Path, corpus: str, split: str, keys: set[str]) -> None:
    raw = root / "data" / "samples"
    types = TYPES if corpus.startswith("factrueval") else [*TYPES, "MISC"]
    documents = read_corpus(raw, corpus, split.partition("_")[0])
    gold = [document.spans for document in documents]
    part = EvaluatedPart(corpus, split, documents, {"ensemble": gold, "spacy": [()] * len(documents)})
    further = shared_task_scores(part, raw, types)
    assert {key for row in further.values() for key in row} == keys
    for key in keys - {"six_types"}:
        assert further["ensemble"][key]["f1"] > 95, "the gold itself, but for what flat spans lose"
        assert further["spacy"][key]["recall"] == 0.0


def test_by_six_types_an_organisation_counts_as_the_type_that_is_commonest_in_training(root: Path) -> None:
    raw = root / "data" / "samples"
    train = Counter(
        span.label for document in read_corpus(raw, "wnut17", "train", type_set="wnut17") for span in document.spans
    )
    documents = read_corpus(raw, "wnut17", "test")
    part = EvaluatedPart("wnut17", "test_half", documents, {"gold": [document.spans for document in documents]})
    score = six_type_scores(part, raw)["gold"]
    recall = {type_: figures["recall"] for type_, figures in score["per_type"].items()}
    assert recall["person"] == recall["location"] == 100.0
    for one, other in (("group", "corporation"), ("product", "creative-work")):
        commoner, rarer = sorted((one, other), key=train.__getitem__, reverse=True)
        assert (recall[commoner], recall[rarer]) == (100.0, 0.0)
