"""A small registry, real but invented: two versions of ner-en, the second champion after the first; none of ner-ru."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.registry import champion
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.gate.verdict_notes import KEY, PASSED, REASONS
from multiner.pipeline.registry.store import open_experiment, open_store
from multiner.serving.backends.backend import ServedModel

BINS = [
    {"low": 0.2, "high": 0.6, "score": 0.5, "accuracy": 0.25, "count": 40},
    {"low": 0.6, "high": 1.0, "score": 0.9, "accuracy": 0.75, "count": 41},
]


def system(f1: float) -> dict[str, Any]:
    """Figures of a system, calibration included."""
    calibration = {"ece": 0.125, "brier": 0.1, "bins": BINS}
    return {"f1": f1, "precision": f1 + 1, "recall": f1 - 1, "support": 81, "calibration": calibration}


def threshold(precision: float) -> dict[str, float]:
    """What a threshold keeps."""
    return {"precision": precision, "recall": 60.5, "share": 70.0}


FIGURES = {
    "corpora": {
        "conll2003": {
            "dev": {"transformer": system(95.0), "ensemble": system(96.0)},
            "test": {"transformer": system(90.5), "spacy": system(80.25), "ensemble": system(91.75)},
            "test_without_overlap": {"transformer": system(89.5), "ensemble": system(90.0)},
        },
        "wnut17": {
            "test": {"transformer": system(50.0), "ensemble": system(49.0)},
            "test_without_overlap": {"transformer": system(50.0), "ensemble": system(49.0)},
        },
    },
    "sizes": {"conll2003": {"test": {"documents": 12, "entities": 81}}},
    "overlapping_sentences": {"conll2003": 3, "wnut17": 0},
    "significance": {
        "conll2003": {"test": {"against": "transformer", "difference": 1.25, "low": 0.5, "high": 2.0, "p": 0.01}},
        "wnut17": {"test": {"against": "transformer", "difference": -1.0, "low": -2.0, "high": 0.25, "p": 0.2}},
    },
    "thresholds": {
        "conll2003": {
            "ensemble": {
                "95": {
                    "score": 0.625,
                    "gate": threshold(95.5),
                    "test": threshold(94.25),
                    "types": {"LOC": 0.5, "PER": None},
                },
                "99": {"score": None, "gate": None, "test": None, "types": {"LOC": None, "PER": None}},
            },
            "transformer": {},
        }
    },
}
SIZES = {
    "conll2003": {
        part: {"documents": number, "sentences": 10 * number, "tokens": 99, "entities": {"PER": 4, "LOC": 3}}
        for part, number in (("train", 1200), ("dev", 20), ("test", 12))
    }
}
BEHAVIOUR = {"cases": 8, "overall": 87.5, "must": 100.0, "capabilities": {"plain": 100.0, "lower_case": 75.0}}
REASON = "no worse: +0.40 points on the <gate> half"


def make_workspace(folder: Path, root: Path) -> Workspace:
    """A workspace with nothing in it; nothing listens on its ports."""
    plain = Workspace(folder, load_params(root, "cpu"))
    ports = dict.fromkeys(("airflow_port", "mlflow_port"), 1)
    return replace(plain, params=overlay(plain.params, {"serving": ports}))


def add_version(workspace: Workspace, **tags: str) -> str:
    """Register a version of ner-en with all that its run holds."""
    client = open_store(workspace)
    experiment = open_experiment(client, workspace, "en")
    usual = {"language": "en", "profile": "cpu", "git_commit": "0123456789abcdef", "data_hash": "d" * 64}
    run = client.create_run(experiment, tags=usual | tags).info
    client.log_param(run.run_id, "languages.train_on", "['conll2003', 'wnut17']")
    client.log_param(run.run_id, "languages.report_on", "['conll2003', 'wnut17']")
    client.log_dict(run.run_id, FIGURES, "en.json")
    client.log_dict(run.run_id, SIZES, "data/summary.json")
    if not client.search_registered_models("name = 'ner-en'"):
        client.create_registered_model("ner-en")
    client.log_text(run.run_id, "a model", "model/MLmodel")
    version = str(client.create_model_version("ner-en", f"{run.artifact_uri}/model", run.run_id).version)
    verdict = {"at": "2026-01-01T00:00:00+00:00", "behaviour": {"challenger": BEHAVIOUR}}
    client.log_dict(run.run_id, verdict, f"gate/version-{version}-against-none.json")
    for tag, value in ((PASSED, "true"), (REASONS, f'["{REASON}"]'), (KEY, "k")):
        client.set_model_version_tag("ner-en", version, tag, value)
    return version


def fill(workspace: Workspace) -> None:
    """Two versions, both champions in their time."""
    for _ in range(2):
        set_champion(open_store(workspace), "ner-en", add_version(workspace))


def gateway(harness: Any, workspace: Workspace, **settings: Any) -> Any:
    """A gateway whose champions are the registry's; those of languages without any are the harness's."""

    class OfRegistry(harness):
        def resolve(self, language: str, version: str | None) -> ServedModel | None:
            holder = champion(workspace, language) if version is None else None
            if holder:
                return ServedModel(language, holder.name, holder.version, "unused")
            return super().resolve(language, version)

    return OfRegistry(workspace=workspace, **settings)
