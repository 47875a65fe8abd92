"""What a result says of the circumstances in which it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Circumstances:
    """The machine, the commit, and how busy the machine was from when this was made to :meth:`as_json`."""

    def __init__(self) -> None:
        self.date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        self.commit = commit()
        self.load_before = load_average()

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "commit": self.commit,
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": {"start": self.load_before, "end": load_average()},
        }


def load_average() -> float:
    """Processes that ran or waited for a core, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def commit() -> str:
    """The commit of the code, with ``+`` where code differs from it."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=HERE.parent, capture_output=True, text=True)

    number = git("rev-parse", "--short=12", "HEAD").stdout.strip() or "unknown"
    changed = git("diff", "--quiet", "HEAD", "--", ".", ":!benchmarks/results", ":!docs").returncode
    return number + "+" * bool(changed)


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """Model of the CPU and its instructions for small numbers, where Linux gives them."""
    lines = [line.split(":", 1) for line in path.read_text().splitlines() if ":" in line] if path.is_file() else []
    facts = {key.strip(): value.strip() for key, value in lines}
    family = " ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    small = [
        flag for flag in facts.get("flags", "").split() if flag in ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8")
    ]
    return ", ".join([facts.get("model name", platform.machine()), *([family] if family else []), *small])
