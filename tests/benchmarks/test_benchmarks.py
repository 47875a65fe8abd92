"""The benchmark of inference: what it times, and that it compares within a round."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from multiner.pipeline.core.document import from_words, write_jsonl
from multiner.pipeline.core.errors import NerError


def script(root: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", root / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def inference(root: Path) -> ModuleType:
    return script(root, "inference")


def test_a_sentence_is_a_document(inference: ModuleType, tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "d.jsonl", [from_words("a", [["Ada", "slept", "."], ["So", "what"]]), from_words("b", [["No"]])]
    )
    found = inference.sentences(tmp_path / "d.jsonl", 2)
    assert [document.words() for document in found] == [["Ada", "slept", "."], ["So", "what"]]
    assert all(len(document.sentences) == 1 for document in found)


def test_every_system_sees_every_sentence_at_both_sizes(inference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, spent = [], [0.0]
    monkeypatch.setattr(inference, "time", SimpleNamespace(perf_counter=lambda: sum(spent)))
    documents = [from_words(str(number), [["x"]]) for number in range(40)]
    systems = {
        inference.RIVAL: lambda batch: spent.append(4 * len(batch)),
        "twice as fast": lambda batch: (seen.append(len(batch)), spent.append(2 * len(batch))),
    }
    figures = inference.measure(systems, documents, rounds=2)
    assert {size: seen.count(size) for size in set(seen)} == {1: 1 + 2 * 40, 32: 1 + 2, 8: 2}
    by_key = {(figure.system, figure.batch): figure for figure in figures}
    assert len(by_key) == 4
    assert by_key[inference.RIVAL, 1].ratio == 1.0
    assert by_key["twice as fast", 32].ratio == 2
    assert "| twice as fast |" in inference.table(figures)


def test_the_price_of_int8_needs_a_trained_encoder(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="dvc repro"):
        script(root, "precision").compare(tmp_path / "trained", tmp_path / "leg", tmp_path / "dev.jsonl")
