"""What the gate says of a challenger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether a challenger may become champion, why, and the figures behind it.

    ``final`` is False where a process failed, or nothing but time was short: that may be the machine's fault, so the
    next call tries again.
    """

    passed: bool
    reasons: list[str]
    details: dict[str, Any] = field(default_factory=dict)
    final: bool = True


def together(verdicts: Sequence[GateVerdict]) -> GateVerdict:
    """One verdict from those on the parts, which has to be good on all: the reasons of the last part first.

    One part that fails for good settles it, whatever else may have been the machine's fault.
    """
    passed = all(verdict.passed for verdict in verdicts)
    reasons = [reason for verdict in reversed(verdicts) for reason in verdict.reasons if passed or not verdict.passed]
    details = {name: detail for verdict in verdicts for name, detail in verdict.details.items()}
    final = passed or any(verdict.final for verdict in verdicts if not verdict.passed)
    return GateVerdict(passed, reasons, details, final)
