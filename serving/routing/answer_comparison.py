"""How the answers of a challenger differ from those of the live version, and the counts of it."""

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
    """How two answers to a text differ: kind (a value of KINDS) and type, the live one's where it has one.

    An entity that only one of them has, has no counterpart that overlaps; of overlapping ones, another type counts
    whatever the boundaries.
    """
    for each in span_errors(_spans(live), _spans(shadow)):
        span = each.gold or each.predicted
        assert span is not None  # an error is of one of them at least
        yield KINDS[each.kind], span.label


def _spans(entities: Entities) -> list[Span]:
    return [Span(each["start"], each["end"], each["label"]) for each in entities]


@dataclass(frozen=True, slots=True)
class Copy:
    """A call as the live version answered it, in ``seconds``."""

    texts: Sequence[str]
    answers: Sequence[Entities]
    version: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a call: texts, those answered differently, and the differences by kind and type."""

    texts: int
    different: int
    kinds: Tally[tuple[str, str]]


@dataclass
class Comparison:
    """What came of one challenger beside one live version, ``against``, from ``since`` on."""

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

    def add(self, copy: Copy, answers: Sequence[Entities], seconds: float) -> Finding:
        """Take in what the challenger answered to a copy, in ``seconds``."""
        found = [list(differences(live, shadow)) for live, shadow in zip(copy.answers, answers, strict=True)]
        finding = Finding(len(found), sum(map(bool, found)), Tally(chain.from_iterable(found)))
        self.calls += 1
        self.different_calls += bool(finding.different)
        self.texts += finding.texts
        self.different += finding.different
        self.kinds.update(finding.kinds)
        self.live_seconds += copy.seconds
        self.shadow_seconds += seconds
        return finding

    def describe(self) -> dict[str, Any]:
        """For ``/v1/models``; mean times are of the same calls, in milliseconds."""
        table: dict[str, dict[str, int]] = {kind: {} for kind in KINDS.values()}
        for (kind, label), number in sorted(self.kinds.items()):
            table[kind][label] = number
        live, shadow = (
            round(1000 * total / self.calls, 1) if self.calls else None
            for total in (self.live_seconds, self.shadow_seconds)
        )
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
            "mean_ms": {"live": live, "shadow": shadow},
        }


class ShadowMetrics:
    """What all shadows of a gateway count since its start, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.texts = Counter(
            "ner_shadow_texts_total", "Texts that a shadow answered too.", ["language", "outcome"], registry=registry
        )
        self.differences = Counter(
            "ner_shadow_differences_total", "Entities that differ.", ["language", "kind", "type"], registry=registry
        )
        self.dropped = Counter(
            "ner_shadow_dropped_total", "Calls left out, the queue being full.", ["language"], registry=registry
        )
        self.failures = Counter(
            "ner_shadow_failures_total", "Calls that a shadow did not answer.", ["language"], registry=registry
        )
        self.seconds = Histogram(
            "ner_shadow_call_seconds",
            "Seconds of the calls that both answered.",
            ["language", "side"],
            buckets=SECONDS,
            registry=registry,
        )

    def add(self, language: str, finding: Finding, live: float, shadow: float) -> None:
        """Take in a call, with the seconds of both answers."""
        self.texts.labels(language, "different").inc(finding.different)
        self.texts.labels(language, "same").inc(finding.texts - finding.different)
        for (kind, label), number in finding.kinds.items():
            self.differences.labels(language, kind, label).inc(number)
        self.seconds.labels(language, "live").observe(live)
        self.seconds.labels(language, "shadow").observe(shadow)
