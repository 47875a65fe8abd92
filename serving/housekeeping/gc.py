"""``ner gc``: removes what nothing needs any more, kind by kind, each under the lock that protects it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.object_store import object_store
from multiner.pipeline.registry.store import model_name, registry_exists
from multiner.serving.housekeeping import airflow_history, cache, old_files, registry
from multiner.serving.housekeeping.in_use import versions_in_use
from multiner.serving.housekeeping.removal import Removal, only_housekeeper


@dataclass(frozen=True, slots=True)
class Kept:
    """Versions that stay: a line for each, with the reason."""

    lines: list[str]


def collect(workspace: Workspace, *, delete: bool) -> Iterator[Removal | Kept]:
    """Remove what the section ``keep`` of the parameters does not keep; yields each kind when it is done.

    The system may run meanwhile. A call that is killed leaves a whole state, and the next one does the rest.

    Args:
        workspace: whose registry, caches, logs and stores.
        delete: False: only say what would be deleted.

    Raises:
        NerError: a part does not answer, so that it is unknown what is needed, or holds a lock for too long. What was
            yielded before is done.
    """
    keep = workspace.params["keep"]
    days = keep["days"]
    with only_housekeeper(workspace):
        states: list[str] = []
        used = versions_in_use(workspace)
        if registry_exists(workspace):
            removal, stay = registry.old_versions(workspace, used, keep["versions"], delete=delete)
            yield Kept(stay)
            yield removal
            yield registry.deleted_runs(workspace, days, delete=delete)
            yield registry.stray_artifacts(workspace, delete=delete)
            states = registry.lineage_files(workspace)
        yield from cache.unused_objects(workspace, states, delete=delete)
        yield airflow_history.old_records(workspace, days, delete=delete)
        serving = [
            f"{model_name(workspace, code)}-{version}" for code, versions in used.items() for version in versions
        ]
        yield old_files.checkpoints(workspace, days, delete=delete)
        yield old_files.logs(workspace, days, serving, delete=delete)
        if store := object_store():
            commits = registry.lineage_commits(workspace) if registry_exists(workspace) else set()
            yield from old_files.stored_runs(workspace, store, days, commits, delete=delete)
