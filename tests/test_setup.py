"""Set-up: the locks pin what setup.py asks for, each extra has what its part imports, and nothing names a machine."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from multiner.pipeline.registry import lineage
from multiner.pipeline.registry.packaging import SERVED_WITH

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


def test_what_the_pipeline_and_the_tests_need_holds_what_serving_needs(packaging: dict[str, Any]) -> None:
    extras = packaging["extras_require"]
    assert set(extras["serve"]) < set(extras["pipeline"]) < set(extras["test"])


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("multiner", include_external_packages=True, exclude_type_checking_imports=True)


def packages(graph: grimp.ImportGraph, modules: Iterable[str]) -> set[str]:
    """The packages that ``modules`` import, by the names in setup.py."""
    external = {each for each in modules if each.partition(".")[0] not in {"multiner", *sys.stdlib_module_names}}
    owners = packages_distributions()
    found = {min(canonicalize_name(owner) for owner in owners[each]) for each in external}
    return {PART_OF.get(name, name) for name in found}


def reachable(graph: grimp.ImportGraph, *entries: str, without: Iterable[str] = ()) -> set[str]:
    """All modules that ``entries`` import, directly or through others, also inside functions."""
    graph = copy.deepcopy(graph)
    for name in without:
        for module in {name, *graph.find_descendants(name)}:
            graph.remove_module(module)
    return set().union(*(graph.find_upstream_modules(each) for each in entries))


def test_the_extra_serve_has_what_the_gateway_imports(imports: grimp.ImportGraph, packaging: dict[str, Any]) -> None:
    modules = reachable(imports, "multiner.serving.gateway.app", "multiner.serving.matching", without=NOT_SERVED)
    found = packages(imports, modules)
    assert {"fastapi", "rapidfuzz", "mlflow", "uvicorn"} <= found
    assert found <= names([*packaging["install_requires"], *packaging["extras_require"]["serve"]])


def test_the_extra_serve_has_what_the_commands_of_its_image_import(
    imports: grimp.ImportGraph, packaging: dict[str, Any]
) -> None:
    commands = ("multiner.serving.cli", "multiner.serving.system.running", "multiner.loading")
    found = packages(imports, reachable(imports, *commands, without=NOT_SERVED))
    assert {"rich", "httpx-retries"} <= found
    assert found <= names([*packaging["install_requires"], *packaging["extras_require"]["serve"]])


def test_the_extra_serve_has_what_a_model_server_imports(imports: grimp.ImportGraph, packaging: dict[str, Any]) -> None:
    """The modules frozen with a model, among them those that are named in strings, and what MLflow notes for it."""
    files = [path.relative_to(lineage.PACKAGE.parent).with_suffix("") for path in lineage.code_closure()]
    modules = [".".join(file.parts).removesuffix(".__init__") for file in files]
    found = packages(imports, {each for name in modules for each in imports.find_modules_directly_imported_by(name)})
    assert {"onnxruntime", "navec", "slovnet"} <= found
    serve = names([*packaging["install_requires"], *packaging["extras_require"]["serve"]])
    assert found | set(SERVED_WITH) <= serve


def test_the_extra_pipeline_has_what_anything_imports(imports: grimp.ImportGraph, packaging: dict[str, Any]) -> None:
    extras = {"pyspark"}  # of the extra spark, which is not installed here
    found = packages(imports, imports.modules - extras) - {
        "optuna",
        "presidio-analyzer",
    }  # of the extra search; of users
    assert {"dvc", "torch", "great-expectations"} <= found
    assert found <= names([*packaging["install_requires"], *packaging["extras_require"]["pipeline"]])


def test_the_client_needs_no_extra(imports: grimp.ImportGraph, packaging: dict[str, Any]) -> None:
    clients = ("multiner.serving.client.blocking", "multiner.serving.client.asynchronous")
    conversions = ["multiner.serving.client.conversions"]  # to spaCy and pandas, for callers that have them
    found = packages(imports, reachable(imports, *clients, without=conversions))
    assert "httpx" in found
    assert found <= names(packaging["install_requires"])


def test_the_command_starts_without_an_extra(packaging: dict[str, Any]) -> None:
    code = "import sys, multiner.pipeline.cli, multiner.serving.cli; print(*{n.partition('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    owners = packages_distributions()
    loaded = names(owner for module in done.stdout.split() for owner in owners.get(module, ()))
    assert "click" in loaded
    assert "httpx" not in loaded, "every task of Airflow's starts the command"
    assert loaded & names(packaging["extras_require"]["test"]) <= names(packaging["install_requires"]) | {"setuptools"}


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
