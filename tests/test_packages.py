"""The wheel holds every file of the package; where only an extra's packages are there, what it is for works."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from importlib.metadata import distribution, packages_distributions
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import Distribution

NO_EXTRA = """
import contextlib, io, json, os, sys
from importlib.metadata import entry_points

import click

from multiner.pipeline.cli import main

def leaves(group, *above):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *above, name)
        else:
            yield (*above, name), command

def arguments(command):
    for each in command.params:
        value = each.type.choices[0] if isinstance(each.type, click.Choice) else "en"
        if each.required:
            yield from [value] if isinstance(each, click.Argument) else [each.opts[0], value]

outcomes = {}
for entry in entry_points(group="ner.commands"):
    for name, command in leaves(entry.load()):
        sys.argv, errors = ["ner", *name, *arguments(command)], io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
            main()
        outcomes[" ".join(name)] = errors.getvalue()
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def tool(root: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(root / "tools" / "empty_environments.py")))


@pytest.fixture(scope="module")
def built(tool: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made of it."""
    return tool.build(tmp_path_factory.mktemp("dist"))


def test_an_import_is_timed_whatever_it_does_with_its_output(tool: SimpleNamespace, tmp_path: Path) -> None:
    found = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    (tmp_path / "noisy.py").write_text("import os, sys; print('a warning'); os.close(1); sys.stdout = None")
    assert 0 < tool.import_seconds(sys.executable, f"{found}import noisy", tmp_path) < 5
    (tmp_path / "ends.py").write_text("import os; os.write(1, b'my last words'); os._exit(0)")
    with pytest.raises(SystemExit, match=r"in the midst of: .*import ends\nmy last words"):
        tool.import_seconds(sys.executable, f"{found}import ends", tmp_path)


def package_files(root: Path) -> set[str]:
    """The files that git tracks in the package and in the folders that it links to, as the wheel names them."""
    command = ["git", "ls-files", "-z", "multiner", "pipeline", "serving"]
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    links = {"", "multiner/pipeline", "multiner/serving"}
    return {name if name.startswith("multiner/") else f"multiner/{name}" for name in names if name not in links}


def hidden_by(packaging: dict[str, Any], extra: str) -> set[str]:
    """The modules of the packages here that the core with an extra does not bring, directly or through others."""
    waiting = [Requirement(each) for each in packaging["install_requires"] + packaging["extras_require"].get(extra, [])]
    brought: set[str] = set()
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name not in brought:
            brought.add(name)
            own = [Requirement(each) for each in distribution(name).requires or ()]
            waiting += [each for each in own if not each.marker or each.marker.evaluate({"extra": ""})]
    kept = brought | {"ner-pipeline", "pip", "setuptools"}
    return {
        module
        for module, owners in packages_distributions().items()
        if not kept & {canonicalize_name(owner) for owner in owners} and not module.startswith("__editable__")
    }


def environment(folder: Path, hidden: set[str], *paths: Path) -> dict[str, str]:
    """The environment of processes in which the modules ``hidden`` are as if they were not installed."""
    block = f"import sys\nsys.modules.update(dict.fromkeys({sorted(hidden)!r}))\n"
    (folder / "sitecustomize.py").write_text(block, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NER_", "PYTHON"))}
    return inherited | {"PYTHONPATH": os.pathsep.join(map(str, (folder, *paths)))}


def test_every_file_of_the_package_is_installed(
    root: Path, packaging: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    command = Distribution(packaging | {"script_name": "setup.py"}).get_command_obj("build_py")
    command.ensure_finalized()
    modules = {PurePosixPath(path).as_posix() for _, _, path in command.find_all_modules()}
    data = {(PurePosixPath(source) / name).as_posix() for _, source, _, names in command.data_files for name in names}
    files = package_files(root)
    assert "multiner/pipeline/models/spacy/spacy.cfg" in files
    assert modules | data == files


def test_the_metadata_say_what_it_is(packaging: dict[str, Any], root: Path) -> None:
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} < set(packaging["classifiers"])
    assert "Typing :: Typed" in packaging["classifiers"]
    assert (root / "multiner" / "py.typed").is_file()


def test_without_an_extra_each_command_names_the_one_it_needs(packaging: dict[str, Any], tmp_path: Path) -> None:
    env = environment(tmp_path, hidden_by(packaging, "core"))
    done = subprocess.run(
        [sys.executable, "-c", NO_EXTRA], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert {"pull", "train", "up", "status", "history", "operator add"} < set(outcomes)
    for name, message in outcomes.items():
        # These two read the corpus first, by the core; those of workspaces first want a run's name and an object store.
        if name not in {"convert", "score"} and not name.startswith("workspace "):
            assert message.startswith("error: "), (name, message)
            assert "This needs: pip install 'ner-pipeline[" in message, (name, message)
    assert "ner-pipeline[train]" in outcomes["train"]
    assert "ner-pipeline[serve]" in outcomes["status"]
    assert "ner-pipeline[pipeline]" in outcomes["up"]


def test_a_corpus_is_converted_by_the_core_and_scored_by_more(packaging: dict[str, Any], tmp_path: Path) -> None:
    env = environment(tmp_path, hidden_by(packaging, "core"))
    (tmp_path / "notes.conll").write_text("Ada B-PER\nleft O\n", encoding="utf-8")
    start = [sys.executable, "-c", "from multiner.pipeline.cli import main; main()"]
    convert = [*start, "convert", "notes.conll", "notes.jsonl", "--from", "columns", "--to", "jsonl"]
    score = [*start, "score", "notes.conll", "--from", "columns", "--model", "http://127.0.0.1:1"]
    done = subprocess.run(convert, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"PER"' in (tmp_path / "notes.jsonl").read_text(encoding="utf-8")
    done = subprocess.run(score, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "This needs: pip install 'ner-pipeline[" in done.stderr


def test_the_conda_recipe_has_the_core_and_what_inference_needs(root: Path, packaging: dict[str, Any]) -> None:
    recipe = yaml.safe_load((root / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    core, infer = (each["requirements"]["run"] for each in recipe["outputs"])
    assert recipe["context"]["version"] == packaging["version"]
    plain = [each.replace(" ", "") for each in (*core[1:], *infer[1:])]
    assert plain == [*packaging["install_requires"], *packaging["extras_require"]["infer"]]
    assert (
        core[0].partition(" ")[2].replace("${{ python_min }}", recipe["context"]["python_min"])
        == (packaging["python_requires"])
    )


def test_the_conda_environment_has_the_locks_packages(root: Path, packaging: dict[str, Any]) -> None:
    environment = yaml.safe_load((root / "conda" / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]
    assert pip == ["--constraint ../requirements-all.lock", "--editable ..[pipeline]"]
    assert (root / "requirements-all.lock").is_file()
    assert "pipeline" in packaging["extras_require"]


@pytest.mark.slow
def test_the_wheel_made_of_the_sdist_holds_the_package(root: Path, built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        fields = Parser().parsestr(archive.read(metadata).decode())
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert files == package_files(root)
    assert fields["License-Expression"] == "MIT"
    assert {"infer", "train", "serve", "pipeline", "spark", "all"} <= set(fields.get_all("Provides-Extra", []))
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym()]


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["core", "infer"])
def test_the_wheel_does_what_an_extra_is_for_with_its_packages_alone(
    root: Path, tool: SimpleNamespace, built: tuple[Path, Path], packaging: dict[str, Any], tmp_path: Path, extra: str
) -> None:
    hidden = hidden_by(packaging, extra)
    assert set(tool.EXTRAS[extra].absent) <= hidden
    installed = tmp_path / "installed"
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", installed, built[1])
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    env = environment(tmp_path, hidden, installed)
    env["PATH"] = os.pathsep.join([str(installed / "bin"), str(Path(sys.executable).parent), env["PATH"]])
    where = "import multiner; print(multiner.__file__)"
    found = subprocess.run(["python", "-c", where], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(installed)
    script = [
        *("bash", "-euo", "pipefail"),
        root / "tools" / "extras" / f"{extra}.sh",
        tool.write_model(tmp_path / "m"),
    ]
    done = subprocess.run(script, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
