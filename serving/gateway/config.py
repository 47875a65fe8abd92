"""The configuration of a workspace's gateway."""

from __future__ import annotations

from functools import partial

from multiner.pipeline import notices
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import thread_count
from multiner.pipeline.corpora.review_queue import ReviewQueue
from multiner.pipeline.corpora.uncertain_texts import UncertainTexts
from multiner.serving.backends.backend import Backend, ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.backends.remote_server import RemoteServer
from multiner.serving.documents.extraction import DocumentLimits
from multiner.serving.gateway import state
from multiner.serving.gateway.exposure import listening_address
from multiner.serving.http.payload import Limits
from multiner.serving.http.request_guard import allowed_hosts, is_loopback
from multiner.serving.routing.canary.course import CanaryConfig
from multiner.serving.routing.canary.rule import CanaryRule
from multiner.serving.routing.config import GatewayConfig, ShadowConfig
from multiner.serving.routing.state_store import StateStore
from multiner.serving.routing.traffic import TrafficConfig

AUTO = "auto"
UNKNOWN = "unknown"  # the version at an endpoint that params.yaml names none of: MLflow's protocol tells none
SHADOW_NICE = 19  # a shadow only takes the processor time that nobody else wants


def workspace_config(workspace: Workspace, token: str) -> GatewayConfig:
    """The configuration of a workspace's gateway: limits from params.yaml, versions from its registry."""
    from multiner.pipeline import registry
    from multiner.pipeline.registry.drift_reference import registered_reference
    from multiner.pipeline.registry.signing.versions import checked_source

    settings, drift = workspace.params["serving"], workspace.params["drift"]
    host, _ = listening_address(workspace)
    uri = registry.tracking_uri(workspace)

    def endpoint(language: str) -> ServedModel | None:
        if entry := settings["endpoints"].get(language):
            name = registry.model_name(workspace, language)
            return ServedModel(language, name, entry.get("version") or UNKNOWN, entry["url"])
        return None

    def resolve(language: str, version: str | None) -> ServedModel | None:
        if version is None:
            return endpoint(language) or served(language, registry.champion(workspace, language))
        name = registry.model_name(workspace, language)
        version = registry.known_version(registry.open_store(workspace), name, version)
        return ServedModel(language, name, version, f"models:/{name}/{version}") if version else None

    def challenger(language: str) -> ServedModel | None:
        return served(language, registry.challenger(workspace, language))

    def served(language: str, version: registry.ModelVersionInfo | None) -> ServedModel | None:
        return ServedModel(language, version.name, version.version, version.uri) if version else None

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
                source=partial(checked_source, workspace, model.name, model.version),
            )
        await backend.bring_up(settings["concurrency"])
        return backend

    def vocabulary(model: ServedModel) -> frozenset[int] | None:
        if model.version == UNKNOWN:
            return None
        return registered_reference(workspace, model.language, model.name, model.version).vocabulary

    types = {code: workspace.language(code)["types"] for code in workspace.languages}
    traffic = TrafficConfig(f"{workspace.profile}/", vocabulary, types, drift["weeks"])

    def roll_back(language: str, version: str, target: str, reason: str) -> str:
        return registry.rollback(
            workspace, language, target, expected=version, by="the gateway's canary", reason=reason
        )

    shadow = ShadowConfig(challenger, partial(launch, kind="shadow", nice=SHADOW_NICE), settings["shadow_share"])
    rule = CanaryRule(settings["canary_calls"], 3600 * settings["canary_hours"], settings["canary_different"])
    notify = partial(notices.send, workspace, "canary")
    canary = CanaryConfig(settings["canary_share"], rule, settings["canary_slowdown"], roll_back, notify)

    return GatewayConfig(
        languages=workspace.languages,
        limits=Limits(settings["max_texts"], settings["max_characters"], settings["timeout_seconds"]),
        documents=DocumentLimits(
            1_000_000 * settings["document_megabytes"],
            settings["document_pages"],
            settings["document_characters"],
            settings["document_seconds"],
        ),
        token=token,
        launch=launch,
        resolve=resolve,
        keep_previous=settings["keep_previous"],
        types=types,
        model_name=partial(registry.model_name, workspace),
        queue=settings["queue"],
        concurrency=settings["concurrency"],
        cores=max(settings["concurrency"], thread_count()) if settings["cores"] == AUTO else settings["cores"],
        endpoints=settings["endpoints"],
        memory=None if settings["memory"] == AUTO else 1_000_000 * settings["memory"],
        folder_bytes=lambda model: registry.model_bytes(model.uri),
        reconcile_seconds=settings["reconcile_seconds"],
        shadow=shadow if settings["shadow"] else None,
        canary=canary if settings["canary_share"] else None,
        workspace=workspace,
        state=StateStore(state.store_url(workspace)),
        traffic=traffic if drift["weeks"] else None,
        review=ReviewQueue(workspace.paths.review, 1_000_000 * settings["review_megabytes"])
        if settings["review"]
        else None,
        uncertain=UncertainTexts(workspace.paths.review, count, 1_000_000 * settings["review_megabytes"])
        if (count := settings["review_uncertain"])
        else None,
        hosts=allowed_hosts(host, filter(None, [*settings["hosts"], settings["expose"]])),
        connections=settings["connections"],
        proxies=settings["trusted_proxies"],
        exposed=settings["expose"] is not None,
        open_reports=is_loopback(host) and not settings["trusted_proxies"],
    )
