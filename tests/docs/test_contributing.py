"""CONTRIBUTING.md shows the packages and files that there are; CHANGELOG.md keeps its form."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest


@pytest.fixture
def page(root: Path) -> str:
    return (root / "CONTRIBUTING.md").read_text(encoding="utf-8")


def packages(root: Path, top: str) -> set[str]:
    return {path.parent.name for path in (root / top).glob("*/__init__.py")}


@pytest.mark.parametrize("top", ["pipeline", "serving"])
def test_the_table_has_every_package(root: Path, page: str, top: str) -> None:
    table = page.partition("<!-- packages -->")[2].partition("<!-- /packages -->")[0]
    rows = re.findall(rf"^\| `{top}/(\w+)/` \| \S.+ \|$", table, flags=re.M)
    assert set(rows) == packages(root, top)
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("top", ["pipeline", "serving"])
def test_the_picture_has_every_package_in_the_order_that_imports_run(root: Path, page: str, top: str) -> None:
    picture = page.partition("```\n")[2].partition("```")[0]
    lines = picture.partition(f"\n  {top} ")[2].partition("│")[0].replace(",", " ")
    shown = lines.split()
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = tools["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    modules = [name.strip().split(".") for layer in layers for name in layer.split("|")]
    order = dict.fromkeys(parts[2] for parts in modules if parts[1] == top)
    assert shown == [name for name in order if name in packages(root, top) | {"cli"}]
    assert set(shown) == packages(root, top) | {"cli"}


def test_files_and_commands_are_there(root: Path, page: str) -> None:
    names = re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:py|yaml|toml|md|lock))`", page)
    elsewhere = {
        ".run/integration",
        ".venv/",
        "build/site",
        "data/mirror/",
        "data/raw/",
        "pipeline.py",
        "serving.py",
    }  # commands make them, or users
    assert len(names) > 30
    assert not [name for name in names if name not in elsewhere and not (root / name).exists()]
    targets = re.findall(r"^([\w-]+):", (root / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    assert set(re.findall(r"`make ([\w-]+)`", page)) <= set(targets)


def test_the_changelog_keeps_its_form(root: Path) -> None:
    lines = (root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    kinds = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert all(re.match(r"#|- |  |In the form|\[Semantic", line) for line in lines if line), "entries are lists"
