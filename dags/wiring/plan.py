"""The task *plan*: the first of a run, which ends dry runs and says what they would do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from multiner.pipeline.core.dvc_command import dvc
from wiring.graph import Stage, stages_of, workspace_root
from wiring.requests import FORCED, Request
from wiring.tasks import command_line, own_workspaces


def check_request(request: Request, stages: Mapping[str, Stage], languages: Iterable[str]) -> str:
    """The task *plan* of a run: ends a dry run, and a run that its language is not asked of.

    Args:
        request: what the run is asked for.
        stages: those of dvc.yaml, by address.
        languages: the DAG's.

    Raises:
        AirflowSkipException: a dry run (the message says what would run), or the language is not asked for.
        AirflowFailException: force is asked for where tasks have working copies of their own.
    """
    asked = [code for code in languages if request.includes(code)]
    if request.force and own_workspaces():
        raise AirflowFailException("force is not possible where tasks have working copies of their own")
    if request.dry_run:
        raise AirflowSkipException("\n".join(["dry run, nothing was changed:", *plan(workspace_root(), stages, asked)]))
    if not asked:
        raise AirflowSkipException("nothing to do: the event is for other languages alone")
    return FORCED if request.force else "goes on"


def plan(root: Path, stages: Mapping[str, Stage], languages: Iterable[str]) -> list[str]:
    """What a run would do, a line each: what is new in growing corpora, and the stages of each language."""
    if own_workspaces():
        return ["what would run is not known here: the stages' state is in the object store"]
    pull = subprocess.run(command_line("pull", "--dry-run"), cwd=root, capture_output=True, text=True, check=False)
    lines = [line for line in f"{pull.stdout}{pull.stderr}".splitlines() if line.strip()]
    status = subprocess.run(dvc("status", "--json"), cwd=root, capture_output=True, text=True, check=False)
    if status.returncode:
        return [*lines, "DVC cannot say which stages have changed:", *status.stderr.splitlines()]
    changed = json.loads(status.stdout).keys()
    for language in languages:
        order = stages_of(dict(stages), language)
        run = [address for address in order if address in changed]
        after: set[str] = set()
        for address, before in order.items():
            if address not in changed and before & {*run, *after}:
                after.add(address)
        lines.append(f"{language}: would run: {', '.join(run) or 'no stage, nothing has changed'}")
        if after:
            rest = ", ".join(address for address in order if address in after)
            lines.append(f"{language}: would run if those change their outputs: {rest}")
    return lines
