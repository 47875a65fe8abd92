"""The model card says what the model is, from what, how good, and what not to do with it."""

from __future__ import annotations

from dataclasses import replace

from multiner.pipeline.core.files import read_json
from multiner.pipeline.registry import lineage
from multiner.pipeline.registry.card import model_card, score_table, threshold_table, with_behaviour


def test_card_has_scores_data_licences_and_limits(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    card = model_card(workspace, "en", read_json(workspace.paths.metrics("en")))
    assert card.startswith("# ner-en\n")
    for part in ("91.25", "Reuters", "CC BY 4.0", "abab", "## Use and limits", "PER, LOC, ORG, MISC", "0123456789"):
        assert part in card
    assert "$" not in card
    assert "mean nothing" not in card


def test_card_of_a_trial_profile_says_so(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    trial = replace(workspace, params=workspace.params | {"profile": "smoke"})
    card = model_card(trial, "en", read_json(workspace.paths.metrics("en")))
    assert card.startswith("# ner-en-smoke")
    assert "scores mean nothing" in card


def test_card_names_the_corpora_that_the_encoder_was_trained_on_first(workspace) -> None:  # noqa: ANN001
    """Their licences hold for these weights, too."""
    card = model_card(workspace, "ru", {})
    assert "- `conll2003` (its encoder was trained on it first): CoNLL-2003" in card
    assert "`packaged:e5-small` (trained on the documents of another language first)" in card
    assert [folder.name for folder in lineage.raw_folders(workspace, "ru")][1:] == ["conll2003", "wnut17"]


def test_score_table_leaves_a_missing_system_blank() -> None:
    table = score_table(
        {"corpora": {"wnut17": {"test": {"ensemble": {"f1": 50.0, "per_type": {}}}, "dev": {}}}},
        ["transformer", "spacy"],
    )
    assert table.splitlines()[2:] == ["| wnut17 | 50.00 |  |  |  |"]


def test_thresholds_stand_with_what_they_keep() -> None:
    figures = {"precision": 95.5, "recall": 60.25, "share": 61.5}
    metrics = {
        "corpora": {"wnut17": {"test": {"ensemble": {"calibration": {"ece": 0.0312, "brier": 0.12}}}}},
        "thresholds": {
            "wnut17": {
                "ensemble": {
                    "95": {
                        "score": 0.91,
                        "gate": figures,
                        "test": figures | {"precision": 93.0},
                        "types": {"LOC": 0.8, "PER": None},
                    },
                    "99": {"score": None, "gate": None, "test": None, "types": {"LOC": None, "PER": None}},
                }
            }
        },
    }
    assert threshold_table(metrics).splitlines()[2:] == [
        "| wnut17 | 0.0312 | 0.1200 | 95 % | 0.9100 | 95.50 | 60.25 | 61.50 | 93.00 | 60.25 "
        "| LOC 0.8000, PER not reached |",
        "| wnut17 | 0.0312 | 0.1200 | 99 % | not reached |  |  |  |  |  | LOC not reached, PER not reached |",
    ]
    assert threshold_table({"corpora": {}}) == "Not measured."


def test_card_of_the_bundled_samples_claims_no_corpus(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    demo = replace(workspace, params=workspace.params | {"profile": "demo", "prepare": {"raw": "data/samples"}})
    card = model_card(demo, "en", read_json(workspace.paths.metrics("en")))
    assert "invented samples" in card
    assert "Reuters" not in card


def test_pass_rates_take_their_place_in_the_card_and_are_replaced_by_newer_ones(workspace, fill, empty_leg) -> None:  # noqa: ANN001
    fill(empty_leg)
    card = model_card(workspace, "en", read_json(workspace.paths.metrics("en")))
    assert "Not tested yet" in card
    once = with_behaviour(card, {"lower_case": 41.26, "overall": 90.0}, 50)
    assert "Not tested yet" not in once
    assert "| lower_case | 41.3 % |" in once
    assert "50 small tests" in once
    twice = with_behaviour(once, {"lower_case": 50.0}, 20)
    assert "41.3" not in twice
    assert "| lower_case | 50.0 % |" in twice
    for part in ("## Scores", "91.25", "## Data", "## Use and limits", "## Licences"):
        assert once.count(part) == twice.count(part) == card.count(part)
