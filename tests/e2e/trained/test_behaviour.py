"""The trained ensembles keep to the pass rates of the behaviour suite in floors.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.evaluation.behaviour.show import failures, table, workspace_report

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
FLOORS = yaml.safe_load(Path(__file__).with_name("floors.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_ensemble_keeps_to_its_pass_rates(trained: Workspace, language: str) -> None:
    report = workspace_report(trained, language)
    rates = report.rates() | {"overall": report.overall, "must": report.must}
    measured, slack = FLOORS[trained.profile][language], FLOORS[trained.profile]["slack"]
    assert set(measured) == set(rates)
    fallen = {
        name: (rates[name], rate)
        for name, rate in measured.items()
        if rates[name] < rate - slack.get(name, slack["capability"])
    }
    assert not fallen, f"{fallen}\n{table(report)}\n{failures(report)}"
