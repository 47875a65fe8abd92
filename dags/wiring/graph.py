"""The graph of stages in dvc.yaml, read as plain YAML: which stage, of which language, comes after which.

Of the ``${...}`` only the foreach item is resolved. The others are the same in the stage that writes a path and in the
stage that reads it, so the edges are right.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Stage:
    """A stage as DVC addresses it.

    Attributes:
        name: its key in dvc.yaml.
        item: the foreach item (often a language), or None.
        deps: paths that it reads.
        outs: paths that it writes, metrics and plots included.
    """

    name: str
    item: str | None
    deps: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def address(self) -> str:
        """The name that ``dvc repro`` takes: ``train@en``."""
        return self.name if self.item is None else f"{self.name}@{self.item}"


def workspace_root() -> Path:
    """The workspace: ``NER_ROOT``, else the folder that holds the DAG folder."""
    return Path(os.environ.get("NER_ROOT") or Path(__file__).resolve().parents[2])


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; an empty file is an empty mapping."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _fill(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text = text.replace("${" + key + "}", value)
    return text


def _paths(entries: Iterable[Any], values: dict[str, str]) -> Iterator[str]:
    """The paths of a section such as deps, whose entries are strings or ``{path: options}``."""
    for entry in entries or ():
        for path in entry if isinstance(entry, dict) else [entry]:
            yield _fill(path, values).rstrip("/")


def _stage(name: str, item: str | None, body: dict[str, Any], values: dict[str, str]) -> Stage:
    outs = [path for section in ("outs", "metrics", "plots") for path in _paths(body.get(section), values)]
    return Stage(name, item, tuple(_paths(body.get("deps"), values)), tuple(outs))


def parse_stages(dvc: dict[str, Any]) -> dict[str, Stage]:
    """Every stage of a dvc.yaml, by address, in the file's order; foreach is unrolled."""
    stages: list[Stage] = []
    for name, body in dvc.get("stages", {}).items():
        if "foreach" not in body:
            stages.append(_stage(name, None, body, {}))
            continue
        items = body["foreach"]
        for item in items:
            values = {"item": str(item)}
            if isinstance(items, dict):
                values = {"key": str(item)} | {f"item.{field}": str(v) for field, v in (items[item] or {}).items()}
            stages.append(_stage(name, str(item), body["do"], values))
    return {stage.address: stage for stage in stages}


def _overlap(one: str, other: str) -> bool:
    """Whether the paths are the same, or one lies within the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def upstream(stages: dict[str, Stage]) -> dict[str, set[str]]:
    """For each stage the addresses of the stages whose outputs it reads."""
    return {
        address: {
            other.address
            for other in stages.values()
            if other.address != address and any(_overlap(dep, out) for dep in stage.deps for out in other.outs)
        }
        for address, stage in stages.items()
    }


def stages_of(stages: dict[str, Stage], language: str) -> dict[str, set[str]]:
    """The stages of a language with everything upstream, in an order to run them; each with the stages before it.

    Raises:
        ValueError: the stages depend on each other in a circle.
    """
    before = upstream(stages)
    order: dict[str, set[str]] = {}
    path: list[str] = []  # from the stage that is visited first to the current one

    def visit(address: str) -> None:
        if address in order:
            return
        if address in path:
            raise ValueError(f"dvc.yaml: stages depend on each other in a circle: {' -> '.join([*path, address])}")
        path.append(address)
        for other in stages:  # in the file's order, since a set has none
            if other in before[address]:
                visit(other)
        path.pop()
        order[address] = before[address]

    for address, stage in stages.items():
        if stage.item == language:
            visit(address)
    return order


def task_id(stage: Stage, language: str) -> str:
    """A stage's name as a task, without the language of the DAG."""
    return stage.name if stage.item in (None, language) else f"{stage.name}_{stage.item}"


def pointers_of(root: Path) -> dict[str, str]:
    """The texts of the raw data's ``.dvc`` files, by path from the workspace."""
    files = sorted([*root.glob("data/*.dvc"), *root.glob("data/raw/*.dvc")])
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in files}


def data_version(pointers: Mapping[str, str]) -> str:
    """DVC's hash of the raw data by its ``.dvc`` files' texts; with several their names and hashes, joined."""
    contents = [(Path(file).stem, yaml.safe_load(pointers[file]) or {}) for file in sorted(pointers)]
    hashes = [(name, out["md5"]) for name, content in contents for out in content.get("outs", []) if "md5" in out]
    return hashes[0][1] if len(hashes) == 1 else " ".join(f"{name}:{md5}" for name, md5 in hashes)
