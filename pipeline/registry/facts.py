"""Records of a model's versions and of their runs, to be shown; nothing is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate.verdict_notes import KEY, PASSED, REASONS, REPORT
from multiner.pipeline.registry.journal.former_switches import PREVIOUS, ROLLED_BACK, SINCE
from multiner.pipeline.registry.runs import if_exists, run_of
from multiner.pipeline.registry.store import model_name, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A registered version as the registry has it.

    ``champion_since``, ``rolled_back`` and ``previous`` (the champion before it) are None if that never happened;
    ``gate_passed`` is None before a final verdict, ``gate_reasons`` are its reasons, ``gate_key`` identifies it, and
    ``gate_report`` is the address of its report among MLflow's artifacts ("": there is none).
    """

    name: str
    version: str
    run_id: str
    created: datetime
    aliases: tuple[str, ...]
    champion_since: str | None
    rolled_back: str | None
    previous: str | None
    gate_passed: bool | None
    gate_reasons: tuple[str, ...]
    gate_key: str
    gate_report: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The training run behind a version: its tags, its parameters, and the content of its files ({} where missing).

    ``figures`` are those of the evaluation (see :func:`multiner.pipeline.evaluation.metrics.figures`), ``sizes`` the
    numbers of prepared documents by corpus and part, ``gate`` is the last verdict on the version, ``sources`` are the
    raw corpora with their digests.
    """

    run_id: str
    experiment_id: str
    tags: dict[str, str]
    params: dict[str, str]
    figures: dict[str, Any]
    sizes: dict[str, Any]
    gate: dict[str, Any]
    sources: dict[str, str]


def history(client: MlflowClient, name: str) -> list[VersionRecord]:
    """The versions of a registered model, the newest first; none where there is no such model."""
    model = if_exists(client.get_registered_model, name)
    if model is None:
        return []
    versions = client.search_model_versions(f"name = '{name}'", max_results=1000)
    newest_first = sorted(versions, key=lambda version: int(version.version), reverse=True)
    return [_version_record(version, model.aliases) for version in newest_first]  # a search may leave aliases out


@registry_errors()
def last_judged(workspace: Workspace, language: str) -> VersionRecord | None:
    """The newest version of a language that the gate has judged; None where there is none."""
    versions = history(open_store(workspace), model_name(workspace, language))
    return next((version for version in versions if version.gate_passed is not None), None)


def _version_record(entry: ModelVersion, aliases: dict[str, str]) -> VersionRecord:
    tags, version = entry.tags, str(entry.version)
    return VersionRecord(
        name=entry.name,
        version=version,
        run_id=entry.run_id or "",
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(alias for alias, of in aliases.items() if str(of) == version)),
        champion_since=tags.get(SINCE),
        rolled_back=tags.get(ROLLED_BACK),
        previous=tags.get(PREVIOUS),
        gate_passed={"true": True, "false": False}.get(tags.get(PASSED, "")),
        gate_reasons=tuple(json.loads(tags.get(REASONS, "[]"))),
        gate_key=tags.get(KEY, ""),
        gate_report=tags.get(REPORT, ""),
    )


def run_record(client: MlflowClient, version: VersionRecord) -> RunRecord | None:
    """The record of the run behind a version; None where the run was deleted for good.

    Raises:
        mlflow.exceptions.MlflowException: the registry does not answer.
    """
    run = run_of(client, version.run_id)
    if run is None:
        return None
    tags = dict(run.data.tags)
    folders = (None, "data", "gate")
    paths = {item.path for folder in folders for item in client.list_artifacts(run.info.run_id, folder)}

    def load(path: str) -> dict[str, Any]:
        from mlflow.artifacts import load_dict

        return load_dict(f"{run.info.artifact_uri}/{path}") if path in paths else {}

    verdict = f"gate/version-{version.version}-against-*.json"
    verdicts = [load(path) for path in paths if fnmatchcase(path, verdict)]
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return RunRecord(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        tags=tags,
        params=dict(run.data.params),
        figures=load(f"{tags.get('language')}.json"),
        sizes=load("data/summary.json"),
        gate=max(verdicts, key=lambda verdict: verdict.get("at", ""), default={}),
        sources={each.dataset.name: each.dataset.digest for each in inputs},
    )
