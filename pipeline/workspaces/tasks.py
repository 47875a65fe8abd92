"""What the tasks of a run do in working copies of their own: pull, begin, a stage, another command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiner.pipeline.core.dvc_cache import discard_damaged, outdated_before, outputs_of, uncached_outputs_of
from multiner.pipeline.core.dvc_command import dvc
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.locks import LOCK_FOLDER
from multiner.pipeline.core.object_store import ObjectStore
from multiner.pipeline.corpora.versioning import run_dvc
from multiner.pipeline.workspaces.state import OWN_STAGE, Runs, StageResult
from multiner.pipeline.workspaces.working_copy import WorkingCopy, capture, working_copy


def pull(root: Path, store: ObjectStore, run: str, command: Sequence[str]) -> int:
    """Begin a run at the state of the working copy at ``root``, with the corpora pulled anew in a copy of it.

    Args:
        root: whose commit, pointers and dvc.lock the run begins with.
        store: the object store.
        run: its name.
        command: what pulls the corpora and versions them with DVC.

    Returns:
        the command's exit code.

    Raises:
        NerError: the copy cannot be made, or the data cannot be brought to DVC's remote.
    """
    with working_copy(capture(root, store), store) as copy:
        _fetch(copy)
        if code := copy.run(command):
            return code
        for pointer in copy.pointers:
            if not (copy.root / pointer.removesuffix(".dvc")).exists():  # the profile does not use it
                (copy.root / pointer).unlink()
        if copy.pointers:
            run_dvc(copy.root, "push", *copy.pointers)
        Runs(store).begin(run, capture(copy.root, store))
    return 0


def begin(store: ObjectStore, run: str, origin: str) -> None:
    """Begin a run at the state that another has published as ``origin``.

    Raises:
        NerError: none has.
    """
    runs = Runs(store)
    runs.begin(run, runs.published(origin))


def run_stage(store: ObjectStore, run: str, address: str) -> int:
    """Run a stage of a run in a working copy, bring its outputs to DVC's remote, and store its entry of dvc.lock.

    Returns:
        DVC's exit code.

    Raises:
        NerError: DVC would run another stage, or the stage's outputs are damaged in the remote.
    """
    runs = Runs(store)
    with working_copy(runs.state(run), store) as copy:
        if copy.pointers:
            run_dvc(copy.root, "pull", *copy.pointers)
        refuse_others(copy, address)
        if code := _reproduce(copy, address):
            return code
        if not _complete(copy, address):  # up to date, but DVC's remote has not got it
            copy.write_lock({name: entry for name, entry in copy.lock.items() if name != address})
            if code := _reproduce(copy, address):
                return code
        if damaged := discard_damaged(copy.root, outputs_of(copy.root, address)):
            raise NerError("damaged in DVC's remote", where=", ".join(damaged), remedy="Delete it there, by its hash.")
        run_dvc(copy.root, "push", "--run-cache", address)
        usage = (copy.root / ".run" / "usage").glob(f"*/{address}.json")
        files = [file.relative_to(copy.root) for file in [*uncached_outputs_of(copy.root, address), *usage]]
        texts = {file.as_posix(): (copy.root / file).read_text(encoding="utf-8") for file in files}
        runs.add(run, address, StageResult(copy.lock[address], texts))
    return 0


def run_command(
    store: ObjectStore,
    command: Sequence[str],
    *,
    needs: Sequence[str],
    run: str,
    locks: Path,
    origin: str | None = None,
) -> int:
    """Run a command in a working copy of a run, or of the state published as ``origin``; returns its exit code.

    Args:
        store: the object store.
        command: program and arguments.
        needs: the stages whose outputs it reads, with those before them.
        run: the run's name.
        origin: a published state, in place of the run's.
        locks: the folder of this machine for the registry's lock files.
    """
    runs = Runs(store)
    with working_copy(runs.published(origin) if origin else runs.state(run), store) as copy:
        run_dvc(copy.root, "pull", "--with-deps", *needs)
        return copy.run(command, **{LOCK_FOLDER: str(locks)})


def refuse_others(copy: WorkingCopy, address: str) -> None:
    """Stop before DVC runs a stage that is another task's.

    Raises:
        NerError: DVC would.
    """
    others = outdated_before(copy.root, address)
    if not others:
        return
    first = others[0]
    if first in copy.lock:
        missing = f"what {first} has in the run's dvc.lock is of other inputs than the run's"
    else:
        missing = f"the run has no entry of {first} in dvc.lock"
    raise NerError(
        f"DVC would run {', '.join(others)} here, which is another task's: {missing}",
        where=address,
        remedy=f"Run the task of {first} again, in Airflow with all tasks after it. Nothing was run.",
    )


def _reproduce(copy: WorkingCopy, address: str) -> int:
    command = dvc("repro", "--pull", "--allow-missing", address)
    return copy.run(command, **{OWN_STAGE: address})


def _complete(copy: WorkingCopy, address: str) -> bool:
    """Whether the stage's outputs are there, or could be pulled."""
    if all(path.exists() for path in outputs_of(copy.root, address)):
        return True
    try:
        run_dvc(copy.root, "pull", address)
    except NerError:
        return False
    return all(path.exists() for path in outputs_of(copy.root, address))


def _fetch(copy: WorkingCopy) -> None:
    """Bring the raw data from DVC's remote as far as it is there; only what is new then comes from its source."""
    for pointer in copy.pointers:
        try:
            run_dvc(copy.root, "pull", pointer)
        except NerError:
            continue
