"""The champion and the challenger of a language, and the rollback to an earlier champion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import journal
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.journal.entry import JournalEntry, checked_reason, now
from multiner.pipeline.registry.journal.former_switches import PREVIOUS, ROLLED_BACK, SINCE
from multiner.pipeline.registry.registration import alias_version, known_version
from multiner.pipeline.registry.runs import deleted_run, require_files, run_id_of, run_of
from multiner.pipeline.registry.store import CHALLENGER, CHAMPION, model_name, open_store, registry_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class ModelVersionInfo:
    """A registered version; ``scores`` are the ensemble's test F1 by corpus, in percent.

    Fields from its MLflow run (experiment, profile, data, commit, scores) are empty if the run was deleted for good.
    """

    name: str
    version: str
    run_id: str
    experiment_id: str
    created: datetime
    champion_since: str | None
    profile: str
    data_hash: str
    git_commit: str
    scores: dict[str, float]

    @property
    def uri(self) -> str:
        """MLflow's address of this version; an alias could move before it is read."""
        return f"models:/{self.name}/{self.version}"


def version_info(client: MlflowClient, name: str, version: str) -> ModelVersionInfo:
    """The facts that the registry holds about a version."""
    entry = client.get_model_version(name, version)
    run_id = run_id_of(entry)
    run = run_of(client, run_id)
    tags = run.data.tags if run else {}
    return ModelVersionInfo(
        name=name,
        version=str(version),
        run_id=run_id,
        experiment_id=run.info.experiment_id if run else "",
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        champion_since=entry.tags.get(SINCE),
        profile=tags.get("profile", ""),
        data_hash=tags.get("data_hash", ""),
        git_commit=tags.get("git_commit", ""),
        scores=journal.f1_on_test(run),
    )


@registry_errors()
def champion(workspace: Workspace, language: str) -> ModelVersionInfo | None:
    """The champion of a language under the workspace's profile; None where there is none yet."""
    return _holder(workspace, language, CHAMPION)


@registry_errors()
def challenger(workspace: Workspace, language: str) -> ModelVersionInfo | None:
    """The challenger, not judged yet or refused by the gate; None where there is none."""
    return _holder(workspace, language, CHALLENGER)


@registry_errors()
def registered_version(workspace: Workspace, language: str, version: str) -> ModelVersionInfo | None:
    """A version of a language's model under the workspace's profile; None where there is no such version."""
    client, name = open_store(workspace), model_name(workspace, language)
    number = known_version(client, name, version)
    return version_info(client, name, number) if number else None


def _holder(workspace: Workspace, language: str, alias: str) -> ModelVersionInfo | None:
    client, name = open_store(workspace), model_name(workspace, language)
    version = alias_version(client, name, alias)
    return version_info(client, name, version) if version else None


@registry_errors()
def model_folder(version: ModelVersionInfo) -> Path:
    """A version's folder, copied from a store that is elsewhere. Raises NerError if the files were deleted."""
    from mlflow.artifacts import download_artifacts

    require_files(version.name, version.version)
    return Path(download_artifacts(artifact_uri=version.uri))


def model_bytes(uri: str) -> int:
    """The size of a version's folder, as MLflow recorded it when it was logged; 0 if it did not."""
    from mlflow.models import Model

    return Model.load(uri).model_size_bytes or 0


def set_champion(client: MlflowClient, name: str, version: str, entry: JournalEntry | None = None) -> None:
    """Make a version champion, and note the champion before; a killed call can be repeated.

    Args:
        entry: of the journal; by default a promotion.
    """
    before = alias_version(client, name, CHAMPION)
    if before != version:
        entry = journal.note(client, name, entry or JournalEntry(now(), "promotion", before, version))
        if ROLLED_BACK in client.get_model_version(name, version).tags:
            client.delete_model_version_tag(name, version, ROLLED_BACK)
        client.set_model_version_tag(name, version, SINCE, entry.at)
        if before:
            client.set_model_version_tag(name, version, PREVIOUS, before)
        client.set_registered_model_alias(name, CHAMPION, version)
    if alias_version(client, name, CHALLENGER) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


@registry_errors()
def rollback(
    workspace: Workspace,
    language: str,
    version: str | None = None,
    *,
    expected: str | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> str:
    """Make the champion before this one (or ``version``) champion again; returns its version.

    The version that is no longer champion is marked as rolled back, and is not promoted again by itself.

    Args:
        expected: the version that the caller takes for the champion; if another is, nothing is rolled back.
        by: who orders it; by default the user, or the DAG run, of this process.
        reason: a line of 200 characters at most.

    Raises:
        NerError: there is no champion, another than expected, none before it, or no such version; that version is
            champion already, or its files were deleted; or the reason is too long. Nothing has changed then.
    """
    reason = checked_reason(reason)
    choice = f"Name the version to go back to: ner rollback {language} --version N (see ner history {language})"
    name = model_name(workspace, language)
    with registry_lock(workspace, f".{name}.lock"):
        client = open_store(workspace)
        current = alias_version(client, name, CHAMPION)
        if current is None:
            raise NerError(
                f"{name} has no champion to roll back", remedy=f"Train and promote one: ner register -l {language}"
            )
        if expected is not None and current != expected:
            raise NerError(
                f"nothing was rolled back: version {current} is champion, not version {expected}",
                remedy=f"Somebody else switched; see ner history {language}",
            )
        goal = client.get_model_version(name, current).tags.get(PREVIOUS) if version is None else version
        if goal is None:
            raise NerError(f"{name} has no champion before version {current}", remedy=choice)
        target = known_version(client, name, goal)
        if target is None:
            raise NerError(f"{name} has no version {goal}", remedy="The page /models and MLflow list the versions.")
        if target == current:
            raise NerError(f"{name} version {current} is champion already", remedy=choice)
        tags = client.get_model_version(name, target).tags
        if ROLLED_BACK in tags and version is None:
            raise NerError(
                f"{name} version {target}, the champion before, was itself rolled back at {tags[ROLLED_BACK]}",
                remedy=choice,
            )
        require_files(name, target)
        at = journal.note(client, name, JournalEntry(now(), "rollback", current, target, by, reason)).at
        if ROLLED_BACK in tags:
            client.delete_model_version_tag(name, target, ROLLED_BACK)
        client.set_model_version_tag(name, current, ROLLED_BACK, at)
        client.set_model_version_tag(name, target, SINCE, at)
        run_id = client.get_model_version(name, current).run_id  # of a version registered by hand there may be none
        if run_id and not deleted_run(client, name, current):
            suffix = f" ({reason})" if reason else ""
            client.set_tag(run_id, ROLLED_BACK, f"{at}: version {target} is champion again{suffix}")
        client.set_registered_model_alias(name, CHAMPION, target)  # last: whatever fails before, nothing has moved
    return target
