"""The tool that types the tutorial: it takes every line, ends at the first that fails, and waits for the gate."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PAGE = """
## 1. First

```console
$ echo one
shown, not typed
```

```python
print("asked")
```

## 2. Then

```console
$ false
$ echo never
```

## 3. Retrain

```console
$ echo '"retrain"'
$ ner promote 2 --language en
$ echo end
```
"""


@pytest.fixture(scope="module")
def tool(root: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(root / "tools" / "first_hour.py")))


@pytest.fixture
def reader(tool: SimpleNamespace, tmp_path: Path) -> Any:
    return tool.Reader(tmp_path, tool.Tutorial(PAGE), dict(os.environ), "http://127.0.0.1:9")


def test_the_tutorials_lines_are_all_typed(tool: SimpleNamespace, root: Path) -> None:
    tutorial = tool.Tutorial((root / "docs" / "first-hour.md").read_text(encoding="utf-8"))
    assert list(tutorial.lines) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (tutorial.lines[1], tutorial.lines[2]) == (["make setup"], ["make demo"])
    assert all(tutorial.lines[number] for number in range(3, 8))
    assert tutorial.lines[8][-1] == tool.NOT_TYPED
    assert "Client" in tutorial.program


def test_a_line_is_typed_in_the_clone(reader: Any, tmp_path: Path) -> None:
    reader.walk([1])
    assert reader.outputs == [("echo one", "one\n")]
    assert (tmp_path / "ask.py").read_text(encoding="utf-8") == 'print("asked")\n'


def test_the_first_line_that_fails_ends_the_walk(reader: Any) -> None:
    with pytest.raises(AssertionError, match=r"^\$ false"):
        reader.walk([2])
    assert reader.outputs == []


@pytest.mark.parametrize(("aliases", "passed", "promoted"), [(["champion"], True, False), ([], False, True)])
def test_a_version_that_the_gate_refused_is_promoted(
    reader: Any, monkeypatch: pytest.MonkeyPatch, aliases: list[str], passed: bool, promoted: bool
) -> None:
    typed: list[str] = []
    monkeypatch.setattr(reader, "type", typed.append)
    monkeypatch.setattr(reader, "version", lambda _: {"aliases": aliases, "gate": {"passed": passed}})
    reader.walk([3])
    assert ("ner promote 2 --language en" in typed) == promoted
    assert typed[-1] == "echo end"


def test_a_version_without_a_verdict_is_waited_for(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "version", lambda _: {"aliases": ["challenger"], "gate": None})
    assert not reader.judged("2")
