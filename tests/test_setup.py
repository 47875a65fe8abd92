"""Set-up: the locks pin what setup.py asks for, each extra has what its part imports, and nothing names a machine."""

from __future__ import annotations

import ast
import copy
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import click
import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from multiner.pipeline.cli import commands as pipeline_commands
from multiner.pipeline.registry import lineage
from multiner.pipeline.registry.packaging import SERVED_WITH
from multiner.serving.cli import commands as serving_commands

PART_OF = {"pydantic-core": "pydantic"}
# DVC, the gate and what it judges by are reached through functions that the commands of the pipeline's image call
NOT_SERVED = (
    "multiner.pipeline.core.dvc_cache",
    "multiner.pipeline.core.dvc_command",
    "multiner.pipeline.core.dvc_locks",
    "multiner.pipeline.drift.report",
    "multiner.pipeline.ensemble.held_out",
    "multiner.pipeline.evaluation",
    "multiner.pipeline.models.training_documents",
    "multiner.pipeline.registry.gate",
    "multiner.serving.housekeeping",
)
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)( ; .+)?$")


def pins(lock: Path) -> dict[str, str]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    found = [PIN.match(line) for line in lines if line and not line.startswith("#")]
    assert all(found), "a line of the lock is no exact pin"
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def names(requirements: Iterable[str]) -> set[str]:
    """The normal form of the packages' names."""
    return {canonicalize_name(Requirement(each).name) for each in requirements}


def test_the_locks_satisfy_every_requirement(root: Path, packaging: dict[str, Any]) -> None:
    locked, everything = pins(root / "requirements.lock"), pins(root / "requirements-all.lock")
    assert locked.items() - everything.items() <= {("ner-pipeline", "0.1.0")}, "the locks differ: make lock UPGRADE="
    extras = packaging["extras_require"]
    for lock, requirements in (
        (locked, [*packaging["install_requires"], *extras["test"]]),
        (everything, [each for extra in extras.values() for each in extra]),
    ):
        assert len(requirements) > 20
        for requirement in map(Requirement, requirements):
            assert requirement.specifier.contains(lock[canonicalize_name(requirement.name)]), requirement


def test_extras_are_made_of_each_other_and_name_each_package_once(packaging: dict[str, Any]) -> None:
    extras = {name: set(packages) for name, packages in packaging["extras_require"].items()}
    assert extras["infer"] < extras["train"] < extras["pipeline"]
    assert extras["infer"] < extras["serve"] < extras["pipeline"] < extras["test"]
    assert extras["all"] == set().union(
        *(packages for name, packages in extras.items() if name not in {"all", "docs", "test"})
    )
    for packages in packaging["extras_require"].values():
        assert len(names(packages)) == len(packages)
        assert not names(packages) & names(packaging["install_requires"])


def test_the_light_extras_have_nothing_heavy(packaging: dict[str, Any]) -> None:
    heavy = {"apache-airflow", "dvc", "great-expectations", "mlflow", "torch", "transformers"}
    assert not names([*packaging["install_requires"], *packaging["extras_require"]["infer"]]) & heavy
    assert names(packaging["extras_require"]["train"]) & heavy == {"torch", "transformers"}
    assert names(packaging["extras_require"]["serve"]) & heavy == {"mlflow"}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("multiner", include_external_packages=True, exclude_type_checking_imports=True)


def packages(graph: grimp.ImportGraph, modules: Iterable[str]) -> set[str]:
    """The packages that ``modules`` import, by the names in setup.py."""
    external = {each for each in modules if each.partition(".")[0] not in {"multiner", *sys.stdlib_module_names}}
    owners = packages_distributions()
    found = {
        min(canonicalize_name(owner) for owner in owners.get(each, [each])) for each in external
    }  # or not installed
    return {PART_OF.get(name, name) for name in found}


def reachable(graph: grimp.ImportGraph, *entries: str, without: Iterable[str] = ()) -> set[str]:
    """All modules that ``entries`` import, directly or through others, also inside functions."""
    graph = copy.deepcopy(graph)
    for name in without:
        below = set() if graph.is_module_squashed(name) else graph.find_descendants(name)
        for module in {name, *below}:
            graph.remove_module(module)
    return set().union(*(graph.find_upstream_modules(each) for each in entries))


def served_modules() -> set[str]:
    """The modules frozen with a model, among them those that are named in strings."""
    files = [path.relative_to(lineage.PACKAGE.parent).with_suffix("") for path in lineage.code_closure()]
    return {".".join(file.parts).removesuffix(".__init__") for file in files}


def installed_by(packaging: dict[str, Any], extra: str) -> set[str]:
    """The names of the packages that an extra brings with the core."""
    return names([*packaging["install_requires"], *packaging["extras_require"].get(extra, ())])


CLIENT = ("multiner.serving.client.blocking", "multiner.serving.client.asynchronous")
GATEWAY = ("multiner.serving.gateway.app", "multiner.serving.matching")
SERVING_COMMANDS = ("multiner.serving.cli", "multiner.serving.system.running", "multiner.loading")
BY_NAME = ("multiner.pipeline.registry", "multiner.pipeline.config", "mlflow")  # what loads a model by its name


@pytest.mark.parametrize(
    ("extra", "entries", "without", "some"),
    [
        # conversions to spaCy and pandas are for callers that have them
        ("core", CLIENT, ("multiner.serving.client.conversions",), {"httpx", "httpx-retries"}),
        ("infer", ("multiner.loading",), (*BY_NAME, "multiner.serving.client.conversions"), {"numpy", "tqdm"}),
        ("serve", GATEWAY, NOT_SERVED, {"fastapi", "rapidfuzz", "mlflow", "uvicorn"}),
        ("serve", SERVING_COMMANDS, NOT_SERVED, {"rich", "httpx-retries"}),
        ("spark", ("multiner.spark",), (*NOT_SERVED, "multiner.serving.client.conversions"), {"pyspark", "mlflow"}),
    ],
)
def test_an_extra_has_what_its_part_imports(
    imports: grimp.ImportGraph,
    packaging: dict[str, Any],
    extra: str,
    entries: tuple[str, ...],
    without: tuple[str, ...],
    some: set[str],
) -> None:
    found = packages(imports, reachable(imports, *entries, without=without))
    assert some <= found
    assert found <= installed_by(packaging, extra)


def test_the_extra_infer_has_what_a_model_imports_but_for_mlflow(
    imports: grimp.ImportGraph, packaging: dict[str, Any]
) -> None:
    modules = served_modules() - {"multiner.pipeline.inference.pyfunc"}
    found = packages(imports, {each for name in modules for each in imports.find_modules_directly_imported_by(name)})
    assert {"onnxruntime", "navec", "slovnet", "spacy"} <= found <= installed_by(packaging, "infer")


def test_the_extra_serve_has_what_a_model_server_imports(imports: grimp.ImportGraph, packaging: dict[str, Any]) -> None:
    """The modules frozen with a model, and what MLflow notes for it."""
    modules = served_modules()
    found = packages(imports, {each for name in modules for each in imports.find_modules_directly_imported_by(name)})
    assert "mlflow" in found
    assert found | set(SERVED_WITH) <= installed_by(packaging, "serve")


def test_the_extra_pipeline_has_what_anything_imports(imports: grimp.ImportGraph, packaging: dict[str, Any]) -> None:
    found = packages(imports, imports.modules - {"pyspark"})
    found -= {"optuna", "presidio-analyzer"}  # of the extras spark and search; of users
    assert {"dvc", "torch", "great-expectations"} <= found
    assert found <= installed_by(packaging, "pipeline")


def leaves(group: click.Group) -> Iterator[click.Command]:
    """The commands of a group that do something."""
    for command in group.commands.values():
        yield from leaves(command) if isinstance(command, click.Group) else [command]


def own_imports(graph: grimp.ImportGraph, tree: ast.AST) -> set[str]:
    """The modules of the project that a function imports."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    every = {name for node in nodes for alias in node.names for name in (f"{node.module}.{alias.name}", node.module)}
    return {name for name in every if name in graph.modules and name.startswith("multiner.")}


@pytest.mark.parametrize("extra", ["train", "search", "serve"])
def test_commands_name_an_extra_that_has_what_they_import(
    imports: grimp.ImportGraph, packaging: dict[str, Any], extra: str
) -> None:
    """By the decorator ``needs``; a command without it needs the extra pipeline."""
    own: set[str] = set()
    for command in [*leaves(pipeline_commands), *leaves(serving_commands)]:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(command.callback)))
        if f'@needs("{extra}")' in source:
            own |= own_imports(imports, ast.parse(source))
    assert own
    found = packages(imports, reachable(imports, *own, without=NOT_SERVED if extra == "serve" else ()) | own)
    assert found <= installed_by(packaging, extra)


def test_no_cuda_build_is_pinned(root: Path) -> None:
    for lock in ("requirements.lock", "requirements-all.lock"):
        assert not [name for name in pins(root / lock) if name.startswith(("nvidia", "triton"))]


def test_no_corpus_and_no_weights_are_tracked(root: Path) -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    names = done.stdout.split("\0")
    assert "params.yaml" in names
    for name in names:
        assert not name.startswith(("data/out", "data/encoders", "data/vectors", "mlruns/mlflow")), name
        assert not name.startswith("data/raw/") or name.endswith((".dvc", ".gitignore")), name
        assert Path(name).suffix not in {".safetensors", ".bin", ".pkl", ".pt", ".onnx", ".db"}, name


def test_pages_docs_and_code_name_no_path_of_a_machine(root: Path) -> None:
    done = subprocess.run(["git", "ls-files", "-z", "*.py", "*.md", "*.yaml", "*.lock", "Makefile"], cwd=root,
                          capture_output=True, text=True, check=True)  # fmt: skip
    names = list(filter(None, done.stdout.split("\0")))
    assert "README.md" in names
    for name in names:
        text = (root / name).read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|work|Users)/\w+/", text), name


def test_no_spacy_factory_is_an_entry_point() -> None:
    """spaCy loads them in every process, and an older model's frozen code lacks the newer modules they would name."""
    assert not [each for each in distribution("ner-pipeline").entry_points if each.group == "spacy_factories"]


def test_what_is_checked_before_a_commit_is_what_lint_checks(root: Path) -> None:
    """With the environment's own tools: no hook brings another version of them from elsewhere."""
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude")
             for repository in config["repos"] for hook in repository["hooks"]]  # fmt: skip
    recipe = (root / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].partition("\n\n")[0]
    assert hooks == ["ruff check", "ruff format", "lint-imports"]
    assert all(hook in recipe for hook in [*hooks, "mypy"])
