"""The images, read and linted: nothing here needs a container engine."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

FILES = ("Dockerfile.pipeline", "Dockerfile.serving")


def instructions(root: Path, name: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions in order, continued lines joined."""
    text = (root / "docker" / name).read_text(encoding="utf-8")
    text = re.sub(r"(?m)^\s*#.*\n", "", text)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split(None, 1)[0].upper(), line.split(None, 1)[1].strip()) for line in lines if line.strip()]


def values(root: Path, name: str, word: str) -> list[str]:
    """What stands behind each instruction ``word``."""
    return [rest for each, rest in instructions(root, name) if each == word]


@pytest.mark.parametrize("name", FILES)
def test_hadolint_finds_nothing(root: Path, name: str) -> None:
    command = [Path(sys.executable).with_name("hadolint"), "--no-color", str(root / "docker" / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_the_base_is_pinned_by_digest(root: Path, name: str) -> None:
    first, *others = values(root, name, "FROM")
    assert re.fullmatch(r"python:3\.1[1-3]\.\d+-slim-\w+@sha256:[0-9a-f]{64} AS base", first)
    assert others == ["base AS build", "base"], "one base, pinned once; what builds stays out of the image"


def test_both_images_have_one_base(root: Path) -> None:
    assert values(root, FILES[0], "FROM")[0] == values(root, FILES[1], "FROM")[0]


@pytest.mark.parametrize("name", FILES)
def test_runs_as_another_user_than_root(root: Path, name: str) -> None:
    assert values(root, name, "USER") == ["10001:10001"], "a number, which Kubernetes can check (runAsNonRoot)"
    assert any("useradd --uid 10001 --gid 10001" in rest for rest in values(root, name, "RUN"))
    order = [word for word, _ in instructions(root, name)]
    assert "RUN" not in order[order.index("USER") :]


@pytest.mark.parametrize("name", FILES)
def test_python_packages_are_those_of_extras_in_the_locks_versions(root: Path, name: str) -> None:
    commands = " && ".join(values(root, name, "RUN")).split(" && ")
    installs = [command.strip() for command in commands if command.startswith("pip install")]
    assert any('".[${EXTRAS}]"' in install for install in installs)
    assert all("--constraint requirements-all.lock" in install or "--no-deps" in install for install in installs)


def test_the_pipelines_extra_is_an_argument_and_torch_comes_from_the_cpu_index_by_default(root: Path) -> None:
    arguments = values(root, "Dockerfile.pipeline", "ARG")
    assert "EXTRAS=pipeline" in arguments
    (index,) = [argument for argument in arguments if argument.startswith("TORCH_INDEX=")]
    assert index.endswith("/cpu")


@pytest.mark.parametrize("name", FILES)
def test_copies_what_is_there_and_nothing_secret(root: Path, name: str) -> None:
    for rest in values(root, name, "COPY"):
        if rest.startswith("--from=build"):
            continue
        *sources, _ = shlex.split(rest)
        for source in sources:
            assert source != ".", "a whole context would take in data and secrets"
            assert not re.search(r"secret|token|password|\.env|\.run|mlruns|^data(?!/(manifest|samples))", source)
            assert (root / source).exists(), source


@pytest.mark.parametrize("name", FILES)
def test_the_context_holds_what_is_copied_and_no_more(root: Path, name: str) -> None:
    lines = (root / "docker" / f"{name}.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = [shlex.split(rest)[:-1] for rest in values(root, name, "COPY") if not rest.startswith("--from=")]
    assert {part for parts in copied for part in parts} == allowed


@pytest.mark.parametrize("name", FILES)
def test_no_secret_is_baked_in(root: Path, name: str) -> None:
    for rest in values(root, name, "ENV") + values(root, name, "ARG"):
        assert not re.search(r"(?i)(password|secret|token|api_?key)\w*=", rest)


@pytest.mark.parametrize("name", FILES)
def test_the_commit_is_an_argument_that_the_product_reads(root: Path, name: str) -> None:
    assert 'COMMIT=""' in values(root, name, "ARG")
    assert any('NER_COMMIT="${COMMIT}"' in rest for rest in values(root, name, "ENV"))


@pytest.mark.parametrize("name", FILES)
def test_health_is_checked_on_a_port_that_is_exposed(root: Path, name: str) -> None:
    (check,) = values(root, name, "HEALTHCHECK")
    ports = {port for rest in values(root, name, "EXPOSE") for port in rest.split()}
    assert re.search(r"127\.0\.0\.1:(\d+)", check).group(1) in ports


def test_the_gateway_is_healthy_before_the_first_champion(root: Path) -> None:
    (check,) = values(root, "Dockerfile.serving", "HEALTHCHECK")
    assert "127.0.0.1:8000/live'" in check


def test_docker_is_no_package(root: Path) -> None:
    assert not list((root / "docker").rglob("*.py")), "it would hide the installed package of that name"
