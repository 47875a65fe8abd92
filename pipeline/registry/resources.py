"""The resources that the stages of a model used, as figures of its MLflow run: ``usage/<stage>/<figure>``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import usage
from multiner.pipeline.core.usage import Usage

if TYPE_CHECKING:
    from mlflow import MlflowClient

TOTAL = "total"
FIGURES = ("seconds", "cpu_hours", "peak_megabytes", "energy_kwh")


def stage_usage(workspace: Workspace, language: str) -> dict[str, Usage]:
    """What the stages of a language, and those of all languages, used when they last ran here."""
    folder = workspace.paths.usage("any").parent
    found = {}
    for file in sorted(folder.glob("*.json")):
        stage, _, item = file.stem.partition("@")
        if item in ("", language) and (record := usage.read(file)):
            found[stage] = record
    return found


def figures(record: Usage, options: Mapping[str, float]) -> dict[str, float]:
    """A record as figures; the energy is an estimate.

    Args:
        options: the section ``usage`` of params.yaml: watts of a busy core, and of the machine meanwhile.
    """
    joules = record.cpu_seconds * options["core_watts"] + record.seconds * options["machine_watts"]
    values = (record.seconds, record.cpu_seconds / 3600, record.peak_bytes / 1e6, joules / 3.6e6)
    return dict(zip(FIGURES, (round(value, 6) for value in values), strict=True))


def summed(steps: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures of all steps together: sums, and the highest peak."""
    values = {name: [step[name] for step in steps.values()] for name in FIGURES}
    return {name: round(max(each) if name == "peak_megabytes" else sum(each), 6) for name, each in values.items()}


def log_usage(client: MlflowClient, run_id: str, steps: Mapping[str, Usage], options: Mapping[str, float]) -> None:
    """Log the figures of steps in a run, and those of all its steps so far together."""
    from mlflow.entities import Metric

    known = usage_of(client.get_run(run_id).data.metrics)
    known |= {step: figures(record, options) for step, record in steps.items()}
    if not known:
        return
    known[TOTAL] = summed({step: values for step, values in known.items() if step != TOTAL})
    changed = {step: known[step] for step in (*steps, TOTAL)}
    now = int(time.time() * 1000)
    named = [(f"usage/{step}/{name}", value) for step, values in changed.items() for name, value in values.items()]
    client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in named])


def usage_of(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The figures of each step among a run's metrics."""
    steps: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        parts = name.split("/")
        if parts[0] == "usage" and len(parts) == 3 and parts[2] in FIGURES:
            steps.setdefault(parts[1], dict.fromkeys(FIGURES, 0.0))[parts[2]] = value
    return steps
