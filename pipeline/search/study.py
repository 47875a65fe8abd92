"""The study of a search: its database, and what all its trials have in common."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document, documents_hash
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import reason_of
from multiner.pipeline.search.space import current_values

if TYPE_CHECKING:
    from optuna import Study

HEARTBEAT_SECONDS, GRACE_SECONDS = 15, 60  # a trial without heartbeat for so long belongs to a process that has ended
WITHOUT_PRUNING = 4  # trials that must be whole before others are compared with their median
INPUTS = "ner.inputs"  # attribute of a study: a hash of what its trials have in common


def open_study(
    workspace: Workspace, language: str, train: Sequence[Document], dev: Sequence[Document], *, name: str,
    storage: str | None,
) -> Study:  # fmt: skip
    """The study of this name; a new one begins with the current parameters.

    Raises:
        NerError: Optuna is missing, its database cannot be opened, or the study was begun with other inputs.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    url = storage or f"sqlite:///{workspace.root / 'data' / 'search.db'}"
    study_name = f"{workspace.profile}-{name}-{language}"
    try:
        with locks.hold(workspace.root / "data" / "search.db.lock", locks.SEARCH):
            database = optuna.storages.RDBStorage(
                url,
                engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
                    max_retry=3, inherit_intermediate_values=True
                ),
            )
        study = optuna.create_study(
            storage=database,
            study_name=study_name,
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(multivariate=True, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=WITHOUT_PRUNING),
        )
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError) as error:
        raise NerError(
            f"the search's database cannot be opened: {reason_of(error)}", where="--storage" if storage else url,
            remedy="Name a database as in sqlite:////srv/search.db or postgresql://host/search.",
        ) from None  # fmt: skip
    inputs = _inputs(workspace, language, train, dev)
    if study.user_attrs.setdefault(INPUTS, inputs) != inputs:
        raise NerError(
            "the study was begun with other documents, parameters or ranges, so its trials cannot be compared",
            where=study_name, remedy="Begin a new study by another --name.",
        )  # fmt: skip
    study.set_user_attr(INPUTS, inputs)
    if current := current_values(workspace, language):
        study.enqueue_trial(current, skip_if_exists=True)
    return study


def _inputs(workspace: Workspace, language: str, train: Sequence[Document], dev: Sequence[Document]) -> str:
    """A hash of what all trials of a study have in common."""
    from multiner.pipeline.models.transformer.encoders import content_hash
    from multiner.pipeline.models.transformer.training import encoder_of

    section, space = workspace.section("transformer", language), workspace.params["search"]["transformer"]
    fixed = {key: value for key, value in section.items() if key not in space}
    facts = [space, fixed, workspace.params["seed"], documents_hash(train), documents_hash(dev),
             content_hash(encoder_of(workspace, language))]  # fmt: skip
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
