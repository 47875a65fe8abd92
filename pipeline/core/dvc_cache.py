"""Checks files that DVC restored from its cache against the hashes under which the cache stores them.

DVC trusts a read-only object of its cache without reading it. If a disk error or a power failure cut an object off,
DVC restores the truncated file, and reports no error.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

DIRECTORY = ".dir"  # ends the hash of a folder, whose object lists its files
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def require_whole(root: Path, paths: Iterable[Path]) -> None:
    """Raise an error if DVC restored any of ``paths`` from a damaged object; the damaged files are removed.

    Without its file and object, DVC makes or fetches the output anew. Outside of a DVC repository nothing is checked.
    """
    if not (root / ".dvc" / "config").is_file():
        return
    if damaged := discard_damaged(root, paths):
        more = f", as were {len(damaged) - 1} more files" if len(damaged) > 1 else ""
        raise NerError(
            f"DVC restored it from its cache, where it was cut off or altered{more}; removed here and there",
            where=damaged[0],
            remedy="Bring it back: ner pull, then dvc repro; or ner run. If the same happens again, DVC's remote "
            "has it damaged, too: delete it there (it is named by its hash in dvc.lock).",
        )


def discard_damaged(root: Path, paths: Iterable[Path]) -> list[str]:
    """Remove the cached objects of ``paths`` whose content does not match their hash.

    A workspace file that was restored from such an object is removed, too; an intact one replaces the object. Returns
    the files that were removed from the workspace, relative to ``root``.
    """
    wanted = [
        path.resolve().relative_to(root.resolve()) for path in paths if path.resolve().is_relative_to(root.resolve())
    ]
    with _locked(root) as repo:
        return [
            file.as_posix()
            for out, digest in recorded(root).items()
            if any(_overlap(Path(out), path) for path in wanted)
            for file, digest_of_file in _files(repo, Path(out), digest)
            if any(_overlap(file, path) for path in wanted)
            and not _intact(root / file, Path(repo.cache.local.oid_to_path(digest_of_file)), digest_of_file)
        ]


def inputs_of(root: Path, stage: str) -> list[Path]:
    """The files and folders that a stage reads by dvc.yaml; ``stage`` is its address (``prepare@en``)."""
    with _locked(root) as repo:
        return [Path(each.fs_path) for found in _stages(repo, stage) for each in found.deps]


def outputs_of(root: Path, stage: str) -> list[Path]:
    """The files and folders that a stage writes."""
    with _locked(root) as repo:
        return [Path(each.fs_path) for found in _stages(repo, stage) for each in found.outs]


def uncached_outputs_of(root: Path, stage: str) -> list[Path]:
    """The files that a stage writes and DVC does not keep: ``cache: false``, such as metrics that go into git."""
    with _locked(root) as repo:
        return [Path(each.fs_path) for found in _stages(repo, stage) for each in found.outs if not each.use_cache]


def outdated_before(root: Path, stage: str) -> list[str]:
    """The stages before one that DVC would run with it, by the hashes on record; their data need not be there."""
    from dvc.repo.reproduce import get_active_graph, plan_repro

    with _locked(root) as repo:
        graph = get_active_graph(repo.index.graph)
        own = _stages(repo, stage)
        before = [each for each in plan_repro(graph, own) if each not in own]
        outdated = [each for each in before if each.changed(True, list(graph.successors(each)))]
        return [each.addressing.rpartition(":")[2] for each in outdated]


def _stages(repo: Repo, address: str) -> list[Stage]:
    """The stages of an address, in whatever folder this process works: DVC reads addresses relative to that."""
    stages: list[Stage] = repo.stage.from_target(f"{Path(repo.root_dir) / 'dvc.yaml'}:{address.rpartition(':')[2]}")
    return stages


@contextmanager
def _locked(root: Path) -> Iterator[Repo]:
    """The DVC repository under DVC's lock, so that no other DVC process writes dvc.lock or the cache meanwhile."""
    from dvc.repo import Repo  # heavy

    with Repo(str(root), _wait_for_lock=True) as repo, repo.lock:
        yield repo


def recorded(root: Path) -> dict[str, str]:
    """The MD5 that DVC has on record for each output of a stage and each folder of raw data, by path from ``root``."""
    lock = root / "dvc.lock"
    try:
        outs = {out["path"]: out for stage in _on_record(lock).values() for out in stage.get("outs", ())}
    except (AttributeError, KeyError, TypeError):
        raise _foreign(lock) from None
    for pointer in (root / "data" / "raw").glob("*.dvc"):
        try:
            for out in _mapping(pointer).get("outs", ()):
                outs[(pointer.parent / out["path"]).relative_to(root).as_posix()] = out
        except (KeyError, TypeError):
            raise _foreign(pointer) from None
    return {path: out["md5"] for path, out in outs.items() if "md5" in out}


def recorded_input(root: Path, path: str) -> dict[str, str]:
    """The MD5 of the input ``path`` when a stage last read it, by DVC's record, for each stage that does."""
    lock = root / "dvc.lock"
    try:
        return {
            name: dep["md5"]
            for name, stage in _on_record(lock).items()
            for dep in stage.get("deps", ())
            if dep["path"] == path and "md5" in dep
        }
    except (AttributeError, KeyError, TypeError):
        raise _foreign(lock) from None


def _on_record(lock: Path) -> dict[str, Any]:
    """The stages on record in ``dvc.lock``; none without the file."""
    return _mapping(lock).get("stages", {}) if lock.is_file() else {}


def _foreign(file: Path) -> NerError:
    """The error for a file that is cut off or altered."""
    return NerError(
        "DVC did not write it like this: it is cut off or altered",
        where=str(file),
        remedy=f"Restore it: git checkout -- {file.name}",
    )


def _mapping(file: Path) -> dict[str, Any]:
    try:
        values = yaml.load(file.read_bytes(), LOADER) or {}
        if not isinstance(values, dict):
            raise _foreign(file)
        return values
    except yaml.reader.ReaderError:  # zero bytes, as a loss of power leaves them
        raise _foreign(file) from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise NerError(
            "no valid YAML; has git left marks of a conflict (<<<<<<<) in it?",
            where=f"{file}{line}",
            remedy="Resolve the conflict (git status lists the files), then run the same command again.",
        ) from None


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _files(repo: Repo, out: Path, digest: str) -> Iterator[tuple[Path, str]]:
    """The files of an output with their MD5."""
    if not digest.endswith(DIRECTORY):
        yield out, digest
        return
    listing = Path(repo.cache.local.oid_to_path(digest))
    if not listing.is_file():
        return
    if _md5(listing) != digest.removesuffix(DIRECTORY):
        listing.unlink()  # DVC makes it anew from the files
        return
    for entry in json.loads(listing.read_bytes()):
        yield out / entry["relpath"], entry["md5"]


def _intact(file: Path, kept: Path, digest: str) -> bool:
    """Whether ``file`` may stay; if it was restored from a damaged object, both are removed."""
    if not kept.is_file() or (found := _md5(kept)) == digest:
        return True
    here = _md5(file) if file.is_file() else None
    if here == digest:
        with file.open("rb") as source, write_atomically(kept, "wb") as copy:
            shutil.copyfileobj(source, copy)
        kept.chmod(0o444)  # as DVC leaves its objects
        return True
    kept.unlink()
    if here != found:
        return True
    file.unlink()
    return False


def _md5(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "md5").hexdigest()
