"""What the gateway counts, for Prometheus. No text is in it."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "SECONDS", "Metrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64)
disable_created_metrics()  # a time of creation beside each count: other names than docs/api/state.md has


class Metrics:
    """The counts of one gateway, in a registry of their own; others add theirs to ``registry``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, histogram = partial(Counter, registry=self.registry), partial(Histogram, registry=self.registry)
        self.requests = counter("ner_requests_total", "Requests answered.", ["route", "status"])
        head_to_end = "Seconds from a request's head to the end of its answer."
        self.seconds = histogram("ner_request_seconds", head_to_end, ["route"], buckets=SECONDS)
        self.texts = counter("ner_texts_total", "Texts answered by a model.", ["language"])
        self.entities = counter("ner_entities_total", "Entities that models found.", ["language", "type"])
        self.call_texts = histogram("ner_model_call_texts", "Texts in a call to a model.", ["language"], buckets=TEXTS)
        self.refusals = counter("ner_refusals_total", "Requests and lines answered with a problem.", ["kind"])

    def answered(self, language: str, answers: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Count the entities of each text that a model answered."""
        self.texts.labels(language).inc(len(answers))
        for label, number in Tally(entity["label"] for entities in answers for entity in entities).items():
            self.entities.labels(language, label).inc(number)

    def called(self, language: str, texts: int) -> None:
        """Count a call that a model answered, of so many texts."""
        self.call_texts.labels(language).observe(texts)

    def render(self) -> bytes:
        """All of the registry, in Prometheus' text format."""
        return generate_latest(self.registry)
