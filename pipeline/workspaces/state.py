"""The state of a run: from what its working copies are made. Pure, but for reading and writing the store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import quote

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.object_store import ObjectStore

OWN_STAGE = "NER_OWN_STAGE"  # names the one stage that may run in a working copy
USAGE = ".run/usage/"  # begins the paths of the records of what stages used


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage has added to its run.

    Attributes:
        entry: its entry in dvc.lock.
        files: its outputs that DVC does not keep, such as metrics; by path.
    """

    entry: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class RunState:
    """What a working copy of a run holds.

    Attributes:
        commit: of git.
        repository: the address to clone, or the name of a bundle in the store.
        pointers: the ``.dvc`` files of the raw data, by path.
        files: the files that differ from the commit, by path; None: deleted.
        lock: the entries of dvc.lock, by the stage's address.
    """

    commit: str
    repository: str
    pointers: dict[str, str] = field(default_factory=dict)
    files: dict[str, str | None] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)


def merged(state: RunState, results: dict[str, StageResult]) -> RunState:
    """The state with what its stages have added, by their addresses."""
    files: dict[str, str | None] = {path: text for result in results.values() for path, text in result.files.items()}
    lock = {address: result.entry for address, result in results.items()}
    return replace(state, files=state.files | files, lock=state.lock | lock)


class Runs:
    """The states of runs in an object store, and the last state published under a name.

    Args:
        store: the object store.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def begin(self, run: str, state: RunState) -> None:
        """Store a run's state; what an earlier try of the same run stored stays valid only for the same state."""
        before = self._read(f"{_folder(run)}/state.json")
        if before is not None and before != state:
            for name in self.store.names(f"{_folder(run)}/stages"):
                self.store.remove(f"{_folder(run)}/stages/{name}")
        self._write(f"{_folder(run)}/state.json", state)

    def add(self, run: str, address: str, result: StageResult) -> None:
        """Store what a stage has added."""
        self.store.write(f"{_folder(run)}/stages/{quote(address, safe='@')}.json", json.dumps(asdict(result)))

    def state(self, run: str) -> RunState:
        """A run's state with what its stages have added so far.

        Raises:
            NerError: the run has none.
        """
        state = self._read(f"{_folder(run)}/state.json")
        if state is None:
            raise NerError(
                f"the run {run} has no state in the object store",
                where=self.store.url,
                remedy="Run its first task (pull or begin) first; in Airflow clear it with all tasks after it.",
            )
        results = {}
        for name in self.store.names(f"{_folder(run)}/stages"):
            content = StageResult(**json.loads(self.store.read(f"{_folder(run)}/stages/{name}") or "{}"))
            results[name.removesuffix(".json")] = content
        return merged(state, results)

    def publish(self, name: str, run: str) -> RunState:
        """Make a run's state the one that later runs begin with; returns it."""
        state = self.state(run)
        self._write(f"published/{name}.json", state)
        return state

    def would_publish_the_same(self, name: str, run: str) -> bool:
        """Whether a run's state is the one published last under a name: same commit, pointers, files and outputs.

        The records of what its stages used are left out: a stage whose outputs were restored has none.
        """
        published = self._read(f"published/{name}.json")
        return published is not None and _without_usage(published) == _without_usage(self.state(run))

    def published(self, name: str) -> RunState:
        """The state published last under a name.

        Raises:
            NerError: none was.
        """
        if state := self._read(f"published/{name}.json"):
            return state
        raise NerError(
            f"no run has published {name!r} yet",
            where=self.store.url,
            remedy="Run the DAG before this one: data, then retrain_LANG, then promote_LANG.",
        )

    def repositories(self, runs: Iterable[str]) -> set[str]:
        """The addresses and bundles that these runs (by their folders' names) and all published states clone."""
        names = [f"runs/{run}/state.json" for run in runs]
        names += [f"published/{name}" for name in self.store.names("published")]
        return {state.repository for name in names if (state := self._read(name))}

    def _read(self, name: str) -> RunState | None:
        text = self.store.read(name)
        return None if text is None else RunState(**json.loads(text))

    def _write(self, name: str, state: RunState) -> None:
        self.store.write(name, json.dumps(asdict(state), ensure_ascii=False))


def _without_usage(state: RunState) -> RunState:
    return replace(state, files={path: text for path, text in state.files.items() if not path.startswith(USAGE)})


def _folder(run: str) -> str:
    return f"runs/{quote(run, safe='')}"
