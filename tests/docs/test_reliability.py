"""docs/reliability.md and the fault tests agree: each row names a test and its fault, and each fault test has a row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

AT_LEAST = 40  # rows


def marked(root: Path) -> Iterator[tuple[str, str]]:
    """The test of each marker ``faults``, and the fault that the marker names."""
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.faults":
                    yield f"{path.relative_to(root / 'tests')}::{node.name}", ast.literal_eval(mark.args[0])


def test_the_page_has_a_row_for_each_fault_test_and_no_other(root: Path) -> None:
    page = (root / "docs" / "reliability.md").read_text(encoding="utf-8")
    table = page.partition("<!-- faults -->")[2].partition("<!-- /faults -->")[0]
    table = re.sub(r"<!--.*?-->", "", table, flags=re.S)
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \| `([^`|]+)` \|$", table, flags=re.M)
    assert len(rows) == len(re.findall(r"^\| ", table, flags=re.M)) - table.count("\n| fault |"), (
        "each row has its form"
    )
    tests = list(marked(root))
    assert sorted(rows) == sorted((fault, test) for test, fault in tests)
    assert len({fault for fault, _ in rows}) == len(rows) >= AT_LEAST


def test_each_test_of_the_folder_shows_its_fault_and_a_control(root: Path) -> None:
    names = {test for test, _ in marked(root)}
    for path in (root / "tests" / "faults").glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert f"faults/{path.name}::{node.name}" in names
                body = ast.unparse(node)
                assert "fault.happened(" in body, node.name
                assert "fault.control()" in body, node.name
