"""The gateway's heart: routes of all languages, brought up at start and asked by the API and the page alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import NerError
from pipeline.settings import Workspace
from pipeline.tokenize import without_surrogates
from serving import state
from serving.answers import ModelFailed
from serving.languages import AUTO, detect
from serving.payload import Asked, Limits
from serving.problems import Problem, unavailable
from serving.slots import ServedModel, Slot, SlotGone, SlotTimeout
from serving.switching import Launch, NoModel, Route

log = logging.getLogger("serving")
Resolve = Callable[[str, str | None], ServedModel | None]  # (language, version or None: the champion); blocking


@dataclass(frozen=True)
class GatewayConfig:
    """What a gateway needs to know.

    ``launch`` starts a version, ``resolve`` finds one in the registry (None where there is no champion).
    """

    languages: Sequence[str]
    limits: Limits
    token: str
    launch: Launch
    resolve: Resolve
    keep_previous: bool = True


class Switchboard:
    """All routes of a gateway."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.routes = {
            code: Route(
                code, config.launch, keep_previous=config.keep_previous, drain_seconds=config.limits.seconds + 5
            )
            for code in config.languages
        }
        self._tasks: list[asyncio.Task] = []

    def start(self) -> None:
        """Bring up the champions of all languages side by side, in the background."""
        self._tasks = [asyncio.create_task(self._bring_up(code)) for code in self.routes]

    async def _bring_up(self, language: str) -> None:
        route = self.routes[language]
        try:
            model = await asyncio.to_thread(self.config.resolve, language, None)
            if model is None:
                route.mark_absent("the registry has no champion")
            else:
                await route.switch(model)
        except NerError as error:
            route.mark_failed(error.message.splitlines()[0])
            log.error("start failed", extra={"fields": {"language": language, "error": str(error)}})
        except Exception:
            route.mark_failed("unexpected error; see the log")
            log.exception("start failed", extra={"fields": {"language": language}})

    async def close(self) -> None:
        """Stop everything that was started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(route.close() for route in self.routes.values()))

    async def deploy(self, language: str, version: str) -> str:
        """Bring a version live; see :meth:`Route.switch`.

        Raises:
            NerError: no such version, or it does not come up.
        """
        model = await asyncio.to_thread(self.config.resolve, language, version)
        if model is None:
            raise NerError(f"the registry has no version {version} for {language!r}")
        return await self.routes[language].switch(model)

    async def answer(self, asked: Asked) -> list[dict[str, Any]]:
        """A result for each text, in order; texts of a language go to its model together.

        Raises:
            Problem: 502, 503 or 504.
        """
        chosen = [detect(t, self.config.languages) if asked.language == AUTO else asked.language for t in asked.texts]
        groups = {code: [i for i, c in enumerate(chosen) if c == code] for code in dict.fromkeys(chosen)}
        answers = await asyncio.gather(
            *(self._ask(code, [asked.texts[index] for index in indices]) for code, indices in groups.items()),
            return_exceptions=True,
        )
        results: list[dict[str, Any]] = [{}] * len(chosen)
        for (code, indices), answer in zip(groups.items(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            model, entities = answer
            for index, found in zip(indices, entities, strict=True):
                results[index] = {"language": code, "model": model, "entities": found}
        return results

    async def _ask(self, language: str, texts: list[str]) -> tuple[dict[str, str], list[list[dict[str, Any]]]]:
        safe = [without_surrogates(text) for text in texts]
        try:
            model, answers = await self.routes[language].answer(safe)
        except NoModel as error:
            wait = 30 if error.state in ("absent", "failed") else 5
            raise unavailable(f"No model for {language!r} is live ({error.state}).", wait) from None
        except SlotGone as error:
            log.warning("slot gone", extra={"fields": {"language": language, "error": str(error)}})
            raise unavailable(f"The model for {language!r} is being restarted.") from None
        except SlotTimeout as error:
            raise Problem(504, "timeout", "The model took too long", f"{error}. Send less text at once.") from None
        except ModelFailed as error:
            log.error("model failed", extra={"fields": {"language": language, "error": str(error)}})
            raise Problem(502, "model-failed", "The model failed", "The model could not answer this request.") from None
        for text, sent, entities in zip(texts, safe, answers, strict=True):
            if sent is not text and sent != text:
                for entity in entities:
                    entity["text"] = text[entity["start"] : entity["end"]]
        return {"name": model.name, "version": model.version}, answers

    def health(self) -> dict[str, Any]:
        """The status over all (``ok``, ``starting``, ``degraded``, ``down``) and each language's."""
        states = {code: route.state for code, route in self.routes.items()}
        live = sum(state == "live" for state in states.values())
        if live == len(states):
            status = "ok"
        elif "starting" in states.values():
            status = "starting"
        else:
            status = "degraded" if live else "down"
        return {"status": status, "languages": {code: route.describe() for code, route in self.routes.items()}}


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

    limits = Limits(settings["max_texts"], settings["max_characters"], settings["timeout_seconds"])
    return GatewayConfig(workspace.languages, limits, token, launch, resolve, settings["keep_previous"])
