"""The gauges of what is live, waits and is tried out at this moment, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily

from multiner.serving.routing.canary.course import Canary
from multiner.serving.routing.model_router import ModelRouter
from multiner.serving.routing.shadow import Shadow


class ModelGauges:
    """A collector of the metrics' registry.

    Attributes:
        routes, shadows, canaries: by language; none where shadows or canaries are switched off.
    """

    def __init__(
        self, routes: Mapping[str, ModelRouter], shadows: Mapping[str, Shadow], canaries: Mapping[str, Canary]
    ) -> None:
        self.routes = routes
        self.shadows = shadows
        self.canaries = canaries

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; those of shadows and canaries where these are switched on."""
        version = ["language", "name", "version"]
        live = GaugeMetricFamily("ner_model_info", "The live version of each language.", labels=version)
        waiting = GaugeMetricFamily("ner_queue_waiting", "Calls that wait for a model.", labels=["language"])
        working = GaugeMetricFamily("ner_model_calls_in_flight", "Calls that a model works on.", labels=["language"])
        running = GaugeMetricFamily("ner_shadow_info", "The running shadows.", labels=version)
        tried = GaugeMetricFamily("ner_canary_info", "The running canaries.", labels=version)
        for code, route in self.routes.items():
            waiting.add_metric([code], route.queue.waiting)
            working.add_metric([code], route.queue.in_flight)
            if route.answering:
                live.add_metric([code, route.answering.model.name, route.answering.model.version], 1)
            if route.canary:
                tried.add_metric([code, route.canary.model.name, route.canary.model.version], 1)
        for code, shadow in self.shadows.items():
            if shadow.model and shadow.state == "live":
                running.add_metric([code, shadow.model.name, shadow.model.version], 1)
        yield from (live, waiting, working)
        if self.shadows:
            yield running
        if self.canaries:
            yield tried
