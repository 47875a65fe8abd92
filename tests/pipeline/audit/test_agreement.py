"""Whether the figures of a repeated training agree with the registered ones."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from multiner.pipeline.audit.agreement import agreement, report


def figures(**more: Any) -> dict[str, Any]:
    parts = {
        part: {"transformer": {"f1": 80.0}, "ensemble": {"f1": 90.0, "per_type": {"PER": {"f1": 95.0}}}}
        for part in ("dev", "dev_gate", "test")
    }
    corpora = {"conll2003": deepcopy(parts), "wnut17": deepcopy(parts)}
    return {"corpora": corpora, "data_hash": "d", "model_hash": {"ensemble": "e"}, "threads": 2, "seed": 13} | more


def test_equal_figures_agree_exactly() -> None:
    result = agreement(figures(), figures(), 0.0)
    assert (result.breaches, result.exact, result.same_model) == ([], True, True)
    assert [(each.part, each.system) for each in result.scores[:3]] == [
        ("dev", "ensemble"),
        ("dev", "transformer"),
        ("test", "ensemble"),
    ]
    assert "agree exactly: every score is equal; the models are equal bit by bit" in report(result)
    other = agreement(figures(), figures(model_hash={"ensemble": "f"}), 0.0)
    assert other.exact
    assert not other.same_model


def test_noise_is_allowed_to_the_ensemble_on_whole_parts() -> None:
    repeated = figures(threads=4)
    repeated["corpora"]["wnut17"]["test"]["ensemble"]["f1"] = 90.25
    repeated["corpora"]["wnut17"]["dev_gate"]["ensemble"]["f1"] = 60.0
    repeated["corpora"]["wnut17"]["test"]["transformer"]["f1"] = 70.0
    result = agreement(figures(), repeated, 0.3)
    assert (result.breaches, result.exact) == ([], False)
    text = report(result)
    assert "agree within 0.3 F1 points, but not exactly" in text
    assert "another setting: threads: 2, here 4" in text
    assert agreement(figures(), repeated, 0.2).breaches == ["wnut17 test: +0.25 F1 points"]


def test_what_is_missing_or_of_other_documents_is_a_breach() -> None:
    repeated = figures(data_hash="other")
    del repeated["corpora"]["wnut17"]
    result = agreement(figures(), repeated, 0.3)
    assert result.breaches == [
        "the prepared documents are not those of the version",
        "wnut17 dev: not measured again",
        "wnut17 test: not measured again",
    ]
    assert "do not agree within 0.3 F1 points" in report(result)
