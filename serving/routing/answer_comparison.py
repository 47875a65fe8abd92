"""The differences between a challenger's answers and the live version's, and their counts."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from multiner.pipeline.core.document import Span
from multiner.pipeline.core.span_differences import BOUNDARY, MISSED, SPURIOUS, TYPE, span_errors
from multiner.serving.http.metrics import SECONDS

Entities = Sequence[Mapping[str, Any]]
KINDS = {MISSED: "only_live", SPURIOUS: "only_shadow", TYPE: "other_type", BOUNDARY: "other_boundaries"}


def differences(live: Entities, shadow: Entities) -> Iterator[tuple[str, str]]:
    """The differences between two answers to a text: kind (a value of KINDS) and type, rather the live one's.

    An entity without an overlapping counterpart is only in one answer. Of overlapping entities another type counts,
    whatever the boundaries.
    """
    for error in span_errors(_spans(live), _spans(shadow)):
        span = error.gold or error.predicted
        assert span is not None  # an error has at least one span
        yield KINDS[error.kind], span.label


def _spans(entities: Entities) -> list[Span]:
    return [Span(entity["start"], entity["end"], entity["label"]) for entity in entities]


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that the live version answered in ``seconds``."""

    texts: Sequence[str]
    answers: Sequence[Entities]
    version: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CallDifferences:
    """The number of a call's texts, of those with another answer, and of the differences by kind and type."""

    texts: int
    different: int
    kinds: Tally[tuple[str, str]]


@dataclass
class ShadowComparison:
    """Counts of one challenger beside the live version ``against``, from ``since`` on."""

    against: str | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    texts: int = 0
    different: int = 0
    calls: int = 0
    different_calls: int = 0
    dropped: int = 0
    failures: int = 0
    live_seconds: float = 0.0
    shadow_seconds: float = 0.0
    kinds: Tally[tuple[str, str]] = field(default_factory=Tally)

    def add(self, call: LiveCall, answers: Sequence[Entities], seconds: float) -> CallDifferences:
        """Count the challenger's ``answers``, which took ``seconds``, to a call."""
        by_text = [list(differences(live, shadow)) for live, shadow in zip(call.answers, answers, strict=True)]
        result = CallDifferences(len(by_text), sum(map(bool, by_text)), Tally(chain.from_iterable(by_text)))
        self.calls += 1
        self.different_calls += bool(result.different)
        self.texts += result.texts
        self.different += result.different
        self.kinds.update(result.kinds)
        self.live_seconds += call.seconds
        self.shadow_seconds += seconds
        return result

    def describe(self) -> dict[str, Any]:
        """The counts for ``/v1/models``; both mean times, in milliseconds, are of the same calls."""
        table: dict[str, dict[str, int]] = {kind: {} for kind in KINDS.values()}
        for (kind, label), number in sorted(self.kinds.items()):
            table[kind][label] = number
        seconds = {"live": self.live_seconds, "shadow": self.shadow_seconds}
        return {
            "against": self.against,
            "counted_since": self.since.isoformat(timespec="seconds"),
            "calls": self.calls,
            "different_calls": self.different_calls,
            "texts": self.texts,
            "different": self.different,
            "differences": table,
            "dropped_calls": self.dropped,
            "failed_calls": self.failures,
            "mean_ms": {
                side: round(1000 * total / self.calls, 1) if self.calls else None for side, total in seconds.items()
            },
        }


class ShadowMetrics:
    """The counts of all shadows since the gateway's start, in its metrics registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ner_shadow_{name}_total", text, ["language", *labels], registry=registry)

        self.texts = counter("texts", "Texts that a shadow answered too.", "outcome")
        self.differences = counter("differences", "Entities that differ.", "kind", "type")
        self.dropped = counter("dropped", "Calls left out, the queue being full.")
        self.failures = counter("failures", "Calls that a shadow did not answer.")
        text = "Seconds of the calls that both answered."
        labels = ["language", "side"]
        self.seconds = Histogram("ner_shadow_call_seconds", text, labels, buckets=SECONDS, registry=registry)

    def add(self, language: str, call: CallDifferences, live: float, shadow: float) -> None:
        """Count a call, with the seconds of both answers."""
        self.texts.labels(language, "different").inc(call.different)
        self.texts.labels(language, "same").inc(call.texts - call.different)
        for (kind, label), number in call.kinds.items():
            self.differences.labels(language, kind, label).inc(number)
        self.seconds.labels(language, "live").observe(live)
        self.seconds.labels(language, "shadow").observe(shadow)
