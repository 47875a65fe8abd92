"""The gate's verdicts as entries of the journal."""

from __future__ import annotations

from multiner.pipeline.registry.gate.comparison import GateVerdict
from multiner.pipeline.registry.journal.entry import JournalEntry, Kind, now


def verdict_entry(
    challenger: str,
    champion: str | None,
    key: str,
    verdict: GateVerdict,
    report: str,
    *,
    promoted: bool,
    by: str | None = None,
) -> JournalEntry:
    """The entry of a verdict on a challenger.

    Args:
        key: the hash of everything that the verdict depends on.
        report: its path among the artifacts of the challenger's run.
        promoted: whether the challenger becomes champion by it; one that passed may wait for approval.
        by: who decided, if that is not the user of this process.
    """
    f1 = verdict.details.get("f1", {})
    parts = {"gate half": f1.get("challenger"), "gate half, champion": f1.get("champion")}
    kind: Kind = "refusal" if verdict.final else "undecided"
    if verdict.passed:
        kind = "promotion" if promoted else "passed"
    return JournalEntry(
        at=now(),
        kind=kind,
        before=champion,
        version=challenger,
        by=by,
        reason="; ".join(verdict.reasons),
        scores={part: round(value, 2) for part, value in parts.items() if value is not None},
        report=report,
        verdict_key=key,
    )
