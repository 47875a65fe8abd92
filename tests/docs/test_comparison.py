"""The page that compares with other systems only repeats figures; the tutorial's program is a program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def rows(text: str) -> list[set[str]]:
    """The figures of each row of the tables."""
    lines = re.findall(r"^\|(.+)\|$", text.replace("*", ""), flags=re.M)
    cells = [{cell.strip() for cell in line.split("|")} for line in lines]
    return [figures for row in cells if (figures := {cell for cell in row if re.fullmatch(r"\d[\d.,]*", cell)})]


def test_every_row_of_figures_is_in_the_benchmarks_or_the_results(root: Path) -> None:
    docs, readme = root / "docs", (root / "README.md").read_text(encoding="utf-8")
    measured = rows((docs / "benchmarks.md").read_text(encoding="utf-8"))
    text = (docs / "comparison.md").read_text(encoding="utf-8")
    accuracy = text.partition("## Accuracy")[2].partition("## Training")[0]
    results = set().union(*rows(readme))
    repeated = rows(text.replace(accuracy, ""))
    assert len(repeated) > 10
    assert [row for row in repeated if not any(row <= other for other in measured)] == []
    assert len(rows(accuracy)) > 3
    assert [row for row in rows(accuracy) if not row <= results] == []


@pytest.mark.parametrize("page", ["first-hour.md", "api/client.md"])
def test_programs_on_pages_can_be_read(root: Path, page: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (root / "docs" / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    assert blocks
    for block in blocks:
        compile(block, page, "exec")
