"""The tables of the documentation are those of the committed results."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from multiner.pipeline.core.files import write_json

MACHINE = {"date": "2026-01-01 00:00 UTC", "commit": "abc", "processor": "Abacus", "cores": 2,
           "load_average": {"start": 0.1, "end": 3}}  # fmt: skip


@pytest.fixture
def tables(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return import_module("tables")


def test_every_result_is_on_a_page_as_it_was_measured(tables: ModuleType) -> None:
    pages = [(tables.ROOT / name).read_text(encoding="utf-8") for name in tables.PAGES]
    for page in pages:
        assert tables.with_tables(page) == page, "the tables are stale: python benchmarks/tables.py"
    shown = {name for page in pages for _, name, _, _ in tables.BLOCK.findall(page)}
    results = {file.stem for file in tables.RESULTS.glob("*.json") if file.stem.partition(".")[0] in tables.TABLES}
    assert shown >= results


def test_a_table_is_replaced_as_a_whole(tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    columns = ("requests_per_second", "ratio", "p50_ms", "p95_ms", "p99_ms", "cpu_ms", "resident_mb", "failures")
    figures = [
        {"system": "gateway", "clients": clients, "different": None} | dict.fromkeys(columns, clients)
        for clients in (1, 8)
    ]
    absent = {"Ray Serve": "it does not come up"}
    result = {"machine": MACHINE, "figures": figures, "rounds": 2, "versions": {"x": "1.0"}, "left_out": absent}
    write_json(tmp_path / "load.xx.json", result)
    page = tables.with_tables("a\n<!-- table: load.xx 8 -->\nold\n<!-- end of table -->\nb\n")
    assert page.startswith("a\n<!-- table: load.xx 8 -->\n\n| Clients |")
    ending = "3 at the end. Versions: x 1.0. Ray Serve was left out: it does not come up."
    assert page.endswith(f"load average 0.1 at the start and {ending}\n\n<!-- end of table -->\nb\n")
    assert "| 8 | gateway | 8 |" in page
    assert "| 1 | gateway |" not in page
    assert "2 rounds; Abacus; 2 cores" in page
    assert "old" not in page
    assert tables.with_tables(page) == page
    (tmp_path / "load.xx.json").unlink()
    assert tables.with_tables(page) == page  # as measured before


def test_trainings_have_a_row_each(tables: ModuleType) -> None:
    figures = import_module("training_figures")
    row = figures.Figure(figures.OURS, "bf16", 40, 12.5, 20.0, 700.0, 2.5, 61.0)
    assert f"| {figures.OURS} | bf16 | 40 | 12.5 | 20.0 | 700.0 | 2.5 | 61.0 |" in figures.table(
        {"figures": [vars(row)]}
    )
