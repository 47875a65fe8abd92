"""Writes the tables of the documentation out of the committed results.

    python benchmarks/tables.py

A page has a table between ``<!-- table: NAME -->``, where NAME is a file of benchmarks/results without ``.json``, and
``<!-- end of table -->``; ``NAME 8`` takes of a result of serving what 8 clients got.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import inference
import load_figures
import training_figures

from multiner.pipeline.core.files import read_json, write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("docs/benchmarks.md", "docs/comparison.md")
BLOCK = re.compile(r"(<!-- table: (\S+?)(?: (\d+))? -->\n).*?(<!-- end of table -->)", re.S)
SIZES = ("sentences", "documents", "words", "dev_documents", "epochs", "threads", "rounds", "seconds")
TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "inference": inference.table,
    "load": load_figures.table,
    "training": training_figures.table,
}


def measured(result: Mapping[str, Any]) -> str:
    """How much was measured, when, where and beside how much other work."""
    machine = result["machine"]
    load = machine["load_average"]
    sizes = ", ".join(f"{result[size]:g} {size.replace('_', ' ')}" for size in SIZES if size in result)
    return (
        f"Measured {machine['date']} at commit `{machine['commit']}`: {sizes}; {machine['processor']}; "
        f"{machine['cores']} cores, load average {load['start']} at the start and {load['end']} at the end."
        f"{versions_and_absent(result)}"
    )


def versions_and_absent(result: Mapping[str, Any]) -> str:
    """A sentence on the versions, where the table has none, and one on each rival that did not come up."""
    versions = [f"{name} {number}" for name, number in result.get("versions", {}).items() if isinstance(number, str)]
    absent = [f" {name} was left out: {reason}." for name, reason in result.get("left_out", {}).items()]
    return (f" Versions: {', '.join(versions)}." if versions else "") + "".join(absent)


def block(name: str, clients: str | None) -> str:
    """What stands between the marks: the table of a result, and how it was measured."""
    result = read_json(RESULTS / f"{name}.json")
    if clients:
        result["figures"] = [figure for figure in result["figures"] if figure["clients"] == int(clients)]
    return f"\n{TABLES[name.partition('.')[0]](result)}\n\n{measured(result)}\n\n"


def with_tables(page: str) -> str:
    """A page with its tables as the results have them; where a result is missing, the text stays."""

    def replacement(match: re.Match[str]) -> str:
        start, name, clients, end = match.groups()
        return start + block(name, clients) + end if (RESULTS / f"{name}.json").is_file() else match[0]

    return BLOCK.sub(replacement, page)


def main() -> None:
    """The command line."""
    for name in PAGES:
        path = ROOT / name
        page = with_tables(path.read_text(encoding="utf-8"))
        with write_atomically(path) as file:
            file.write(page)


if __name__ == "__main__":
    main()
