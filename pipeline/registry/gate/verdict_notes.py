"""What the registry keeps of a verdict: tags of the version and of its run, a report, metrics, lines of the card."""

from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from multiner.pipeline.registry.card import CARD, with_behaviour
from multiner.pipeline.registry.gate.comparison import GateVerdict
from multiner.pipeline.registry.gate.report import page
from multiner.pipeline.registry.journal.entry import now
from multiner.pipeline.registry.runs import deleted_run, run_id_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

PASSED, REASONS, KEY = "gate.passed", "gate.reasons", "gate.key"
FIGURES, REPORT = "gate.figures", "gate.report"
UNDECIDED = "undecided"  # in place of true or false
TAG_LENGTH = 5000


def report_path(version: str, champion: str | None, suffix: str = "html") -> str:
    """The path of a verdict among the artifacts of the challenger's run."""
    return f"gate/version-{version}-against-{champion or 'none'}.{suffix}"


def note_verdict(
    client: MlflowClient, name: str, version: str, champion: str | None, key: str, verdict: GateVerdict
) -> None:
    """Write a verdict into the challenger's run (tags, JSON, a report, metrics, the card) and its version's tags.

    Args:
        version: the challenger.
        key: the hash of everything that the verdict depends on.
    """
    run_id = run_id_of(client.get_model_version(name, version))
    reasons = json.dumps(verdict.reasons, ensure_ascii=False)
    record = {
        "model": name,
        "version": version,
        "champion": champion,
        "passed": verdict.passed,
        "final": verdict.final,
        "reasons": verdict.reasons,
        "at": now(),
        **verdict.details,
    }
    passed = str(verdict.passed).lower() if verdict.final else UNDECIDED
    tags = {PASSED: passed, REASONS: reasons, FIGURES: json.dumps(figures(verdict))}
    if not deleted_run(client, name, version):  # it may have been deleted while the gate was at work
        client.log_dict(run_id, record, report_path(version, champion, "json"))
        client.log_text(run_id, page(record), report_path(version, champion))
        tags[REPORT] = f"runs:/{run_id}/{report_path(version, champion)}"
        if behaviour := verdict.details.get("behaviour"):
            note_behaviour(client, run_id, behaviour["challenger"])
        for tag, value in tags.items():
            client.set_tag(run_id, tag, value[:TAG_LENGTH])
    if KEY in client.get_model_version(name, version).tags:  # of an earlier verdict; never beside these tags
        client.delete_model_version_tag(name, version, KEY)
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, value)
    if verdict.final:
        client.set_model_version_tag(name, version, KEY, key)


def figures(verdict: GateVerdict) -> dict[str, Any]:
    """The figures of a verdict, without those of single samples, cases and corpora: short enough for a tag."""
    details = verdict.details
    comparison, behaviour = details.get("comparison"), details.get("behaviour", {})
    return {
        "f1": details.get("f1"),
        "difference": comparison and comparison["difference"],
        "documents": comparison and comparison["documents"],
        "entities": comparison and comparison["entities"],
        "best_before": details.get("best_before"),
        "golden": details.get("golden", {}).get("share"),
        "latency_ms": details.get("latency_ms", {}).get("slowest"),
        "load_seconds": details.get("load_seconds"),
        "behaviour": {role: behaviour[role]["overall"] for role in ("challenger", "champion") if role in behaviour},
    }


def note_behaviour(client: MlflowClient, run_id: str, report: dict[str, Any]) -> None:
    """Log the pass rates of the behaviour suite in a run: metrics ``behaviour.<capability>``, and the model card."""
    from mlflow.entities import Metric

    rates = report["capabilities"] | {"overall": report["overall"]}
    at = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(f"behaviour.{name}", rate, at, 0) for name, rate in rates.items()])
    with TemporaryDirectory(prefix="ner-card-") as folder:
        card = Path(client.download_artifacts(run_id, CARD, folder)).read_text(encoding="utf-8")
    client.log_text(run_id, with_behaviour(card, rates, report["cases"]), CARD)
