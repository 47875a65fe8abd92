"""The gate with the shipped rules, which the trial profiles weaken, judges what the job has trained and registered."""

from __future__ import annotations

import pytest

from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.registry import champion
from multiner.pipeline.registry.champions import model_folder
from multiner.pipeline.registry.gate.comparison import JudgedModel, gate_documents
from multiner.pipeline.registry.gate.judgement import judge
from tests.e2e.conftest import Job

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_shipped_rules_judge_a_trained_model(job: Job, first_run: str, language: str) -> None:
    smoke, shipped = Workspace.load("smoke", job.root), load_params(job.root, "cpu")
    verdict = judge(
        JudgedModel(model_folder(champion(smoke, language))),
        None,
        gate_documents(smoke, language),
        language=language,
        types=smoke.language(language)["types"],
        options=shipped["promotion"],
        seed=shipped["seed"],
    )
    assert (verdict.passed, verdict.final) == (True, True), verdict.reasons
    (f1, golden, behaviour) = (verdict.details[part] for part in ("f1", "golden", "behaviour"))
    assert f1["challenger"] > verdict.details["floor"]["min_f1"] == 30
    assert golden["share"] >= golden["required"] == 0.8
    assert behaviour["challenger"]["must"] >= behaviour["must"] == 90
    assert behaviour["challenger"]["cases"] > 300
