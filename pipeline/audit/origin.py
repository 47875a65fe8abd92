"""From what a registered version was trained, as its MLflow run holds it: commit, changes, data, parameters, lock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement

from multiner.pipeline.config.settings import Workspace, read_yaml
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.registry.champions import registered_version
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.lineage import CUT
from multiner.pipeline.registry.store import open_store

PIN = re.compile(r"^[\w.-]+==.*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TrainingOrigin:
    """What the training of a version began with, and its figures.

    Attributes:
        name, version, profile: of the model.
        commit: of the code.
        changes: the difference of the tracked files from the commit, as ``git apply`` takes it; None: there was none.
        pointers: the ``.dvc`` files of the raw data, by path.
        params: the parameters with the profile's values.
        requirements: the lock of the environment; empty: not logged.
        hashes: MD5 of each output of a stage, by path, from dvc.lock.
        figures: of the evaluation.
    """

    name: str
    version: str
    profile: str
    commit: str
    changes: str | None
    pointers: dict[str, str]
    params: dict[str, Any]
    requirements: str
    hashes: dict[str, str]
    figures: dict[str, Any]


@registry_errors()
def read_origin(workspace: Workspace, language: str, version: str) -> TrainingOrigin:
    """Read the origin of a registered version.

    Raises:
        NerError: the language or version is unknown, the run was deleted for good or lacks something, or the version
            was tuned on a user's examples.
    """
    workspace.language(language)  # refuses an unknown one
    info = registered_version(workspace, language, version)
    if info is None:
        raise NerError(f"no version {version} of {language!r} in the registry", remedy=f"See: ner history {language}")
    where = f"{info.name} version {info.version}"
    client = open_store(workspace)
    with TemporaryDirectory(prefix="ner-origin-") as temporary:
        folder = Path(temporary)
        present = {item.path for item in client.list_artifacts(info.run_id)} if info.experiment_id else set()
        wanted = {"lineage", f"{language}.json"}
        for path in sorted(present & wanted):
            client.download_artifacts(info.run_id, path, temporary)
        lineage = folder / "lineage"
        if (lineage / "params.yaml").is_file() and (tuned := read_yaml(lineage / "params.yaml").get("tuned")):
            raise NerError(
                f"it was tuned by ner tune: it continues {tuned['from']} on {tuned['examples']} examples of a user, "
                "which the registry does not have",
                where=where,
                remedy="Tune that model again on the same examples: ner tune.",
            )
        files = [lineage / "params.yaml", lineage / "dvc.lock", folder / f"{language}.json"]
        missing = [file.relative_to(folder).as_posix() for file in files if not file.is_file()]
        if not info.git_commit:
            missing.insert(0, "the commit")
        if missing:
            raise NerError(
                f"its MLflow run lacks {', '.join(missing)}",
                where=where,
                remedy="It was deleted, or not logged: without it this version cannot be trained again.",
            )
        changes = _text(lineage / "changes.diff")
        if changes and changes.rstrip("\n").rpartition("\n")[2].startswith(CUT):
            raise NerError("the changes since the commit were too long to be logged whole", where=where)
        stages = read_yaml(lineage / "dvc.lock").get("stages") or {}
        return TrainingOrigin(
            name=info.name,
            version=info.version,
            profile=info.profile,
            commit=info.git_commit,
            changes=changes,
            pointers={
                file.relative_to(lineage).as_posix(): file.read_text(encoding="utf-8")
                for file in sorted((lineage / "data").rglob("*.dvc"))
            },
            params=read_yaml(lineage / "params.yaml"),
            requirements=_text(lineage / "requirements.lock") or "",
            hashes=output_hashes(stages),
            figures=read_json(folder / f"{language}.json"),
        )


def _text(file: Path) -> str | None:
    return file.read_bytes().decode() if file.is_file() else None  # a diff keeps its line ends


def output_hashes(stages: dict[str, Any]) -> dict[str, str]:
    """MD5 of each output, by path, from the stages of dvc.lock."""
    outs = (out for stage in stages.values() for out in stage.get("outs", ()))
    return {out["path"]: out["md5"] for out in outs if "md5" in out}


def other_packages(requirements: str) -> list[str]:
    """The packages that are installed here in another version than the lock has, as ``name 1.0 (locked 1.1)``.

    A line of the lock whose marker is for another Python or platform says nothing about this one.
    """
    others = []
    for pin in map(Requirement, PIN.findall(requirements)):
        try:
            installed = installed_version(pin.name).partition("+")[0]
        except PackageNotFoundError:  # of an extra
            continue
        locked = str(pin.specifier).removeprefix("==")
        if (pin.marker is None or pin.marker.evaluate()) and installed != locked.partition("+")[0]:
            others.append(f"{pin.name} {installed} (locked {locked})")
    return others
