"""The trained models of the profile cpu, where there are any, keep to the pass rates in floors.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.evaluation.behaviour.show import failures, table, workspace_report

FLOORS = yaml.safe_load(Path(__file__).with_name("floors.yaml").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_trained_ensemble_keeps_to_its_pass_rates(language: str, root: Path) -> None:
    workspace = Workspace.load("cpu", root)
    if not workspace.paths.ensemble(language).is_file():
        pytest.skip("no trained ensemble of the profile cpu: dvc repro")
    report = workspace_report(workspace, language)
    found = report.rates() | {"overall": report.overall, "must": report.must}
    measured, slack = FLOORS[language], FLOORS["slack"]
    assert set(measured) == set(found)
    fallen = {
        name: (found[name], rate)
        for name, rate in measured.items()
        if found[name] < rate - slack.get(name, slack["capability"])
    }
    assert not fallen, f"{fallen}\n{table(report)}\n{failures(report)}"
