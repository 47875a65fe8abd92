"""A workspace with the shipped configuration, and the German corpus that tools/make_german.py writes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from multiner.pipeline.cli import commands
from multiner.pipeline.core.errors import NerError

GERMAN = "-o encoding=iso-8859-1 -o token_column=2 -o scheme=IOB1"
Ner = Callable[[str], Result]


@pytest.fixture
def home(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / "data" / "raw").mkdir(parents=True)
    shutil.copytree(root / "params", home / "params")
    for name in ("params.yaml", "dvc.yaml", "data/manifest.json"):
        shutil.copyfile(root / name, home / name)
    monkeypatch.setenv("NER_ROOT", str(home))
    return home


@pytest.fixture(scope="session")
def german(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("german")
    subprocess.run([sys.executable, str(root / "tools" / "make_german.py"), str(folder)], check=True)
    return folder


@pytest.fixture
def ner(home: Path) -> Ner:
    """Runs a command line, which must not fail."""
    return lambda line: CliRunner().invoke(commands, line.split(), catch_exceptions=False)


def refusal(ner: Ner, line: str) -> NerError:
    with pytest.raises(NerError) as caught:
        ner(line)
    return caught.value


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
