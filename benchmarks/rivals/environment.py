"""Environments of the rivals whose packages do not fit beside ours: one for each requirements file of this folder.

    python benchmarks/rivals/environment.py litserve optimum

They lie in the user's cache (``$XDG_CACHE_HOME/ner-benchmarks``). One that serves our model gets what the extra
``infer`` needs, in the versions installed here, so that the model runs on the same code in every server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement

from multiner.pipeline.core.errors import NerError

HERE = Path(__file__).resolve().parent
NAMES = sorted(file.stem for file in HERE.glob("*.txt"))
OURS = "# and ours"
"""The line of a requirements file that stands for what our model needs."""


def requirements(name: str) -> list[str]:
    """The packages of an environment, with their versions."""
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    return packages + (needs_of_our_model() if OURS in lines else [])


def pinned(name: str) -> dict[str, str]:
    """The versions that a requirements file pins, by package."""
    needs = map(Requirement, requirements(name))
    return {need.name: str(need.specifier).removeprefix("==") for need in needs}


def needs_of_our_model() -> list[str]:
    """The core of this distribution and its extra ``infer``, as installed here."""
    needs = [Requirement(line) for line in requires("ner-pipeline") or []]
    names = {need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": "infer"})}
    return [f"{name}=={version(name)}" for name in sorted(names)]


def python_of(name: str) -> Path:
    """The interpreter of the environment, which is made where it is missing or its requirements have changed.

    Raises:
        NerError: pip fails.
    """
    packages = requirements(name)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ner-benchmarks"
    folder = cache / f"{name}-{sha256(' '.join([sys.version, *packages]).encode()).hexdigest()[:8]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").is_file():
        print(f"making the environment {folder}", file=sys.stderr)
        for command in (["-m", "venv", "--clear", str(folder)], ["-m", "pip", "install", "-q", *packages]):
            if subprocess.run([sys.executable if "venv" in command else str(python), *command]).returncode:
                raise NerError(f"the environment of {name} cannot be made", where=str(HERE / f"{name}.txt"))
        (folder / "complete").touch()
    return python


if __name__ == "__main__":
    for chosen in sys.argv[1:] or NAMES:
        print(python_of(chosen))
