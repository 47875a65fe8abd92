"""Flat names for MLflow, parameters of one language, and figures by step."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.config.settings import load_params
from multiner.pipeline.registry.replay import final_metrics, flatten, history_metrics, model_params


def test_flatten_keeps_lists_as_leaves() -> None:
    assert dict(flatten({"a": {"b": [1, 2], "c": {"d": None}}})) == {"a.b": [1, 2], "a.c.d": None}


def test_the_projects_parameters_fit_mlflow(root: Path) -> None:
    params = model_params(load_params(root, "cpu"), "en")
    assert params["transformer.epochs"] == "2"
    assert (params["spacy.vectors"], params["shipped.pipeline"]) == ("en_core_web_md", "en_core_web_md")
    assert params["languages.train_on"] == "['conll2003', 'wnut17']"
    assert not any(name.startswith("languages.transformer") for name in params)
    assert params["profile"] == "cpu"
    assert not [name for name in params if name.startswith(("serving", "airflow", "pull")) or "ru" in name.split(".")]


def test_final_metrics_name_corpus_split_system() -> None:
    per_type = {"PER": {"f1": 95.0, "support": 3}}
    metrics = {
        "corpora": {"conll2003": {"test": {"ensemble": {"f1": 90.5, "per_type": per_type, "interval": [89, 92]}}}},
        "minutes": {"total": 2},
        "seed": 13,
        "commit": "abc",
        "odd": {"a+b": 1},
    }
    assert final_metrics(metrics) == {
        "conll2003/test/ensemble/f1": 90.5,
        "conll2003/test/ensemble/PER/f1": 95.0,
        "conll2003/test/ensemble/PER/support": 3.0,
        "minutes/total": 2.0,
        "odd/a_b": 1.0,
    }


def test_history_gives_every_figure_its_step() -> None:
    history = [{"step": 10, "epoch": 1, "loss": 0.5, "dev_f1": None}, {"step": 20, "loss": 0.25, "dev_f1": 80}]
    assert list(history_metrics("spacy", history)) == [
        ("spacy/epoch", 1.0, 10),
        ("spacy/loss", 0.5, 10),
        ("spacy/loss", 0.25, 20),
        ("spacy/dev_f1", 80.0, 20),
    ]


@pytest.mark.parametrize(("profile", "share"), [("cpu", 0.8), ("light", 0.8), ("bert", 0.8), ("smoke", 0), ("demo", 0)])
def test_trial_profiles_ask_for_no_golden_content_and_no_behaviour(root: Path, profile: str, share: float) -> None:
    rules = load_params(root, profile)["promotion"]
    assert rules["golden_share"] == share
    assert (rules["min_behaviour"] is None) == (share == 0)
