"""The page of a verdict."""

from __future__ import annotations

import numpy as np

from multiner.pipeline.core.document import Span, from_words
from multiner.pipeline.registry.gate.comparison import compare
from multiner.pipeline.registry.gate.predictions import GatePredictions
from multiner.pipeline.registry.gate.report import page

BASE = {"model": "ner-en", "version": "3", "champion": "2", "final": True, "at": "2026-01-01T00:00:00+00:00"}
GOLD = [Span(0, 1, "PER"), Span(2, 3, "LOC")]
RULES = {"max_possible_loss": 2.0, "max_certain_loss": 0.5, "bootstrap": 100}


def test_it_has_all_figures_of_the_verdict_and_escapes_text() -> None:
    documents = {
        corpus: [
            from_words(f"{corpus}-{n}", [["A", "b", "C"]], [Span(0, 1, "PER"), Span(2, 3, "LOC")]) for n in range(size)
        ]
        for corpus, size in (("large", 90), ("small", 10))
    }
    champion, challenger = GatePredictions(["PER", "LOC"]), GatePredictions(["PER", "LOC"])
    rng = np.random.default_rng(1)
    for corpus, part in documents.items():
        champion.add(corpus, part, [document.spans for document in part])
        challenger.add(corpus, part, [document.spans[: rng.integers(1, 3)] for document in part])
    verdict = compare(champion, challenger, documents, ["PER", "LOC"], RULES, 13)
    assert not verdict.passed
    rates = {"must": 100.0, "overall": 90.0, "capabilities": {"plain": 90.0}}
    record = (
        BASE
        | verdict.details
        | {
            "passed": False,
            "reasons": ["<b>worse</b>"],
            "f1": {"challenger": 81.5},
            "floor": {"min_f1": 30.0},
            "best_before": {"version": "1", "points": -1.5, "low": -2.0, "high": -0.9, "max_below_best": 1.0},
            "golden": {"share": 0.95, "required": 0.8},
            "latency_ms": {"slowest": 42.0, "allowed": 2000.0},
            "load_seconds": 3.25,
            "behaviour": {"challenger": rates, "champion": rates, "allowed": -3.0, "must": 90.0},
        }
    )
    text = page(record)
    for part in (
        "refused",
        "&lt;b&gt;worse",
        "large",
        "small",
        "<td>0.75</td>",
        "100.00",
        "81.50",
        "version 1",
        "42",
        "90.0",
    ):
        assert part in text, part
    assert "<script" not in text
    assert "http" not in text


def test_a_first_model_and_a_failed_process_have_a_page_too() -> None:
    failed = page(BASE | {"champion": None, "passed": False, "final": False, "reasons": ["does not load"]})
    assert "no champion: a first model" in failed
    assert "the next call judges again" in failed


def test_a_gate_that_could_not_judge_has_not_refused() -> None:
    text = page(BASE | {"passed": False, "final": False, "reasons": ["too slow"]})
    assert "undecided" in text
    assert "refused" not in text
