"""What a gateway needs to know, and where a workspace says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.corpora.review_queue import ReviewQueue
from multiner.serving import addresses
from multiner.serving.backends.backend import Backend, ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.backends.remote_server import RemoteServer
from multiner.serving.gateway import state
from multiner.serving.http.entity_requests import Offer
from multiner.serving.http.payload import Limits
from multiner.serving.http.request_guard import allowed_hosts, is_loopback
from multiner.serving.http.server import CONNECTIONS
from multiner.serving.routing.memory_budget import Keep
from multiner.serving.routing.model_router import Launch

UNKNOWN = "unknown"  # the version at an endpoint that params.yaml names none of: MLflow's protocol tells none
SHADOW_NICE = 19  # a shadow only takes the processor time that nobody else wants
Resolve = Callable[[str, str | None], ServedModel | None]  # (language, version or None: the champion); blocking


@dataclass(frozen=True)
class ShadowConfig:
    """How challengers are shadowed: who the challenger is (blocking), how it is started, which share of calls."""

    challenger: Callable[[str], ServedModel | None]
    launch: Launch
    share: float


@dataclass(frozen=True)
class GatewayConfig:
    """What a gateway needs to know.

    ``launch`` brings up a version, ``resolve`` finds one in the registry, or at its endpoint (None where there is no
    such version, or no champion). ``types`` are the labels of each language; of a language that is not named there, any
    may be asked for.
    ``queue`` requests may wait for each model, which works on ``concurrency`` at once. The registry is looked at every
    ``reconcile_seconds`` (0: at start alone), and its challengers are shadowed if ``shadow`` says how. Corrections go
    to ``review``; None: none are taken. ``workspace`` has the registry that facts are read from, and the Airflow that
    operators order at; None: there is neither. ``hosts`` are the names that the gateway answers to
    (see ``allowed_hosts``). ``connections`` may be open at once. ``proxies`` are the addresses whose
    forwarding headers are believed. ``open_reports``: whoever can connect may read the reports, not the operator alone.
    """

    languages: Sequence[str]
    limits: Limits
    token: str
    launch: Launch
    resolve: Resolve
    keep_previous: Keep = "auto"
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)
    queue: int = 64
    concurrency: int = 2
    reconcile_seconds: float = 30
    shadow: ShadowConfig | None = None
    workspace: Workspace | None = None
    review: ReviewQueue | None = None
    hosts: frozenset[str] | None = None
    connections: int = CONNECTIONS
    proxies: Sequence[str] = ()
    open_reports: bool = False

    @property
    def offer(self) -> Offer:
        """What callers may ask for."""
        return Offer(self.languages, self.limits, self.types)


def workspace_config(workspace: Workspace, token: str) -> GatewayConfig:
    """The configuration of a workspace's gateway: limits from params.yaml, versions from its registry."""
    from multiner.pipeline import registry

    settings = workspace.params["serving"]
    host, _ = addresses.gateway_address(workspace)
    uri = registry.tracking_uri(workspace)

    def endpoint(language: str) -> ServedModel | None:
        named = settings["endpoints"].get(language)
        name = registry.model_name(workspace, language)
        return ServedModel(language, name, named.get("version") or UNKNOWN, named["url"]) if named else None

    def resolve(language: str, version: str | None) -> ServedModel | None:
        if version is None:
            if elsewhere := endpoint(language):
                return elsewhere
            champion = registry.champion(workspace, language)
            return ServedModel(language, champion.name, champion.version, champion.uri) if champion else None
        name = registry.model_name(workspace, language)
        found = registry.known_version(registry.open_store(workspace), name, version)
        return ServedModel(language, name, found, f"models:/{name}/{found}") if found else None

    def challenger(language: str) -> ServedModel | None:
        found = registry.challenger(workspace, language)
        return ServedModel(language, found.name, found.version, found.uri) if found else None

    async def launch(model: ServedModel, kind: str = "model", nice: int = 0) -> Backend:
        if model == endpoint(model.language):
            backend: Backend = RemoteServer(model, settings["timeout_seconds"])
        else:
            backend = LocalServer(
                model,
                state.log_file(workspace, f"{kind}-{model.name}-{model.version}"),
                tracking_uri=uri,
                timeout=settings["timeout_seconds"],
                nice=nice,
                folders=state.work_folders(workspace),
            )
        await backend.bring_up(settings["concurrency"])
        return backend

    shadow = ShadowConfig(challenger, partial(launch, kind="shadow", nice=SHADOW_NICE), settings["shadow_share"])

    return GatewayConfig(
        languages=workspace.languages,
        limits=Limits(settings["max_texts"], settings["max_characters"], settings["timeout_seconds"]),
        token=token,
        launch=launch,
        resolve=resolve,
        keep_previous=settings["keep_previous"],
        types={code: workspace.language(code)["types"] for code in workspace.languages},
        queue=settings["queue"],
        concurrency=settings["concurrency"],
        reconcile_seconds=settings["reconcile_seconds"],
        shadow=shadow if settings["shadow"] else None,
        workspace=workspace,
        review=ReviewQueue(workspace.paths.review, 1_000_000 * settings["review_megabytes"])
        if settings["review"]
        else None,
        hosts=allowed_hosts(host, settings["hosts"]),
        connections=settings["connections"],
        proxies=settings["trusted_proxies"],
        open_reports=is_loopback(host) and not settings["trusted_proxies"],
    )
