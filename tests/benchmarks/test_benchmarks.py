"""The benchmark of inference: what it times, and that it compares within a round."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
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
def modules(root: Path) -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(root / "benchmarks"))
    yield {name: import_module(name) for name in ("inference", "machine", "taggers", "rivals.environment")}
    sys.path.remove(str(root / "benchmarks"))


def test_a_sentence_is_a_text(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "d.jsonl", [from_words("a", [["Ada", "slept", "."], ["So", "what"]]), from_words("b", [["No"]])]
    )
    assert modules["inference"].sentences(tmp_path / "d.jsonl", 2) == ["Ada slept .", "So what"]


def test_ratios_are_taken_within_a_round(modules: dict[str, ModuleType]) -> None:
    inference, asked = modules["inference"], []
    machine_is_busy = iter([1, 1, 9, 9])  # in the second round, a round has two sizes

    def rival(size: int) -> tuple[float, float]:
        return 4.0 * next(machine_is_busy), 2.0

    def other(size: int) -> tuple[float, float]:
        asked.append(size)
        return (18.0 if asked.count(size) > 1 else 2.0), 1.0

    figures = inference.measure({inference.RIVAL: rival, "twice as fast": other}, count=40, rounds=2)
    assert asked == [1, 32, 1, 32]
    assert {(figure.system, figure.batch, figure.ratio, figure.cpu_ms) for figure in figures} == {
        (name, size, ratio, cpu)
        for name, ratio, cpu in ((inference.RIVAL, 1.0, 50.0), ("twice as fast", 2.0, 25.0))
        for size in inference.BATCHES
    }
    names = ("twice as fast", "three times")
    rows = inference.table(
        {"figures": [asdict(figure) for figure in figures], "versions": {key: {"x": "1.0"} for key in names}}
    )
    assert "| twice as fast | 4 | 2.00 | 25.0 | 4 | 2.00 | 25.0 |" in rows
    assert rows.endswith("\n\n- twice as fast; three times: x 1.0")


def test_a_systems_process_times_the_passes_that_it_is_asked_for(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taggers.py").write_text(
        "import runpy\n"
        f"taggers = runpy.run_path({modules['taggers'].__file__!r})\n"
        "taggers['ADAPTERS']['test'] = (lambda word: {word: lambda texts: print(len(texts))}, ['click'])\n"
        "taggers['main']()\n"
    )
    inference = modules["inference"]
    monkeypatch.setattr(inference, "HERE", tmp_path)
    with inference.Tagger(inference.Task("test", {"word": "loud"}), ["a", "b", "c"], 1) as tagger:
        assert tagger.loaded["systems"] == ["loud"]
        assert set(tagger.loaded["versions"]) == {"click"}
        seconds, processor = tagger.passes()["loud"](2)
        assert 0 < processor < 60 > seconds > 0
        with pytest.raises(NerError, match="ended"):
            tagger.ask(["silent", 1])


def test_environments_of_rivals_are_pinned(modules: dict[str, ModuleType]) -> None:
    environment = modules["rivals.environment"]
    assert {"bentoml", "litserve", "mlserver", "optimum", "ray", "spacy"} <= set(environment.NAMES)
    for name in environment.NAMES:
        assert all(environment.pinned(name).values()), name
    assert environment.pinned("litserve")["onnxruntime"] == version("onnxruntime")  # as the gateway's


def test_an_environment_is_made_once_for_its_requirements(
    modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, commands, packages = modules["rivals.environment"], [], ["x==1"]

    def run(command: list[str]) -> SimpleNamespace:
        commands.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        return SimpleNamespace(returncode=0)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(environment, "requirements", lambda _: packages)
    monkeypatch.setattr(environment.subprocess, "run", run)
    python = environment.python_of("rival")
    assert tmp_path in python.parents
    assert commands[1] == [str(python), "-m", "pip", "install", "-q", "x==1"]
    assert environment.python_of("rival") == python
    assert len(commands) == 2
    packages[0] = "x==2"
    assert environment.python_of("rival") != python
    monkeypatch.setattr(environment.subprocess, "run", lambda _: SimpleNamespace(returncode=1))
    packages[0] = "x==3"
    with pytest.raises(NerError, match="cannot be made"):
        environment.python_of("rival")


def test_a_result_names_the_machine(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: Abacus\ncpu family\t: 26\nmodel\t: 2\nflags\t: fpu avx2\n")
    assert modules["machine"].processor(tmp_path / "cpuinfo") == "Abacus, cpu family 26 model 2, avx2"
    assert {"commit", "load_average", "processor"} <= set(modules["machine"].Circumstances().as_json())


def test_the_price_of_int8_needs_a_trained_encoder(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="dvc repro"):
        script(root, "precision").compare(tmp_path / "trained", tmp_path / "leg", tmp_path / "dev.jsonl")
