"""What house-keeping removes by age: checkpoints of trainings that were given up, logs, runs in the object store."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.locks import LockKind
from multiner.pipeline.core.object_store import ObjectStore, StoredObject
from multiner.pipeline.registry.lineage import commit
from multiner.pipeline.workspaces.state import Runs
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.housekeeping.removal import DAY, Removal, changed, remove, size_of

AT_ONCE = LockKind("this training", 0)


def checkpoints(workspace: Workspace, days: float, *, delete: bool) -> Removal:
    """Checkpoints that no training has written for ``days``, of all profiles, unless a training holds their lock."""
    before, lines, size = time.time() - days * DAY, [], 0
    for folder in sorted((workspace.root / "data" / "checkpoints").glob("*/*/*/")):
        if not folder.is_dir() or changed(folder) >= before:
            continue
        with suppress(NerError), locks.hold(folder.with_suffix(".lock"), AT_ONCE):
            lines.append(folder.relative_to(workspace.root).as_posix())
            size += size_of(folder)
            if delete:
                remove([folder])
    return Removal("checkpoints", lines, size)


def logs(workspace: Workspace, days: float, serving: Collection[str], *, delete: bool) -> Removal:
    """Logs that nothing has written for ``days``: of Airflow's tasks, of model servers, and rotated ones.

    Args:
        workspace: whose logs.
        days: their least age.
        serving: names such as ``ner-en-3`` of versions whose servers run.
        delete: False: only say what would be deleted.
    """
    before = time.time() - days * DAY
    paths = [path for path in _logs(workspace, serving) if changed(path) < before]
    size = sum(map(size_of, paths))
    if delete:
        remove(paths)
    return Removal("logs", [path.relative_to(workspace.root).as_posix() for path in paths], size)


def _logs(workspace: Workspace, serving: Collection[str]) -> Iterator[Path]:
    folder = workspace.paths.run / "logs"
    yield from folder.glob("*.log.*")
    for path in folder.glob("*-ner-*.log"):
        if path.stem.partition("-")[2] not in serving:
            yield path
    tasks = airflow_setup.home(workspace) / "logs"
    yield from tasks.glob("dag_id=*/run_id=*")
    yield from tasks.glob("dag_processor/*")


def stored_runs(
    workspace: Workspace, store: ObjectStore, days: float, commits: Iterable[str], *, delete: bool
) -> list[Removal]:
    """Runs, bundles of commits and checkpoints in the object store that were not written for ``days``.

    Published states stay, and so do the bundles that they or the remaining runs need, and those of ``commits`` and of
    the commit that is checked out here.

    Raises:
        NerError: the store does not answer.
    """
    before, runs = time.time() - days * DAY, Runs(store)
    by_run: dict[str, list[StoredObject]] = {}
    for each in store.listing("runs"):
        by_run.setdefault(each.name.split("/")[1], []).append(each)
    old = {run: each for run, each in by_run.items() if max(part.changed for part in each) < before}
    needed = {f"bundles/{each}.bundle" for each in (commit(workspace.root), *commits)}
    needed |= runs.repositories(by_run.keys() - old.keys())
    bundles = [each for each in store.listing("bundles") if each.name not in needed and each.changed < before]
    trainings = [each for each in store.listing("checkpoints") if each.changed < before]
    parts = [part for each in old.values() for part in each]
    if delete:
        for each in sorted([*parts, *bundles, *trainings], key=lambda part: part.name.endswith("/state.json")):
            store.remove(each.name)  # a run's state last, so that the next call finds what a killed one left
    return [
        Removal("runs in the object store", sorted(old), sum(part.size for part in parts)),
        Removal("bundles in the object store", [each.name for each in bundles], sum(each.size for each in bundles)),
        Removal("checkpoints in the object store", [each.name for each in trainings], sum(t.size for t in trainings)),
    ]
