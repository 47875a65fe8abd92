"""What a gateway needs to know, and where a workspace says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.settings import Workspace
from serving import state
from serving.heads import allowed_hosts
from serving.payload import Limits, Offer
from serving.slots import ServedModel, Slot
from serving.switching import Launch

Resolve = Callable[[str, str | None], ServedModel | None]  # (language, version or None: the champion); blocking


@dataclass(frozen=True)
class GatewayConfig:
    """What a gateway needs to know.

    ``launch`` starts a version, ``resolve`` finds one in the registry (None where there is no champion). ``types`` are
    the labels of each language; of a language that is not named there, any may be asked for. ``queue`` requests may
    wait for each model, which works on ``concurrency`` at once. ``hosts`` are the names that the gateway answers to
    (:func:`serving.heads.allowed_hosts`).
    """

    languages: Sequence[str]
    limits: Limits
    token: str
    launch: Launch
    resolve: Resolve
    keep_previous: bool = True
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)
    queue: int = 64
    concurrency: int = 4
    hosts: frozenset[str] | None = None

    @property
    def offer(self) -> Offer:
        """What callers may ask for."""
        return Offer(self.languages, self.limits, self.types)


def workspace_config(workspace: Workspace, token: str) -> GatewayConfig:
    """The configuration of a workspace's gateway: limits from params.yaml, versions from its registry."""
    from pipeline import registry

    settings = workspace.params["serving"]
    uri = registry.tracking_uri(workspace)

    def resolve(language: str, version: str | None) -> ServedModel | None:
        if version is None:
            champion = registry.champion(workspace, language)
            return ServedModel(language, champion.name, champion.version, champion.uri) if champion else None
        name = registry.model_name(workspace, language)
        return ServedModel(language, name, version, f"models:/{name}/{version}")

    async def launch(model: ServedModel) -> Slot:
        log_file = state.log_file(workspace, f"slot-{model.name}-{model.version}")
        slot = Slot(model, log_file, tracking_uri=uri, timeout=settings["timeout_seconds"])
        try:
            await slot.start()
            await slot.probe()
        except BaseException:
            await slot.stop()
            raise
        return slot

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
        hosts=allowed_hosts(state.address(workspace)[0], settings.get("hosts") or ()),
    )
