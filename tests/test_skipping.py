"""What the tests' own switches do: nothing is skipped in CI, and a run without the corpora says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SKIPPED = """
import pytest

def test_of_a_browser():
    pytest.skip("no browser")

@pytest.mark.skipif(True, reason="no curl")
def test_of_curl(): pass

def test_of_corpora(corpora): pass
"""


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Runs the three tests above under our switches, in a clone without corpora; gives the lines that pytest prints."""
    (tmp_path / "test_skipped.py").write_text(SKIPPED)
    code = "import sys, pytest, tests.conftest as ours; from pathlib import Path; ours.ROOT = Path('nowhere/clone'); "
    code += "sys.exit(pytest.main(['-p', 'tests.conftest', '-p', 'no:cacheprovider', '-ra', '.']))"
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "NER_CORPORA_MIRROR")}

    def run(**variables: str) -> list[str]:
        environment = inherited | {"PYTHONPATH": str(root)} | variables
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    return run


def test_what_is_missing_is_skipped_and_the_last_line_says_so_of_the_corpora(run: Callable[..., list[str]]) -> None:
    *_, counts, last = run()
    assert "3 skipped" in counts
    assert last.startswith("tests that read the corpora were skipped: no corpora mirror")


def test_nothing_is_skipped_in_ci(run: Callable[..., list[str]]) -> None:
    lines = run(CI="true")
    assert "skipped" not in lines[-2]
    for reason in ("no browser", "no curl", "no corpora mirror"):
        assert [line for line in lines if re.search(rf"CI skips nothing: .*{reason}", line)]


def test_with_the_corpora_nothing_is_said_of_them(run: Callable[..., list[str]], tmp_path: Path) -> None:
    train = tmp_path / "mirror" / "conll2003" / "train.txt"
    train.parent.mkdir(parents=True)
    train.touch()
    assert "2 skipped" in run(NER_CORPORA_MIRROR=str(tmp_path / "mirror"))[-1]
