"""The parts that serve each language, made of the gateway's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry

from multiner.serving.http.metrics import Metrics
from multiner.serving.routing.answer_comparison import ShadowMetrics
from multiner.serving.routing.backend_pool import Launch
from multiner.serving.routing.canary.calls import CanaryCalls, CanaryMetrics
from multiner.serving.routing.canary.course import Canary, CanaryConfig
from multiner.serving.routing.canary.records import CanaryRecords
from multiner.serving.routing.config import GatewayConfig
from multiner.serving.routing.holds import Holds
from multiner.serving.routing.memory_budget import MemoryBudget
from multiner.serving.routing.micro_batching import MicroBatcher
from multiner.serving.routing.model_gauges import ModelGauges
from multiner.serving.routing.model_router import ModelRouter
from multiner.serving.routing.queue import CallQueue, Cores
from multiner.serving.routing.reconciler import Reconciler
from multiner.serving.routing.second_version import SecondVersion
from multiner.serving.routing.shadow import Shadow


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, by language; ``shadows`` and ``canaries`` are empty where the configuration has none.

    ``canary_records`` are there in any case: those of an earlier configuration are to be removed.
    """

    routes: dict[str, ModelRouter]
    batchers: dict[str, MicroBatcher]
    shadows: dict[str, Shadow]
    canary_records: dict[str, CanaryRecords]
    canaries: dict[str, Canary]
    reconcilers: dict[str, Reconciler]
    second_version: SecondVersion


def make_parts(config: GatewayConfig, metrics: Metrics) -> Parts:
    """Make the parts of all languages; nothing is started yet."""
    budget = MemoryBudget(config.memory, config.folder_bytes)
    spare = partial(budget.launch, config.launch, spare=True)
    routes = _routes(config, budget)
    keys = {code: f"{config.workspace.profile}/{code}" for code in routes}  # in the store that gateways share
    shadow, shadows = config.shadow, {}
    if shadow:
        counts = ShadowMetrics(metrics.registry)
        launch = partial(budget.launch, shadow.launch, spare=True)
        shadows = {code: Shadow(code, launch, shadow.share, counts) for code in routes}
    records = {code: CanaryRecords(config.state, key) for code, key in keys.items()}
    canaries = _canaries(config, config.canary, routes, records, spare, metrics.registry) if config.canary else {}
    metrics.registry.register(ModelGauges(routes, shadows, canaries))
    return Parts(
        routes=routes,
        batchers={code: MicroBatcher(route.ask, partial(metrics.called, code)) for code, route in routes.items()},
        shadows=shadows,
        canary_records=records,
        canaries=canaries,
        reconcilers={
            code: Reconciler(
                route,
                partial(config.resolve, code),
                Holds(config.state, keys[code]),
                shadows.get(code),
                partial(shadow.challenger, code) if shadow else None,
                canaries.get(code),
            )
            for code, route in routes.items()
        },
        second_version=SecondVersion(spare, config.resolve),
    )


def _routes(config: GatewayConfig, budget: MemoryBudget) -> dict[str, ModelRouter]:
    """The routers; the models of this host share its cores and its memory."""
    cores = Cores(config.cores)
    routes = {
        code: ModelRouter(
            code,
            partial(budget.launch, config.launch),
            keep=budget.keeper(config.keep_previous),
            drain_seconds=config.limits.seconds + 5,
            queue=CallQueue(config.concurrency, config.queue, None if code in config.endpoints else cores),
        )
        for code in config.languages
    }
    budget.routes = routes.values()
    return routes


def _canaries(
    config: GatewayConfig,
    canary: CanaryConfig,
    routes: Mapping[str, ModelRouter],
    records: Mapping[str, CanaryRecords],
    launch: Launch,
    registry: CollectorRegistry,
) -> dict[str, Canary]:
    """The canaries; each has a queue of its own, so that one that hangs holds no place of the others."""
    metrics, canaries = CanaryMetrics(registry), {}
    for code, route in routes.items():
        calls = CanaryCalls(
            route,
            canary.share,
            slowdown=canary.slowdown,
            patience=config.limits.seconds / 2,  # the version before can still answer in time
            queue=CallQueue(config.concurrency, config.queue),
            metrics=metrics,
        )
        resolve = partial(config.resolve, code)
        canaries[code] = Canary(route, canary, resolve, launch, records[code], calls, metrics)
    return canaries
