"""The run report of a registered version: one HTML page with its data, gate, scores, trend, errors, plots and costs.

It is an artifact of the version's MLflow run. Registration writes it, and the gate anew with its verdict.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import usage
from multiner.pipeline.evaluation.predictions import ENSEMBLE
from multiner.pipeline.evaluation.report import IMAGES
from multiner.pipeline.registry import resources
from multiner.pipeline.registry.facts import RunRecord, VersionRecord, history, run_record
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.replay import flatten
from multiner.pipeline.registry.runs import deleted_run, run_id_of, run_of
from multiner.pipeline.registry.store import CHAMPION, model_name, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILE = "run-report.html"  # its name among a run's artifacts
TAG = "ner.run_report"  # of the version and of the run: where it is
VERDICT = "gate.report"  # a version's tag with the address of the verdict's own report, where the gate writes one
TEMPLATES = Path(__file__).parent / "templates"
TREND = 10  # versions
WIDTH, HEIGHT = 320, 60  # of a trend's diagram


@dataclass(frozen=True, slots=True)
class Score:
    """F1 on a part, in percent; ``champion`` is None where that was not measured on it, or there is none."""

    corpus: str
    split: str
    type: str
    f1: float
    champion: float | None

    @property
    def difference(self) -> float | None:
        """Points above the champion, as they are shown: a zero has no sign."""
        return None if self.champion is None else round(self.f1 - self.champion, 2) + 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """Test F1 of the last versions on a corpus, the oldest first; None where a version was not measured."""

    corpus: str
    points: tuple[tuple[str, float | None], ...]

    @property
    def line(self) -> str:
        """The measured points as those of an SVG polyline."""
        measured = [(place, value) for place, (_, value) in enumerate(self.points) if value is not None]
        low, high = min(value for _, value in measured), max(value for _, value in measured)
        across, upwards = WIDTH / max(1, len(self.points) - 1), HEIGHT / ((high - low) or 1)
        return " ".join(f"{place * across:.1f},{HEIGHT - (value - low) * upwards:.1f}" for place, value in measured)


@registry_errors()
def write_run_report(workspace: Workspace, language: str, version: str, step: str, *, anew: bool = True) -> str | None:
    """Log what this process has used as ``step``, and the report; returns the report's address below MLflow's pages.

    Args:
        step: ``register`` or ``promote``.
        anew: False: do nothing if there is a report.

    Returns:
        None where the version's run was deleted.
    """
    client, name = open_store(workspace), model_name(workspace, language)
    if deleted_run(client, name, version):
        return None
    entry = client.get_model_version(name, version)
    run_id = run_id_of(entry)
    address = f"experiments/{client.get_run(run_id).info.experiment_id}/runs/{run_id}/artifacts/{FILE}"
    if TAG in entry.tags and not anew:
        return address
    steps = {step: usage.so_far()}
    if step == "register":
        steps = resources.stage_usage(workspace, language) | steps
    resources.log_usage(client, run_id, steps, workspace.params["usage"])
    client.log_text(run_id, render(client, name, version), FILE)
    client.set_tag(run_id, TAG, FILE)
    client.set_model_version_tag(name, version, TAG, f"runs:/{run_id}/{FILE}")
    if not entry.description:
        client.update_model_version(name, version, f"[Run report](#/{address})")
    return address


def render(client: MlflowClient, name: str, version: str) -> str:
    """The page of a version whose run is there."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    versions = history(client, name)
    record = next(each for each in versions if each.version == version)
    run = run_record(client, record)
    assert run is not None  # the caller has seen it
    rival = champion_before(versions, record, run)
    rival_run = run_record(client, rival) if rival else None
    entry = client.get_model_version(name, version)
    steps = resources.usage_of(client.get_run(run.run_id).data.metrics)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("run_report.html").render(
        record=record,
        run=run,
        rival=rival,
        scores=scores(run.figures, rival_run.figures if rival_run else {}),
        errors=errors(run.figures),
        trends=trends(client, versions, version),
        verdict=artifact_page(run, entry.tags.get(VERDICT)),
        error_report=f"#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/report/report-public.html",
        images=images(client, run.run_id),
        total=steps.pop(resources.TOTAL, None),
        steps=steps,
        sides=(WIDTH, HEIGHT),
    )


def champion_before(versions: Sequence[VersionRecord], record: VersionRecord, run: RunRecord) -> VersionRecord | None:
    """The champion that a version was, or will be, compared with: the gate's, else the present one."""
    judged_against = run.gate.get("champion")
    others = [each for each in versions if each.version != record.version]
    by_gate = next((each for each in others if judged_against and each.version == judged_against), None)
    return by_gate or next((each for each in others if CHAMPION in each.aliases), None)


def scores(figures: Mapping[str, Any], rival: Mapping[str, Any]) -> list[Score]:
    """The ensemble's F1 on test parts and gate halves, overall (type "") and by type, beside the champion's."""
    before = dict(flatten(rival.get("corpora", {}), "/"))
    rows = []
    for corpus, splits in figures.get("corpora", {}).items():
        for split, systems in splits.items():
            if ENSEMBLE not in systems or not (split.startswith("test") or split == "dev_gate"):
                continue
            place, mine = f"{corpus}/{split}/{ENSEMBLE}", systems[ENSEMBLE]
            rows.append(Score(corpus, split, "", mine["f1"], before.get(f"{place}/f1")))
            for type_, value in mine.get("per_type", {}).items():
                rows.append(Score(corpus, split, type_, value["f1"], before.get(f"{place}/per_type/{type_}/f1")))
    return rows


def errors(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """By corpus and type, how many entities of the test part were missed, and how many wrong ones were found."""
    rows = []
    for corpus, splits in figures.get("corpora", {}).items():
        for type_, value in splits.get("test", {}).get(ENSEMBLE, {}).get("per_type", {}).items():
            if not {"support", "precision", "recall"} <= value.keys():
                continue
            right = value["support"] * value["recall"] / 100
            found = right / (value["precision"] / 100) if value["precision"] else 0
            missed, wrong = round(value["support"] - right), round(found - right)
            rows.append({"corpus": corpus, "type": type_, "gold": value["support"], "missed": missed, "wrong": wrong})
    return rows


def trends(client: MlflowClient, versions: Sequence[VersionRecord], version: str) -> list[Trend]:
    """For each corpus the test F1 of the last versions up to this one; a corpus that only one was measured on, too."""
    recent = [each for each in versions if int(each.version) <= int(version)][:TREND][::-1]
    ending = f"/test/{ENSEMBLE}/f1"
    measured: dict[str, dict[str, float]] = {}
    for each in recent:
        run = run_of(client, each.run_id)
        for metric, value in (run.data.metrics if run else {}).items():
            if metric.endswith(ending):
                measured.setdefault(metric.removesuffix(ending), {})[each.version] = value
    return [
        Trend(corpus, tuple((each.version, values.get(each.version)) for each in recent))
        for corpus, values in measured.items()
    ]


def artifact_page(run: RunRecord, uri: str | None) -> str | None:
    """The page in MLflow of an artifact ``runs:/<this run>/<path>``."""
    prefix = f"runs:/{run.run_id}/"
    if not uri or not uri.startswith(prefix):
        return None
    return f"#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/{uri.removeprefix(prefix)}"


def images(client: MlflowClient, run_id: str) -> dict[str, str]:
    """The evaluation's plots among a run's artifacts, by title, for embedding."""
    present = {item.path for item in client.list_artifacts(run_id, "plots")}
    found = {}
    with TemporaryDirectory(prefix="ner-report-") as folder:
        for file, title in IMAGES.items():
            if f"plots/{file}" in present:
                path = Path(client.download_artifacts(run_id, f"plots/{file}", folder))
                found[title] = b64encode(path.read_bytes()).decode()
    return found
