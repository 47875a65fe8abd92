"""Figures of the benchmark of scaling: what the gateway did, what gave out, costs, and the plan for some loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from capacity import Costs, Machine, Need, collection, serving, token_ms
from clients import Outcome
from load_figures import percentiles

from multiner.pipeline.config.settings import Workspace, for_language
from multiner.pipeline.core.files import read_json

ROOT = Path(__file__).resolve().parents[1]
BUSY = 0.9  # of a core: it is the limit
RECORDED = Costs(model_ms=16, gateway_ms=2.5, sentence_ms=8.8, model_mb=1050, worker_mb=800, gateway_mb=280)
UNITS = {
    "model_ms": "CPU ms of the model, a request",
    "gateway_ms": "CPU ms of the gateway, a request",
    "sentence_ms": "CPU ms of the model, a sentence in a batch",
    "model_mb": "MB of a served model",
    "worker_mb": "MB of a process of `ner annotate`",
    "gateway_mb": "MB of a gateway",
}


@dataclass(frozen=True)
class Row:
    """The gateway under so many clients; shares are of one core."""

    system: str
    clients: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    gateway_share: float
    client_share: float
    resident_mb: float
    failures: Mapping[str, int]


def row(system: str, clients: int, outcome: Outcome, cpu_seconds: float, resident_mb: float) -> Row:
    """The figures of one run, in which the system took ``cpu_seconds`` for all requests."""
    p50, _, p99 = percentiles(outcome.milliseconds)
    return Row(
        system,
        clients,
        rate=len(outcome.milliseconds) / outcome.seconds,
        p50_ms=p50,
        p99_ms=p99,
        cpu_ms=1000 * cpu_seconds / max(1, outcome.requests),
        gateway_share=cpu_seconds / outcome.wall_seconds,
        client_share=outcome.cpu_seconds / outcome.wall_seconds,
        resident_mb=resident_mb,
        failures=outcome.failures,
    )


def limits(row: Row) -> str:
    """What gave out: it refused requests, or had no time left."""
    checks = {
        "connections": row.failures.get("503", 0),
        "queue": row.failures.get("429", 0),
        "gateway's event loop": row.gateway_share >= BUSY,
        "clients": row.client_share >= BUSY,
    }
    return ", ".join(name for name, reached in checks.items() if reached) or "nothing"


def training_costs() -> dict[str, tuple[float, float]]:
    """By language, CPU ms that the encoder and the spaCy CNN take for each token of training that they see."""
    workspace = Workspace.load(root=ROOT)
    expected = yaml.safe_load((ROOT / "multiner/pipeline/validation/expected.yaml").read_text(encoding="utf-8"))
    costs = {}
    for language in workspace.languages:
        figures = read_json(ROOT / "metrics" / "cpu" / f"{language}.json")
        settings, tokens = for_language(workspace.params, language), {}
        for corpus in workspace.language(language)["train_on"]:
            parts = expected["parts"][corpus]
            share = 1 if "train" in parts else 1 - workspace.params["prepare"]["heldout"]
            tokens[corpus] = share * parts["train" if "train" in parts else "devset"]["tokens"]
        encoder, cnn = settings["transformer"], settings["spacy"]
        shown = sum(number * encoder["repeat"].get(corpus, 1) for corpus, number in tokens.items())
        minutes, threads = figures["minutes"], figures["threads"]
        costs[language] = (
            token_ms(minutes["transformer"], threads, shown, encoder["epochs"]),
            token_ms(minutes["spacy"], threads, sum(tokens.values()), cnn["epochs"]),
        )
    return costs


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def load_table(rows: Sequence[Row]) -> str:
    """What the gateways did."""
    head = ["Gateway", "clients", "requests/s", "p50 ms", "p99 ms", "CPU ms", "gateway's share of a core"]
    head += ["clients' share", "MB", "refused", "gave out"]
    return table(
        head,
        [
            [
                each.system, each.clients, f"{each.rate:.0f}", f"{each.p50_ms:.0f}", f"{each.p99_ms:.0f}",
                f"{each.cpu_ms:.2f}", f"{each.gateway_share:.2f}", f"{each.client_share:.2f}",
                f"{each.resident_mb:.0f}", " ".join(f"{kind}: {n}" for kind, n in each.failures.items()) or 0,
                limits(each),
            ]
            for each in rows
        ],
    )  # fmt: skip


def plan_table(costs: Costs, machine: Machine, documents: float, sentences: float, hours: float) -> str:
    """What some rates of requests, and a collection of ``documents`` of so many sentences, need."""
    needs: dict[str, Need] = {}
    for languages in (1, 10):
        for rate in (1, 100, 10_000):
            name = f"{rate:,} request{'s' * (rate > 1)}/s, {languages} language{'s' * (languages > 1)}"
            needs[name] = serving(rate, languages, costs, machine)
    night = Machine(machine.cores, machine.memory_gb, BUSY)
    name = f"{documents:,.0f} documents of {sentences:g} sentences in {hours:g} h"
    needs[name] = collection(documents, sentences, hours, costs, night)
    return table(
        ["Load", "gateways", "model processes", "cores", "memory, GB", "machines"],
        [
            [name, need.gateways, need.models, f"{need.cores:,.1f}", f"{need.memory_gb:,.1f}", f"{need.machines:,}"]
            for name, need in needs.items()
        ],
    )
