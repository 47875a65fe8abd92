"""Figures of the benchmark of serving, out of what each system did in each round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from clients import Outcome

OURS, OPTIMISED = "gateway", "plain MLflow"
UNOPTIMISED, RIVAL = "plain MLflow, unoptimised model", "Hugging Face's `pipeline` behind the gateway"
OTHER_MODEL = (UNOPTIMISED, RIVAL)  # whose answers are not compared
MARK_LEVEL, MARK_RATIO, MARK_TAIL = 8, 3.0, 10.0


@dataclass(frozen=True)
class Figure:
    """A system under so many clients: medians over rounds, sums of what went wrong."""

    system: str
    clients: int
    requests_per_second: float
    ratio: float | None
    """To the gateway, in the same round; None where no round has answers of it."""
    p50_ms: float | None
    """Of the rounds with answers; None where there is none."""
    p95_ms: float | None
    p99_ms: float | None
    cpu_ms: float
    """CPU time of the system's processes a request, milliseconds."""
    resident_mb: float
    requests: int
    failures: int
    different: int | None
    """Answers that were not those to the text alone; None: not compared."""


@dataclass(frozen=True)
class Run:
    """One system under one number of clients, once."""

    outcome: Outcome
    cpu_seconds: float
    resident_mb: float

    @property
    def rate(self) -> float:
        return len(self.outcome.milliseconds) / self.outcome.seconds


Runs = dict[tuple[str, int], list[Run]]


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile; NaN where there is none."""
    if len(values) < 2:
        return (values[0],) * 3 if values else (float("nan"),) * 3
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def summarise(runs: Runs) -> list[Figure]:
    """The figures of all runs."""
    figures = []
    for (name, level), own in runs.items():
        times = [percentiles(run.outcome.milliseconds) for run in own if run.outcome.milliseconds]
        p50, p95, p99 = (round(median(column), 1) for column in zip(*times, strict=True)) if times else (None,) * 3
        base = runs.get((OURS, level), [])
        ratios = [run.rate / other.rate for run, other in zip(own, base, strict=False) if other.rate]
        compared = name not in OTHER_MODEL
        figures.append(
            Figure(
                system=name,
                clients=level,
                requests_per_second=round(median(run.rate for run in own), 1),
                ratio=round(median(ratios), 2) if ratios else None,
                p50_ms=p50,
                p95_ms=p95,
                p99_ms=p99,
                cpu_ms=round(median(1000 * run.cpu_seconds / max(1, len(run.outcome.milliseconds)) for run in own), 2),
                resident_mb=round(max(run.resident_mb for run in own)),
                requests=sum(len(run.outcome.milliseconds) for run in own),
                failures=sum(sum(run.outcome.failures.values()) for run in own),
                different=sum(run.outcome.different for run in own) if compared else None,
            )
        )
    return figures


def marks(figures: Sequence[Figure]) -> dict[str, bool]:
    """What the figures are to reach, and whether they do."""
    ours = [figure for figure in figures if figure.system == OURS]
    found = {f"no request of the {OURS} failed": not any(figure.failures for figure in ours)}
    found["its answers are those to each text alone"] = bool(ours) and not any(figure.different for figure in ours)
    where = f"at {MARK_LEVEL} clients"
    for figure in figures:
        if figure.clients != MARK_LEVEL:
            continue
        if figure.system == UNOPTIMISED:
            fast = figure.ratio is not None and MARK_RATIO * figure.ratio <= 1
            found[f"{where} {MARK_RATIO:g} times the requests/s of {UNOPTIMISED}"] = fast
        if figure.system == OURS:
            tail = bool(figure.p50_ms and figure.p99_ms) and figure.p99_ms < MARK_TAIL * figure.p50_ms
            found[f"{where} p99 under {MARK_TAIL:g} times p50"] = tail
    return found


def table(result: Mapping[str, Any]) -> str:
    """The figures of a result as Markdown."""
    head = "| Clients | System | requests/s | ratio | p50 ms | p95 ms | p99 ms | CPU ms | MB | failed | different |"
    lines = [head, "|---:|---|" + "---:|" * 9]
    for figure in result["figures"]:
        columns = ("clients", "system", "requests_per_second", "ratio", "p50_ms", "p95_ms", "p99_ms", "cpu_ms")
        columns += ("resident_mb", "failures", "different")
        cells = ("–" if figure[column] is None else str(figure[column]) for column in columns)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
