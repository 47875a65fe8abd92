"""``ner annotate --to`` for real: killed halfway through thousands of sentences, and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from .models import save_model, sentence, write_sentences

SENTENCES, SHARD = 6_000, 250


def annotate(root: Path, model: Path, source: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("ner"), "annotate", source, "-l", "en", "-o", output, "--to", "jsonl"]
    command += ["--id-field", "id", "--with-text", "--model", model, "--shard-size", str(SHARD), "--processes", "2"]
    return subprocess.run(
        [str(each) for each in command], env=os.environ | {"NER_ROOT": str(root)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def written(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("[!.]*")}


@pytest.mark.faults("kill -9 of ner annotate --to")
@pytest.mark.slow
def test_killed_halfway_and_run_again(root: Path, tmp_path: Path) -> None:
    mark, output, undisturbed = tmp_path / "killed", tmp_path / "out", tmp_path / "undisturbed"
    model = save_model(tmp_path / "model", kills_at=sentence(SENTENCES // 2 + 1), mark=mark)
    source = write_sentences(tmp_path / "sentences.jsonl", SENTENCES)

    assert annotate(root, model, source, output).returncode == -signal.SIGKILL
    assert mark.exists()
    done = {name for name in written(output) if name.startswith("part-")}
    assert 0 < len(done) < SENTENCES // SHARD
    psutil.wait_procs(
        [process for process in psutil.process_iter(["cmdline"]) if str(model) in (process.info["cmdline"] or ())]
    )
    times = {name: (output / name).stat().st_mtime_ns for name in done}

    again = annotate(root, model, source, output)
    assert again.returncode == 0, again.stderr
    assert f"of which {SENTENCES // SHARD - len(done)} were written now" in again.stdout
    assert {name: (output / name).stat().st_mtime_ns for name in done} == times, "what was whole is not written again"

    assert annotate(root, model, source, undisturbed).returncode == 0
    assert written(output) == written(undisturbed)
    rows = [json.loads(line) for path in sorted(output.glob("part-*")) for line in path.open(encoding="utf-8")]
    assert [(row["id"], row["text"]) for row in rows] == [(str(each), sentence(each)) for each in range(SENTENCES)]
