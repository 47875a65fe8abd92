"""The resources that a stage uses: measured over its processes, summed over its tries, in the way of nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from multiner.pipeline import cli
from multiner.pipeline.cli import entry
from multiner.pipeline.core import usage

BURN = """
import time
x = bytearray(60_000_000)
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
"""


def test_children_count_too(tmp_path: Path) -> None:
    file = tmp_path / "usage" / "train@en.json"
    before = usage.so_far()
    with usage.recorded(file):
        subprocess.run([sys.executable, "-c", BURN], check=True)
    record = usage.read(file)
    assert record
    assert record.complete
    assert record.tries == 1
    assert record.cpu_seconds >= before.cpu_seconds + 0.25
    assert record.seconds >= record.cpu_seconds / 64
    assert record.peak_bytes >= 60_000_000
    assert json.loads(file.read_text(encoding="utf-8"))["started"].endswith("+00:00")


def test_a_stage_that_goes_on_has_the_sum_of_its_tries(tmp_path: Path) -> None:
    file = tmp_path / "train@en.json"
    with pytest.raises(KeyboardInterrupt), usage.recorded(file):
        raise KeyboardInterrupt
    first = usage.read(file)
    assert first
    assert not first.complete
    with usage.recorded(file):
        pass
    both = usage.read(file)
    assert both
    assert (both.tries, both.complete) == (2, True)
    assert both.seconds >= first.seconds + usage.so_far().seconds - 60
    assert both.cpu_seconds > first.cpu_seconds
    with usage.recorded(file):  # a new run of the stage
        pass
    again = usage.read(file)
    assert again
    assert again.tries == 1


def test_a_stage_that_is_killed_leaves_what_it_used(tmp_path: Path) -> None:
    file = tmp_path / "train@en.json"
    code = (
        "import sys, os, time\nfrom pathlib import Path\nfrom multiner.pipeline.core import usage\n"
        "usage.SAMPLE_SECONDS, usage.WRITE_SECONDS = 0.01, 0\nfile = Path(sys.argv[1])\n"
        "with usage.recorded(file):\n    while not file.exists(): time.sleep(0.01)\n    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == -9
    record = usage.read(file)
    assert record
    assert not record.complete
    assert record.peak_bytes > 1_000_000


@pytest.mark.parametrize("damage", ["{", '{"seconds": 1}', "[]"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / "a.json").write_text(damage, encoding="utf-8")
    assert usage.read(tmp_path / "a.json") is None
    with usage.recorded(tmp_path / "a.json"):
        pass
    assert usage.read(tmp_path / "a.json") is not None


def test_a_record_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with usage.recorded(tmp_path / "file" / "train@en.json"):
        pass


def test_a_stage_of_dvc_records_what_it_uses_and_other_commands_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("profile: smoke\n", encoding="utf-8")
    monkeypatch.setattr(entry, "_begin_stage", lambda: None)
    monkeypatch.setattr(sys, "argv", ["ner", "--help"])
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    cli.main()
    assert not (tmp_path / ".run").exists()
    monkeypatch.setenv("DVC_STAGE", "prepare@en")
    cli.main()
    assert usage.read(tmp_path / ".run" / "usage" / "smoke" / "prepare@en.json")
