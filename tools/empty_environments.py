"""Builds the sdist and the wheel, installs the wheel with each extra in an empty environment, and uses it there.

``python tools/empty_environments.py`` prints a Markdown table: packages, size on disk and import time of each extra.
Versions are those of requirements-all.lock. Each environment is thrown away before the next is made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
LINES = Path(__file__).with_name("extras")
NAME = "ner-pipeline"
HEAVY = ("airflow", "dvc", "great_expectations", "mlflow", "torch", "transformers")
REPEATS = (
    3  # of an import, each in a new process; the fastest counts. CPU time: other work on the machine counts little
)
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
WORDS = {"Ada": "B-PER", "Oslo": "B-LOC"}  # that the tiny model knows


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of setup.py, and how it is tried.

    Attributes:
        statement: what is timed, at the start of a process.
        absent: packages that must not be importable.
        parts: the extras that it is made of, whose lines are run as well.
    """

    statement: str
    absent: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


EXTRAS = {
    "core": Extra("import multiner; multiner.Client", HEAVY),
    "infer": Extra("from multiner import load; import spacy, onnxruntime", HEAVY),
    "train": Extra("import torch, transformers, spacy", ("airflow", "dvc", "great_expectations", "mlflow")),
    "serve": Extra("import multiner.serving.gateway.app", ("airflow", "dvc", "great_expectations", "torch")),
    "spark": Extra("import multiner.spark, mlflow, pyspark", ("airflow", "dvc", "great_expectations", "torch")),
    "search": Extra("import optuna, mlflow, torch, transformers", ("airflow", "dvc", "great_expectations")),
    "pipeline": Extra("import airflow, dvc.api, mlflow, great_expectations, torch", parts=("train", "serve")),
    "all": Extra(
        "import airflow, dvc.api, mlflow, great_expectations, torch, optuna, pyspark",
        parts=("pipeline", "train", "serve", "search", "spark"),
    ),
}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """The output of a command, in an environment without this project. Ends the script if it fails."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("NER_", "PYTHON", "VIRTUAL"))
    }
    done = subprocess.run(command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def copy_tracked(target: Path) -> Path:
    """A copy of the files that git tracks, links as links."""
    names = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return target


def build(folder: Path) -> tuple[Path, Path]:
    """The sdist, of a copy of the repository, and the wheel, of that sdist: so it holds all that the wheel needs."""
    backend = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", backend, folder, cwd=copy_tracked(folder / "source"))
    (sdist,) = folder.glob("*.tar.gz")
    wheel = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(*wheel, "--wheel-dir", folder, sdist, cwd=folder)
    (file,) = folder.glob("*.whl")
    return sdist, file


def write_model(folder: Path) -> Path:
    """The folder of a model as MLflow stores it: one leg, in ONNX, that knows two words and does no more."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save
    from tokenizers import Tokenizer, models, pre_tokenizers

    leg = folder / "artifacts" / "transformer"
    leg.mkdir(parents=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(leg / "tokenizer.json"))
    table = np.full((len(pieces), len(LABELS)), 0.02, dtype=np.float32)
    table[range(len(pieces)), [LABELS.index(WORDS.get(piece, "O")) for piece in pieces]] = 0.92
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["probabilities"])],
        "words",
        [value("input_ids", TensorProto.INT64, [1, "pieces"])],
        [value("probabilities", TensorProto.FLOAT, [1, "pieces", len(LABELS)])],
        [numpy_helper.from_array(table, "table")],
    )
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), leg / "model.onnx")
    special = {"first": 2, "border": 3, "unknown": 1}
    settings = {"labels": LABELS, "max_pieces": 64, "context": 0, "special": special}
    (leg / "leg.json").write_text(json.dumps(settings), encoding="utf-8")
    member = {"name": "transformer", "temperature": 1.0, "weight": 1.0}
    description = {"language": "en", "types": ["PER", "LOC"], "members": [member], "chooser": None}
    (folder / "artifacts" / "ensemble.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "MLmodel").touch()
    return folder


def megabytes(folder: Path) -> float:
    """The size of the files below a folder, on disk."""
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*")) / 1e6


def attempt(extra: str, python: Path, wheel: Path, folder: Path) -> str:
    """Install an extra in an empty environment and use it there; returns its row of the table."""
    run(python, "-m", "venv", folder / "venv", cwd=folder)
    bin = folder / "venv" / "bin"
    pip = (bin / "python", "-m", "pip", "--disable-pip-version-check")
    listing = (*pip, "list", "--format=json")
    before, empty = len(json.loads(run(*listing, cwd=folder))), megabytes(folder / "venv")
    requirement = f"{NAME} @ {wheel.as_uri()}" if extra == "core" else f"{NAME}[{extra}] @ {wheel.as_uri()}"
    lock = ROOT / "requirements-all.lock"
    run(*pip, "install", "--quiet", "--no-compile", "--constraint", lock, requirement, cwd=folder)
    count, size = len(json.loads(run(*listing, cwd=folder))) - before, megabytes(folder / "venv") - empty
    run(*pip, "check", cwd=folder)
    for package in EXTRAS[extra].absent:
        run(bin / "python", "-c", f"import importlib.util as u; assert not u.find_spec({package!r})", cwd=folder)
    model = write_model(folder / "model")
    path = f"{bin}{os.pathsep}{os.environ['PATH']}"
    for part in (*EXTRAS[extra].parts, extra):
        clone = copy_tracked(folder / part)  # what trains or serves does so in a clone
        run("bash", "-euo", "pipefail", LINES / f"{part}.sh", model, cwd=clone, PATH=path, PYTHONSAFEPATH="1")
    seconds = min(import_seconds(bin / "python", EXTRAS[extra].statement, folder) for _ in range(REPEATS))
    version = run(bin / "python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])", cwd=folder).strip()
    return f"| `{extra}` | {version} | {count} | {size:,.0f} | {seconds:.2f} | `{EXTRAS[extra].statement}` |"


def import_seconds(python: Path, statement: str, folder: Path) -> float:
    """The processor time of an import in a new process, which writes it to a file: Airflow takes what is printed.

    The process runs a script, since PySpark ends one that was started with ``-c`` and imports Great Expectations.
    """
    clock, file, script = "time.process_time()", folder / "seconds", folder / "timed.py"
    file.unlink(missing_ok=True)
    script.write_text(
        f"import time; start = {clock}; {statement}; open({str(file)!r}, 'w').write(str({clock} - start))"
    )
    words = run(python, "-P", script, cwd=folder)
    if not file.is_file():
        sys.exit(f"the process ended in the midst of: {statement}\n{words[-2000:]}")
    return float(file.read_text())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"by default all of: {', '.join(EXTRAS)}")
    parser.add_argument(
        "--python", action="append", type=Path, metavar="PATH", help="an interpreter; can be given several times"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.extras) - set(EXTRAS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(EXTRAS)}")
    with TemporaryDirectory(prefix="ner-wheel-") as folder:
        _, wheel = build(Path(folder))
        print("| extra | Python | packages | MB on disk | CPU seconds | of |\n|---|---|---:|---:|---:|---|", flush=True)
        for extra in options.extras or EXTRAS:
            for python in options.python or [Path(sys.executable)]:
                with TemporaryDirectory(prefix="ner-empty-") as empty:
                    print(attempt(extra, python, wheel, Path(empty)), flush=True)


if __name__ == "__main__":
    main()
