"""The outputs of the stages in an MLflow run: parameters, figures by step, datasets and artifacts."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from multiner.pipeline.config.settings import Workspace, for_language
from multiner.pipeline.core.files import folder_hash, read_json
from multiner.pipeline.registry import lineage
from multiner.pipeline.registry.card import CARD, model_card
from multiner.pipeline.registry.drift_reference import log_reference

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

PARAMS_A_BATCH, METRICS_A_BATCH = 100, 1000  # MLflow's limits
PARAM_LENGTH = 6000
ODD = re.compile(r"[^\w\-. :/]")  # characters that MLflow takes in no name
RUNTIME = ("pull", "serving", "keep", "drift", "airflow", "usage", "notices")  # sections that do not concern a model


def log_run(client: MlflowClient, run_id: str, workspace: Workspace, language: str, metrics: dict[str, Any]) -> None:
    """Log everything but the model itself."""
    _log_figures(client, run_id, workspace, language, metrics)
    client.log_inputs(run_id, list(datasets(workspace, language)))
    _log_artifacts(client, run_id, workspace, language, metrics)
    log_reference(client, run_id, workspace, language)


def _log_figures(
    client: MlflowClient, run_id: str, workspace: Workspace, language: str, metrics: dict[str, Any]
) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    params = [Param(key, value[:PARAM_LENGTH]) for key, value in model_params(workspace.params, language).items()]
    figures = [Metric(name, value, now, 0) for name, value in final_metrics(metrics).items()]
    for leg in workspace.legs(language):
        history = workspace.paths.leg(language, leg) / "history.json"
        if history.is_file():
            figures += [
                Metric(name, value, now, step) for name, value, step in history_metrics(leg, read_json(history))
            ]
    for start in range(0, len(params), PARAMS_A_BATCH):
        client.log_batch(run_id, params=params[start : start + PARAMS_A_BATCH])
    for start in range(0, len(figures), METRICS_A_BATCH):
        client.log_batch(run_id, metrics=figures[start : start + METRICS_A_BATCH])


def datasets(workspace: Workspace, language: str) -> Iterator[DatasetInput]:
    """The raw corpora of a language as MLflow inputs, with DVC's hash as digest where DVC tracks them."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    for place in lineage.raw_folders(workspace, language):
        tracked = place.with_name(f"{place.name}.dvc")
        if tracked.is_file():
            digest = lineage.dvc_hash(tracked)
        elif place.is_dir():
            digest = folder_hash(place)[:36]  # as long as MLflow lets it be
        else:
            continue
        source = json.dumps({"uri": place.relative_to(workspace.root).as_posix()})
        yield DatasetInput(Dataset(place.name, digest, "local", source), [InputTag("mlflow.data.context", "training")])


def _log_artifacts(
    client: MlflowClient, run_id: str, workspace: Workspace, language: str, metrics: dict[str, Any]
) -> None:
    paths = workspace.paths
    report = paths.report(language)
    folders = {"plots": report / "plots", "validation": paths.validation(language)}
    files: list[tuple[Path, str | None]] = [
        (workspace.root / "dvc.lock", "lineage"),
        (workspace.root / "requirements.lock", "lineage"),
        (report / "report-public.html", "report"),
        (paths.metrics(language), None),
        (paths.documents(language) / "summary.json", "data"),
    ]
    files += [(path, "lineage/data/raw") for path in sorted(paths.raw.glob("*.dvc"))]
    for leg in workspace.legs(language):
        files.append((paths.leg(language, leg) / "history.json", f"history/{leg}"))
    for path, target in files:
        if path.is_file():
            client.log_artifact(run_id, str(path), target)
    for target, folder in folders.items():
        if folder.is_dir():
            client.log_artifacts(run_id, str(folder), target)
    client.log_text(run_id, model_card(workspace, language, metrics), CARD)
    with TemporaryDirectory() as temporary:
        resolved = Path(temporary) / "params.yaml"
        resolved.write_text(yaml.safe_dump(workspace.params, sort_keys=False, allow_unicode=True), encoding="utf-8")
        client.log_artifact(run_id, str(resolved), "lineage")
    if diff := lineage.git_diff(workspace.root):
        client.log_text(run_id, diff, "lineage/changes.diff")


def flatten(value: Any, separator: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and leaves of nested mappings; a list is a leaf."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from flatten(below, separator, f"{prefix}{separator}{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value


def model_params(params: Mapping[str, Any], language: str) -> dict[str, str]:
    """The parameters of a language's model, by dotted name."""
    sections = {key: value for key, value in for_language(params, language).items() if key not in RUNTIME}
    return {name: str(value) for name, value in flatten(sections)}


def final_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Figures by name: ``<corpus>/<split>/<system>/f1``, ``…/<system>/<type>/f1``, ``minutes/total`` …"""
    others = {key: value for key, value in metrics.items() if key not in ("corpora", "seed", "threads")}
    figures = [*flatten(metrics.get("corpora", {}), "/"), *flatten(others, "/")]
    return {ODD.sub("_", name.replace("/per_type/", "/")): float(value) for name, value in figures if _is_number(value)}


def history_metrics(leg: str, history: list[Mapping[str, Any]]) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of every figure in a base model's training history."""
    for entry in history:
        for key, value in entry.items():
            if key != "step" and _is_number(value):
                yield f"{leg}/{key}", float(value), int(entry["step"])


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
