"""Sources of corpora: the folder of a mirror, or the public addresses."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from zipfile import BadZipFile, ZipFile

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import is_system_file
from multiner.pipeline.core.progress import bar
from multiner.pipeline.corpora.manifest import is_safe

MIRROR_VARIABLE = "NER_CORPORA_MIRROR"
TIMEOUT_SECONDS = 30
REMEDY = (
    f"Set {MIRROR_VARIABLE} to a folder that holds conll2003/, wnut17/ and factRuEval-2016/, "
    "or see everything on invented samples: make demo."
)

WANTED: dict[str, tuple[str, ...]] = {
    "conll2003": ("train.txt", "valid.txt", "test.txt"),
    "wnut17": ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
    "factRuEval-2016": (
        "LICENSE",
        *(f"{part}/*.{kind}" for part in ("devset", "testset") for kind in ("txt", "tokens", "spans", "objects")),
    ),
}
"""Globs of the files that the readers need; of a corpus that is not listed, all files."""

_WNUT17 = "https://raw.githubusercontent.com/leondz/emerging_entities_17/master/"
PUBLIC: dict[str, tuple[str, ...]] = {
    "conll2003": ("https://data.deepai.org/conll2003.zip",),
    "wnut17": tuple(_WNUT17 + name for name in WANTED["wnut17"]),
    "factRuEval-2016": ("https://github.com/dialogue-evaluation/factRuEval-2016/archive/refs/heads/master.zip",),
}
"""Public addresses: a zip archive, or the single files."""


@dataclass(frozen=True)
class Source:
    """A place that a corpus comes from.

    Attributes:
        name: its name in messages.
        local: whether it lies on this machine, so that every pull checks it.
        open: gives the folder with the corpus's files, at their paths in the manifest.
    """

    name: str
    local: bool
    open: Callable[[], AbstractContextManager[Path]]


@contextmanager
def downloaded(addresses: Iterable[str]) -> Iterator[Path]:
    """A temporary folder with the files at ``addresses``, downloaded and unpacked."""
    with TemporaryDirectory(prefix="ner-pull-") as temporary:
        folder = Path(temporary) / "files"
        folder.mkdir()
        for address in addresses:
            if address.endswith(".zip"):
                archive = Path(temporary) / "archive.zip"
                download(address, archive)
                unpack(archive, folder, address)
            else:
                download(address, folder / address.rsplit("/", 1)[1])
        yield folder


def mirrors(workspace: Workspace) -> list[Path]:
    """The mirrors, in the order of use: that of the environment, whose folder must exist, then those of params.yaml."""
    folders = [workspace.root / mirror for mirror in workspace.params.get("pull", {}).get("mirrors", [])]
    if setting := os.environ.get(MIRROR_VARIABLE):
        if not Path(setting).is_dir():
            remedy = "Correct the variable, or unset it."
            raise NerError("no such folder", where=f"{MIRROR_VARIABLE}={setting}", remedy=remedy)
        folders.insert(0, Path(setting))
    return folders


def find_source(workspace: Workspace, corpus: str) -> Source | None:
    """The first mirror that has ``corpus``, else its public addresses; None where there is neither."""
    if folders := [mirror / corpus for mirror in mirrors(workspace) if (mirror / corpus).is_dir()]:
        folder = folders[0].resolve()
        return Source(str(folder), local=True, open=lambda: nullcontext(folder))
    if addresses := PUBLIC.get(corpus):
        return Source(addresses[0], local=False, open=partial(downloaded, addresses))
    return None


def wanted_files(folder: Path, corpus: str) -> list[str]:
    """Relative paths of the files under ``folder`` that belong to ``corpus``, sorted."""
    patterns = WANTED.get(corpus, ("**/*",))
    paths = {
        path for pattern in patterns for path in folder.glob(pattern) if path.is_file() and not is_system_file(path)
    }
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def by_proxy(address: str) -> str:
    """A phrase that names the proxy for ``address``, without its password; empty without a proxy."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    shown = proxy.rpartition("@")[2] if "@" in proxy else proxy
    return f" through the proxy {shown} (of the environment's {parts.scheme.upper()}_PROXY)"


def download(address: str, target: Path) -> None:
    """Fetch ``address`` into ``target``, with a progress bar. Raises NerError if that fails, or breaks off."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer, target.open("wb") as file:
            size = int(answer.headers.get("Content-Length") or 0)
            with bar(size, f"downloading {address.rsplit('/', 1)[1]}", unit="B") as progress:
                while block := answer.read(1 << 16):
                    file.write(block)
                    progress.update(len(block))
    except urllib.error.HTTPError as error:
        passing = error.code >= 500 or error.code in (408, 429)  # timeout, too many requests
        message = f"the server answered{by_proxy(address)}: {error.code} {error.reason}"
        raise NerError(message, where=address, remedy=REMEDY, transient=passing) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise NerError(
            f"cannot be reached{by_proxy(address)}: {reason}", where=address, remedy=REMEDY, transient=True
        ) from None
    if size and target.stat().st_size != size:
        raise NerError(
            f"the download broke off at {target.stat().st_size} of {size} bytes",
            where=address,
            remedy="Try again.",
            transient=True,
        )


def unpack(archive: Path, folder: Path, address: str) -> None:
    """Unpack a zip archive into ``folder``, without the single top folder that archives of repositories have.

    Raises NerError if it is not a zip archive, or holds paths that lead out of the folder.
    """
    try:
        with ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if not name.endswith("/")]
            names = [name for name in names if not is_system_file(PurePosixPath(name))]
            for name in names:
                if not is_safe(name):
                    raise NerError(f"refused: the archive holds a path that leads out of it, {name!r}", where=address)
            tops = {name.split("/", 1)[0] if "/" in name else "" for name in names}
            top = f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""
            for name in names:
                target = folder / name.removeprefix(top)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.read(name))
    except BadZipFile as error:
        raise NerError(f"no readable zip archive: {error}", where=address, remedy=REMEDY) from None
