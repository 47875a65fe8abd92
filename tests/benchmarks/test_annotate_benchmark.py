"""The benchmark of ``ner annotate``: it does what the command does with a chunk."""

from __future__ import annotations

import json
from contextlib import ExitStack, nullcontext
from importlib import import_module
from pathlib import Path

import pytest


def test_lines_of_records_come_from_the_models_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    benchmark = import_module("annotate")
    processes: list[tuple[Path, int]] = []

    def conversation(folder: Path, threads: int) -> nullcontext:
        processes.append((folder, threads))
        return nullcontext(lambda texts: [{"entities": [{"text": text}]} for text in texts])

    monkeypatch.setattr(benchmark, "conversation", conversation)
    with ExitStack() as stack:
        answer = benchmark.annotate(Path("folder"), 1, stack)
        lines = answer(["Ada", "Tam"])
    assert processes == [(Path("folder"), 1)]
    assert [(row["id"], row["text"], row["entities"]) for row in map(json.loads, lines)] == [
        ("0", "Ada", [{"text": "Ada"}]),
        ("1", "Tam", [{"text": "Tam"}]),
    ]
