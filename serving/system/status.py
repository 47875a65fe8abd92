"""The command `ner status`: the parts that run, and the champion and the live version of each language."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.pipeline.registry.store import registry_exists
from multiner.serving.addresses import Addresses, listening
from multiner.serving.gateway.state import read_state
from multiner.serving.system import PARTS
from multiner.serving.system.gateway_client import routes_at
from multiner.serving.system.instance_lock import read_system


def parts(workspace: Workspace) -> list[dict[str, Any]]:
    """Each part of the system, with its address and whether something answers there."""
    addresses = Addresses.of(workspace)
    urls = (addresses.airflow, addresses.mlflow, addresses.gateway)
    ports = (addresses.airflow_port, addresses.mlflow_port, addresses.gateway_port)
    return [
        {"part": part, "address": url, "answers": listening(addresses.host, port)}
        for part, url, port in zip(PARTS, urls, ports, strict=True)
    ]


def models(workspace: Workspace) -> list[dict[str, Any]]:
    """For each language the champion with its training and scores, the live version, the latest canary, and drift."""
    from multiner.pipeline.drift.report import last_summary
    from multiner.pipeline.registry import champion, facts

    gateway = read_state(workspace)
    routes = routes_at(gateway.url) if gateway else {}
    entries = []
    readable, problem = registry_exists(workspace), None
    for language in workspace.languages:
        route = routes.get(language, {})
        entry: dict[str, Any] = {"language": language, "live": route.get("version"), "champion": None}
        entry["canary"] = route.get("canary")
        entry["drift"] = last_summary(workspace.paths.drift(language))
        if readable and not problem:
            try:
                best = champion(workspace, language)
                if judged := facts.last_judged(workspace, language):
                    entry["verdict"] = {
                        "version": judged.version,
                        "passed": judged.gate_passed,
                        "reasons": judged.gate_reasons,
                        "report": judged.gate_report,
                    }
            except RegistryUnavailable as error:  # the rest is shown all the same
                best, problem = None, str(error)
            except NerError as error:  # of this language alone
                best, entry["problem"] = None, str(error)
            if best:
                entry |= {
                    "model": best.name,
                    "champion": best.version,
                    "champion_since": best.champion_since,
                    "trained": best.created.isoformat(timespec="seconds"),
                    "data": best.data_hash,
                    "commit": best.git_commit,
                    "profile": best.profile,
                    "test_f1": best.scores,
                }
        entries.append(entry | ({"problem": problem} if problem else {}))
    return entries


def collect(workspace: Workspace) -> dict[str, Any]:
    """Everything that `ner status` shows."""
    running = read_system(workspace)
    keys = ("pid", "phase", "since", "parts", "processes")
    return {
        "workspace": str(workspace.root),
        "profile": workspace.profile,
        "system": {key: running[key] for key in keys if key in running} if running else None,
        "parts": parts(workspace),
        "models": models(workspace),
    }


def show(workspace: Workspace, *, as_json: bool = False) -> None:
    """Print the status."""
    status = collect(workspace)
    if as_json:
        print(json.dumps(status, ensure_ascii=False, indent=2))
        return
    console = Console(soft_wrap=True)
    system = status["system"]
    state = f"{system['phase']}, process {system['pid']}, since {system['since']}" if system else "not running"
    console.print(f"profile {status['profile']}; system {state}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("part", "address", "answers"):
        table.add_column(title)
    for part in status["parts"]:
        table.add_row(part["part"], part["address"], "yes" if part["answers"] else "no")
    console.print(table)
    for model in status["models"]:
        console.print(_model_line(model), highlight=False)
        if model["drift"]:
            console.print(f"    {model['drift']}", highlight=False, markup=False)
        if canary := model["canary"]:
            console.print(_canary_line(canary), highlight=False, markup=False)
        if verdict := model.get("verdict"):
            console.print(_verdict_line(verdict), highlight=False, markup=False)
    for problem in {model["problem"] for model in status["models"] if "problem" in model}:
        console.print(problem, highlight=False, markup=False)


def _canary_line(canary: dict[str, Any]) -> str:
    share = f"{canary['share']:.0%} of the conversations" if canary["state"] == "running" else canary["state"]
    return f"    canary: version {canary['version']}: {share.replace('_', ' ')}; {canary['reason']}"


def _verdict_line(verdict: dict[str, Any]) -> str:
    word = "passed" if verdict["passed"] else "refused"
    line = f"    last verdict: version {verdict['version']} {word}: {'; '.join(verdict['reasons'][:1])}"
    return f"{line}\n    report: {verdict['report']}" if verdict["report"] else line


def _model_line(model: dict[str, Any]) -> str:
    live = f"live: version {model['live']}" if model["live"] else "nothing live"
    if "problem" in model:
        return f"{model['language']}: champion unknown; {live}"
    if not model["champion"]:
        return f"{model['language']}: no champion; {live}"
    scores = ", ".join(f"{corpus} {value:.2f}" for corpus, value in model["test_f1"].items())
    line = f"{model['language']}: champion {model['model']} version {model['champion']}; {live}"
    if not model["profile"]:
        return f"{line}\n    registered {model['trained']}; the MLflow run with its other details was deleted for good"
    return (
        f"{line}\n    trained {model['trained']} on data {model['data']}, profile {model['profile']}; test F1 {scores}"
    )
