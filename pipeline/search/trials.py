"""The trials of a search, their runs in MLflow, and the profile with the best values."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import yaml

from multiner.pipeline.config.settings import Workspace, load_params, overlay, read_yaml
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_atomically
from multiner.pipeline.core.training_failures import Diverged
from multiner.pipeline.models.training_documents import read_training
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.store import open_experiment, open_store
from multiner.pipeline.search.space import current_values, rounded, suggest
from multiner.pipeline.search.study import open_study

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study, Trial

RUN = "ner.mlflow_run"  # attribute of a study or trial: the id of its run in MLflow


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a study knows at the end of a call.

    Attributes:
        trials: number of finished trials; ``pruned`` of them ended early.
        best: values of the best trial by parameter.
        f1: its F1 on the tune halves, in percent.
        current_f1: that of the current parameters; None if they lie outside the ranges or are not finished.
        profile: the profile that was written with the best values.
    """

    trials: int
    pruned: int
    best: dict[str, Any]
    f1: float
    current_f1: float | None
    profile: str


def run(
    workspace: Workspace, language: str, *, trials: int, minutes: float | None = None, name: str = "search",
    storage: str | None = None,
) -> SearchResult:  # fmt: skip
    """Start trials, or continue a study, and write its best values as the profile ``<profile>-<name>``.

    Args:
        workspace, language: parameters, paths and prepared documents.
        trials: number of trials in the study, those of earlier calls and of other processes included.
        minutes: no further trial starts after this time.
        name: name of the study and the end of the written profile's name.
        storage: a database of Optuna's, as SQLAlchemy's URL; by default ``data/search.db``.

    Raises:
        NerError: Optuna is missing, the ranges have a parameter of the start, the study was begun with other inputs, or
            no trial has finished.
    """
    fixed = [key for key in ("encoder", "start_epochs") if key in workspace.params["search"]["transformer"]]
    if fixed and workspace.section("transformer", language)["start"]:
        raise NerError(
            f"trials of {language!r} share one start (transformer.start): {', '.join(fixed)} cannot be searched",
            where="params.yaml: search.transformer", remedy=f"Remove {', '.join(fixed)} from the ranges.",
        )  # fmt: skip
    train, dev = read_training(workspace, language)
    study = open_study(workspace, language, train, dev, name=name, storage=storage)
    import optuna
    from optuna.trial import TrialState

    begin = time.monotonic()
    client = open_store(workspace)
    parent = _parent_run(client, workspace, language, study)
    while minutes is None or time.monotonic() - begin < 60 * minutes:
        optuna.storages.fail_stale_trials(study)  # those of killed processes, which are queued again
        begun = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING))
        if len(begun) >= trials:
            break
        study.optimize(lambda trial: _score(client, parent, workspace, language, train, dev, trial), n_trials=1)
    whole = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not whole:
        raise NerError("no trial has finished yet", where=study.study_name, remedy="Run the same command again.")
    pruned = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
    current = [trial.value for trial in whole if trial.params == current_values(workspace, language)]
    best = rounded(study.best_trial.params)
    result = SearchResult(len(whole) + pruned, pruned, best, study.best_value, next(iter(current), None),
                          f"{workspace.profile}-{name}")  # fmt: skip
    with registry_errors():
        client.log_metric(parent, "best_dev_f1", result.f1, step=result.trials)
        client.set_terminated(parent)
    _write_profile(workspace, language, result)
    return result


@registry_errors()
def _parent_run(client: MlflowClient, workspace: Workspace, language: str, study: Study) -> str:
    """The study's run in MLflow; made at the first call."""
    if run_id := study.user_attrs.get(RUN):
        client.update_run(run_id, status="RUNNING")
        return str(run_id)
    experiment = open_experiment(client, workspace, language)
    run = client.create_run(experiment, run_name=study.study_name, tags={"ner.search": study.study_name})
    study.set_user_attr(RUN, run.info.run_id)
    return str(run.info.run_id)


@registry_errors()
def _child_run(client: MlflowClient, parent: str, trial: Trial, values: Mapping[str, Any]) -> str:
    """The trial's run in MLflow; a trial that repeats one of a killed process goes on with its run."""
    if run_id := trial.user_attrs.get(RUN):
        client.update_run(run_id, status="RUNNING")
        return str(run_id)
    name = trial.study.study_name
    run = client.create_run(
        client.get_run(parent).info.experiment_id, run_name=f"{name} {trial.number}",
        tags={"mlflow.parentRunId": parent, "ner.search": name},
    )  # fmt: skip
    trial.set_user_attr(RUN, run.info.run_id)
    for key, value in values.items():
        client.log_param(run.info.run_id, f"transformer.{key}", value)
    return str(run.info.run_id)


def _score(
    client: MlflowClient, parent: str, workspace: Workspace, language: str, train: Sequence[Document],
    dev: Sequence[Document], trial: Trial,
) -> float:  # fmt: skip
    """Train with the values of a trial; returns its best F1 on the tune halves.

    The training runs in one process, whatever the launcher says, with batches accumulated in place of the others'.

    Raises:
        TrialPruned: after an epoch the trial is worse than the median of the others, or its loss is no finite number.
    """
    from optuna import TrialPruned

    from multiner.pipeline.models.transformer.training import train_model

    values = suggest(trial, workspace.params["search"]["transformer"])
    section = workspace.section("transformer", language) | values
    launcher = section["launcher"]
    own = values | {
        "launcher": {"processes": 1, "nodes": 1},
        "accumulate": section["accumulate"] * launcher["processes"] * launcher["nodes"],
    }
    changed = overlay(workspace.params, {"languages": {language: {"transformer": own}}})
    name = f"{trial.study.study_name}-{sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]}"
    folder = workspace.paths.checkpoints(language, f"{name}-model")
    run = _child_run(client, parent, trial, values)

    def after_epoch(epoch: int, f1: float) -> None:
        with registry_errors():
            client.log_metric(run, "dev_f1", f1, step=epoch)
        trial.report(f1, epoch)
        if trial.should_prune():
            raise TrialPruned

    status = "FAILED"  # until the training ends by itself
    try:
        train_model(replace(workspace, params=changed), language, train, dev, folder=folder, name=name,
                    after_epoch=after_epoch)  # fmt: skip
        status = "FINISHED"
        return max(float(epoch["dev_f1"]) for epoch in read_json(folder / "history.json"))
    except (TrialPruned, Diverged) as error:
        status = "FINISHED"
        client.set_tag(run, "ner.pruned", "true")
        shutil.rmtree(workspace.paths.checkpoints(language, name), ignore_errors=True)
        raise TrialPruned(str(error)) from error
    except KeyboardInterrupt:
        trial.study.enqueue_trial(trial.params)  # the next call goes on from its checkpoint
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        client.set_terminated(run, status)


def _write_profile(workspace: Workspace, language: str, result: SearchResult) -> None:
    """Write the best values into the result's profile: an overlay of the current one, or of its own earlier state."""
    path = workspace.root / "params" / f"{result.profile}.yaml"
    base = read_yaml(path if path.is_file() else path.with_name(f"{workspace.profile}.yaml"))
    values = overlay(base, {"languages": {language: {"transformer": result.best}}})
    with write_atomically(path) as file:
        file.write(f"# Profile {workspace.profile} with what `ner search` has found best; made by the command.\n")
        yaml.safe_dump(values, file, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    load_params(workspace.root, result.profile)
