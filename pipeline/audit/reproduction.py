"""``ner reproduce``: train a registered version again, in a copy of its own, and compare the figures."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from multiner.pipeline.audit.agreement import Agreement, agreement
from multiner.pipeline.audit.origin import TrainingOrigin, other_packages, output_hashes, read_origin
from multiner.pipeline.audit.remotes import use_remotes
from multiner.pipeline.config.settings import Paths, Workspace, overlay, read_yaml
from multiner.pipeline.core.dvc_command import dvc
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_atomically
from multiner.pipeline.core.object_store import STORE, object_store
from multiner.pipeline.corpora.packages import FOLDER as PACKAGES
from multiner.pipeline.corpora.versioning import run_dvc
from multiner.pipeline.workspaces.state import RunState
from multiner.pipeline.workspaces.working_copy import PACKAGE, WorkingCopy, repository_of, working_copy

Announce = Callable[[str], object]
NOISE = 0.3  # F1 points: other hardware, or another number of threads


def check(workspace: Workspace, language: str, version: str, announce: Announce, *, any_environment: bool) -> None:
    """Check that everything that the training of a version needs is there, and say so; nothing is trained.

    Raises:
        NerError: something is not; see :func:`prepared`.
    """
    origin = read_origin(workspace, language, version)
    with prepared(workspace, language, origin, announce, any_environment=any_environment) as copy:
        run_dvc(copy.root, "dag", "--dot", f"evaluate@{language}")  # a dry run would ask for outputs
    announce("stages: DVC reads them\neverything is there")


def reproduce(
    workspace: Workspace,
    language: str,
    version: str,
    announce: Announce,
    *,
    noise: float = NOISE,
    any_environment: bool = False,
) -> Agreement:
    """Train a version again from its commit, data and parameters; returns how its figures agree.

    Nothing comes from DVC's run cache or from a checkpoint: every stage runs. The copy is removed in the end.

    Args:
        announce: gets a line on each thing that was found or done.
        noise: F1 points by which the ensemble may differ on a development or test part.
        any_environment: go on where other versions of packages are installed than the lock has.

    Raises:
        NerError: something that the training needs is missing, or a stage fails.
    """
    origin = read_origin(workspace, language, version)
    with prepared(workspace, language, origin, announce, any_environment=any_environment) as copy:
        if code := copy.run(dvc("repro", f"evaluate@{language}"), **{STORE: ""}):
            raise NerError(
                f"the training failed with exit code {code}", where=f"{origin.name} version {origin.version}"
            )
        metrics = Paths(copy.root, origin.profile).metrics(language)
        repeated = output_hashes(copy.lock)
        announce(_stages_line(origin.hashes, repeated))
        return agreement(origin.figures, read_json(metrics), noise)


def _stages_line(registered: dict[str, str], repeated: dict[str, str]) -> str:
    """Which outputs are equal bit by bit, of those that both trainings have."""
    common = sorted(registered.keys() & repeated.keys())
    other = [path for path in common if registered[path] != repeated[path]]
    return f"{len(common) - len(other)} of {len(common)} outputs are equal bit by bit" + (
        f"; others (those of a training also hold its minutes): {', '.join(other)}" if other else ""
    )


@contextmanager
def prepared(
    workspace: Workspace, language: str, origin: TrainingOrigin, announce: Announce, *, any_environment: bool
) -> Iterator[WorkingCopy]:
    """A working copy with a version's code, data and parameters, and nothing that was trained.

    Raises:
        NerError: the environment is another, the commit is not in the repository, the changes since the commit do not
            apply, or data is neither in DVC's cache nor in its remote.
    """
    where = f"{origin.name} version {origin.version}"
    announce(f"{where}: profile {origin.profile}, commit {origin.commit}")
    others = other_packages(origin.requirements)
    if others and not any_environment:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        raise NerError(
            f"other versions of packages are installed than its lock has: {shown}",
            where=where,
            remedy="Install lineage/requirements.lock of its MLflow run in an environment and run the command there; "
            "or give --any-environment, and expect other figures.",
        )
    announce(
        f"environment: {len(others)} packages differ from the lock" if others else "environment: as the lock has it"
    )
    store = object_store()
    state = RunState(origin.commit, repository_of(workspace.root, origin.commit, store), origin.pointers)
    with working_copy(state, store) as copy:
        if not (copy.root / PACKAGE).is_dir():
            raise NerError(f"the commit is from before the package {PACKAGE}", where=where)
        announce(_apply(copy, origin, where))
        announce(_set_params(copy, origin))
        use_remotes(workspace.root, copy.root, store)
        announce(f"data: {', '.join(_pull(copy, origin, where))}")
        yield copy


def _apply(copy: WorkingCopy, origin: TrainingOrigin, where: str) -> str:
    """Apply the changes since the commit, but those of pointers, dvc.lock and metrics, which the run has whole."""
    if not origin.changes:
        return "changes since the commit: none"
    exclude = [f"--exclude={pattern}" for pattern in ("*.dvc", "dvc.lock", "metrics/*")]
    command = ["git", "-C", str(copy.root), "apply", "--whitespace=nowarn", *exclude, "-"]
    applied = subprocess.run(command, input=origin.changes.encode(), capture_output=True, check=False)
    if applied.returncode:
        message = (applied.stderr.decode(errors="replace").strip().splitlines() or ["git apply failed"])[0]
        raise NerError(f"the changes since the commit cannot be applied: {message}", where=where)
    return "changes since the commit: applied"


def _set_params(copy: WorkingCopy, origin: TrainingOrigin) -> str:
    """Make the copy's parameters those of the version, where commit and changes do not have them already."""
    base, top = copy.root / "params.yaml", copy.root / "params" / f"{origin.profile}.yaml"
    values = read_yaml(base)
    if top.is_file() and overlay(values, read_yaml(top)) | {"profile": values.get("profile")} == origin.params:
        return "parameters: as committed"
    for file, content in ((base, origin.params), (top, {k: v for k, v in origin.params.items() if k != "profile"})):
        with write_atomically(file) as output:
            yaml.safe_dump(content, output, sort_keys=False, allow_unicode=True)
    return "parameters: from the run"


def _pull(copy: WorkingCopy, origin: TrainingOrigin, where: str) -> list[str]:
    """Bring the raw data into the copy; returns the names of its folders.

    With bundled samples only the packages are needed; the pointers of corpora that cannot be had are then removed,
    since DVC would ask for their data.
    """
    bundled = (origin.params.get("prepare") or {}).get("raw", "data/raw") != "data/raw"
    names = []
    for pointer in copy.pointers:
        name = Path(pointer).stem
        if pointer not in origin.pointers or (bundled and name != PACKAGES):
            (copy.root / pointer).unlink()
            continue
        for remote in ("cache", "default"):
            try:
                run_dvc(copy.root, "pull", "--remote", remote, pointer)
                break
            except NerError as error:
                failure = error
        else:
            raise NerError(
                f"its data {name} is neither in DVC's cache nor in its remote: {failure.message}",
                where=where,
                remedy="Bring back a copy of DVC's remote that has it, or name one: NER_DVC_REMOTE.",
            )
        names.append(name)
    return names
