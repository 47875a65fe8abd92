"""What house-keeping removes from DVC's cache: objects and remembered runs that no state in use needs.

In use are the workspace, the commit that is checked out, and the state of each registered version, as its MLflow run
has logged it. DVC's own ``dvc gc`` knows the first two only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.dvc_cache import DIRECTORY, LOADER
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.lineage import git
from multiner.serving.housekeeping.removal import Removal, remove, size_of

if TYPE_CHECKING:
    from dvc.repo import Repo


def unused_objects(workspace: Workspace, states: Iterable[str], *, delete: bool) -> list[Removal]:
    """Objects of the cache, and entries of the run cache, that neither the workspace nor ``states`` need.

    Holds DVC's lock, so that no stage's outputs come into the cache meanwhile.

    Args:
        workspace: whose cache.
        states: texts of dvc.lock and ``.dvc`` files.
        delete: False: only say what would be deleted.

    Raises:
        NerError: one of the texts or of the cache's lists of files is damaged.
    """
    root, kinds = workspace.root, ("objects in DVC's cache", "runs in DVC's run cache")
    if not (root / ".dvc" / "config").is_file():
        return [Removal(kind) for kind in kinds]
    from dvc.repo import Repo

    with Repo(str(root), _wait_for_lock=True) as repo, repo.lock:
        cache = Path(repo.cache.local.path)
        if not cache.is_relative_to(root):
            return [
                Removal(kind, note=f"{cache} may belong to other projects, too: dvc gc --projects") for kind in kinds
            ]
        used = {info.value for infos in repo.used_objs(force=True).values() for info in infos}
        for text in [*states, *_texts(root)]:
            for digest in _digests(text):
                used |= {digest, *_members(repo, digest)}
        objects = [digest for digest in repo.cache.local.all() if digest not in used]
        size = sum(size_of(Path(repo.cache.local.oid_to_path(digest))) for digest in objects)
        runs = [file for file in _remembered(repo) if not used.issuperset(_digests(file.read_text(encoding="utf-8")))]
        removals = [
            Removal(kinds[0], sorted(objects), size),
            Removal(kinds[1], [file.parent.name for file in runs], sum(map(size_of, runs))),
        ]
        if delete:
            remove(runs)  # first: a remembered run without its objects would be tried in vain
            folders_first = sorted(objects, key=lambda digest: not digest.endswith(DIRECTORY))
            remove(Path(repo.cache.local.oid_to_path(digest)) for digest in folders_first)
    return removals


def _texts(root: Path) -> Iterator[str]:
    """The pointers of the workspace and of the commit that is checked out."""
    for file in (root / "dvc.lock", *root.glob("data/*.dvc"), *root.glob("data/raw/*.dvc")):
        if file.is_file():
            yield file.read_text(encoding="utf-8")
    for name in git(root, "ls-tree", "-r", "--name-only", "HEAD", "--", "dvc.lock", "data").splitlines():
        if name == "dvc.lock" or name.endswith(".dvc"):
            yield git(root, "show", f"HEAD:{name}")


def _digests(text: str) -> Iterator[str]:
    """The MD5 of every output in a dvc.lock, a ``.dvc`` file or an entry of the run cache."""
    try:
        content = yaml.load(text, LOADER) or {}
        stages = content["stages"].values() if "stages" in content else [content]
        for stage in stages:
            yield from (out["md5"] for out in stage.get("outs") or () if "md5" in out)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise NerError(f"a dvc.lock, .dvc file or remembered run is damaged; nothing was removed: {error}") from None


def _members(repo: Repo, digest: str) -> Iterator[str]:
    """The MD5 of the files of a folder's object, as far as the cache has it."""
    listing = Path(repo.cache.local.oid_to_path(digest))
    if not digest.endswith(DIRECTORY) or not listing.is_file():
        return
    try:
        yield from (entry["md5"] for entry in json.loads(listing.read_bytes()))
    except (ValueError, KeyError, TypeError):
        raise NerError(
            "this object of DVC's cache is damaged, so nothing was removed",
            where=str(listing),
            remedy="Remove it; dvc repro or ner pull makes it anew.",
        ) from None


def _remembered(repo: Repo) -> list[Path]:
    """The entries of the run cache."""
    return sorted(file for file in Path(repo.stage_cache.cache_dir).rglob("*") if file.is_file())
