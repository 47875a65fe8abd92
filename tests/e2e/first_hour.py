"""The tutorial docs/first-hour.md, typed line by line beside a running demonstration."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import httpx

from tests.e2e.asking import wait_for
from tests.e2e.conftest import RUN_SECONDS, Job

TYPED = range(3, 8)  # the sections whose lines are typed while the demonstration runs
ELSEWHERE = ["make setup", "make demo", "git checkout params.yaml dvc.lock", "make run"]  # those of the other sections


class FirstHour:
    """The reader of the tutorial.

    Args:
        clone: where the demonstration runs; its ports take the place of the tutorial's.
    """

    def __init__(self, clone: Job) -> None:
        self.clone = clone
        page = (clone.root / "docs" / "first-hour.md").read_text(encoding="utf-8")
        for name, usual in (("port", 8000), ("mlflow_port", 5000), ("airflow_port", 8080)):
            page = page.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{clone.ports[name]}")
        self.program = re.findall(r"```python\n(.+?)```", page, flags=re.S)
        parts = re.split(r"^## (\d+)\. .+$", page, flags=re.M)
        sections = zip(map(int, parts[1::2]), parts[2::2], strict=True)
        self.lines = {number: re.findall(r"^\$ (.+)$", text, flags=re.M) for number, text in sections}
        self.outputs: list[tuple[str, str]] = []  # of each line that was typed

    def walk(self) -> None:
        """Type every line; each must succeed."""
        (program,) = self.program
        (self.clone.root / "ask.py").write_text(program, encoding="utf-8")
        for number in TYPED:
            for line in self.lines[number]:
                if line.startswith("ner promote 2") and self.journal()["champion"] == "2":
                    continue  # the gate let version 2 pass
                output = self.type(line)
                if '"retrain"' in line:
                    wait_for(lambda: self.settled("2"), RUN_SECONDS)
                self.outputs.append((line, output))

    def type(self, line: str) -> str:
        """The output of a line in a shell with the environment."""
        shell = ["bash", "-c", f"source .venv/bin/activate && {line}"]
        done = subprocess.run(
            shell, cwd=self.clone.root, env=self.clone.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    def journal(self) -> dict[str, Any]:
        """What ``ner history en --json`` prints."""
        return json.loads(self.clone.ner("history", "en", "--json").stdout)

    def settled(self, version: str) -> bool:
        """Whether a version is champion, or was refused; asked of the gateway, since each `ner` costs seconds."""
        states = httpx.get(f"{self.clone.gateway}/v1/models", timeout=60).json()["models"]
        (history,) = [state["history"] for state in states if state["language"] == "en"]
        return any(
            "champion" in each["aliases"] or (each["gate"] is not None and not each["gate"]["passed"])
            for each in history
            if each["version"] == version
        )

    def output(self, start: str) -> str:
        """The output of the last line that begins so."""
        return next(output for line, output in reversed(self.outputs) if line.startswith(start))
