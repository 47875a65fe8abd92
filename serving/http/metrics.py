"""What the gateway counts, in Prometheus' text format (version 0.0.4). Nothing of any text is in it.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64)
Labels = tuple[str, ...]


class Counter:
    """A number that only grows, for each combination of its labels' values."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._values: Tally[Labels] = Tally()

    def add(self, *values: str, amount: int = 1) -> None:
        """Count ``amount`` more under the labels' values, which come in the labels' order."""
        self._values[values] += amount

    def samples(self) -> Iterator[str]:
        """The lines of the format, without their head."""
        for values, amount in sorted(self._values.items()):
            yield sample(self.name, zip(self.labels, values, strict=True), amount)


class Histogram:
    """How often a value was at most each of ``bounds``, with number and sum, for each combination of labels."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self.name, self.text, self.labels, self.bounds = name, text, tuple(labels), tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, *values: str) -> None:
        """Take in a value under the labels' values."""
        counts = self._counts.setdefault(values, [0] * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, value)] += 1
        self._sums[values] = self._sums.get(values, 0.0) + value

    def samples(self) -> Iterator[str]:
        """The lines of the format, without their head; buckets are cumulative."""
        for values, counts in sorted(self._counts.items()):
            labels = list(zip(self.labels, values, strict=True))
            total = 0
            for bound, count in zip([*map(str, self.bounds), "+Inf"], counts, strict=True):
                total += count
                yield sample(f"{self.name}_bucket", [*labels, ("le", bound)], total)
            yield sample(f"{self.name}_sum", labels, self._sums[values])
            yield sample(f"{self.name}_count", labels, total)


class Gauge:
    """Values that are read off when they are asked for: by the labels' values."""

    kind = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]) -> None:
        self.name, self.text, self.labels, self.values = name, text, tuple(labels), values

    def samples(self) -> Iterator[str]:
        """The lines of the format, without their head."""
        for values, value in self.values.items():
            yield sample(self.name, zip(self.labels, values, strict=True), value)


def sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    """A line: ``name{label="value"} 1``."""
    inner = ",".join(f'{label}="{_escaped(each)}"' for label, each in labels)
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def render(metrics: Iterable[Counter | Histogram | Gauge]) -> bytes:
    """The page that Prometheus reads."""
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.text}", f"# TYPE {metric.name} {metric.kind}", *metric.samples()]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


class Metrics:
    """What one gateway counts."""

    def __init__(self) -> None:
        self.requests = Counter("ner_requests_total", "Requests answered.", ["route", "status"])
        self.seconds = Histogram(
            "ner_request_seconds", "Seconds from a request's head to the end of its answer.", ["route"], SECONDS
        )
        self.texts = Counter("ner_texts_total", "Texts answered by a model.", ["language"])
        self.entities = Counter("ner_entities_total", "Entities that models found.", ["language", "type"])
        self.call_texts = Histogram("ner_model_call_texts", "Texts in a call to a model.", ["language"], TEXTS)
        self.refusals = Counter("ner_refusals_total", "Requests and lines answered with a problem.", ["kind"])

    def answered(self, language: str, answers: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Take in what a model found in the texts of a request."""
        self.texts.add(language, amount=len(answers))
        for label, number in Tally(entity["label"] for entities in answers for entity in entities).items():
            self.entities.add(language, label, amount=number)

    def called(self, language: str, texts: int) -> None:
        """Take in a call that a model answered, of so many texts."""
        self.call_texts.observe(texts, language)

    def render(self, gauges: Iterable[Counter | Histogram | Gauge] = ()) -> bytes:
        """All of it, with ``gauges``, in Prometheus' text format."""
        counted = (self.requests, self.seconds, self.texts, self.entities, self.call_texts, self.refusals)
        return render([*counted, *gauges])
