"""The gate's verdict on a challenger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether a challenger may become champion, why, and the figures behind it.

    ``final`` is False if a process failed, or the model was merely too slow: the machine may be the cause, so the next
    call judges again.
    """

    passed: bool
    reasons: list[str]
    details: dict[str, Any] = field(default_factory=dict)
    final: bool = True


def together(verdicts: Sequence[GateVerdict]) -> GateVerdict:
    """One verdict from those of the checks, all of which must pass; the reasons of the last check come first.

    It is final if all checks passed, or one that failed is final.
    """
    passed = all(verdict.passed for verdict in verdicts)
    reasons = [reason for verdict in reversed(verdicts) for reason in verdict.reasons if passed or not verdict.passed]
    details = {name: detail for verdict in verdicts for name, detail in verdict.details.items()}
    final = passed or any(verdict.final for verdict in verdicts if not verdict.passed)
    return GateVerdict(passed, reasons, details, final)
