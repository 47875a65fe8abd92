"""The reference of the DAGs, from the DAG files as Airflow loads them (in a process of its own)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def load(root: Path) -> dict[str, Any]:
    """What tools/describe_dags.py prints, by DAG."""
    with TemporaryDirectory(prefix="ner-docs-") as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, str(root / "tools" / "describe_dags.py"), str(root)]
        output = subprocess.run(
            command, env=environment, cwd=home, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    return json.loads(output.splitlines()[-1])["dags"]


def markdown(root: Path) -> str:
    """A section for each DAG: what starts it, its own text, the fields of its form, and its tasks in order."""
    return "\n\n".join(part for name, dag in sorted(load(root).items()) for part in _section(name, dag))


def _section(name: str, dag: Mapping[str, Any]) -> Iterator[str]:
    yield f"## `{name}`"
    cron, assets = dag["schedule"]["cron"], dag["schedule"]["assets"]
    starts = [f"the schedule `{cron}` (UTC)"] if cron else []
    starts += [f"the Asset `{asset}`" for asset in assets]
    yield f"Started by {' and by '.join(starts) or 'hand'}; ends after {dag['timeout_minutes']:g} minutes at most."
    yield re.sub(r"(?m)^#+ (.+)$", r"**\1**", dag["doc"] or "")
    if dag["params"]:
        fields = [f"| `{key}` | `{value}` | {dag['form'][key] or ''} |" for key, value in dag["params"].items()]
        yield "\n".join(["| field of the form | default | meaning |", "|---|---|---|", *fields])
    rows = [
        f"| `{key}` | {', '.join(f'`{each}`' for each in task['upstream'])} | {task['retries']} "
        f"| {', '.join(f'`{each}`' for each in task['outlets'])} |"
        for key, task in dag["tasks"].items()
    ]
    yield "\n".join(["| task | after | further tries | emits |", "|---|---|---:|---|", *rows])
