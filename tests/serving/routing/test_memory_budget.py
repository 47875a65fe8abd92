"""The memory of all models of a host: what is unloaded to make room, what never is, and what brings it back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import Backend, ServedModel
from multiner.serving.gateway.app import create_app
from multiner.serving.http.payload import Limits
from multiner.serving.http.problems import Problem
from multiner.serving.routing import memory_budget
from multiner.serving.routing.inference_service import InferenceService
from multiner.serving.routing.memory_budget import PER_FOLDER, MemoryBudget, OutOfMemory
from tests.serving.configs import NoFacts, gateway_config
from tests.serving.routing.twins import Shadowed
from tests.serving.waiting import settle, until

TEN = ("en", "ru", "de", "fr", "es", "it", "pt", "nl", "pl", "cs")
SIZE = 100  # bytes of a model


class Small(Backend):
    """A model that takes memory of a host from the beginning of its launch until it is closed."""

    def __init__(self, model: ServedModel, host: Host) -> None:
        super().__init__(model)
        self.host = host
        self.open = asyncio.Event()  # cleared: it does not answer
        self.open.set()
        self._closed = asyncio.Event()

    address = "http://model"

    @property
    def alive(self) -> bool:
        return not self._closed.is_set()

    @property
    def memory(self) -> int:
        return self.host.size if self.alive else 0

    async def answer(self, texts: Sequence[str], *, tokens: bool = False) -> list[dict[str, Any]]:
        await self.open.wait()
        return [{"entities": []} for _ in texts]

    async def lost(self) -> None:
        await self._closed.wait()

    async def close(self) -> None:
        await asyncio.sleep(0)  # as a process, it takes its time to end
        self.host.running.discard(self)
        self._closed.set()

    async def bring_up(self, at_once: int = 1) -> None: ...

    async def call(self, body: bytes, params: Any = None) -> httpx.Response:
        raise NotImplementedError

    async def cancel(self, call: str) -> None: ...


class Host:
    """A host, its models, and the most memory that they took together."""

    def __init__(self, **settings: Any) -> None:
        self.size = SIZE
        self.running: set[Small] = set()
        self.launched: list[tuple[str, str]] = []
        self.peak = 0
        self.ready = asyncio.Event()  # cleared: launches do not come to an end
        self.ready.set()
        self.refusal: NerError | None = None
        self.champions = dict.fromkeys(settings.get("languages", TEN), "1")
        usual = {"languages": TEN, "limits": Limits(4, 1000, 5), "memory": 3 * SIZE, "reconcile_seconds": 0}
        self.config = gateway_config(**usual | settings, launch=self.launch, resolve=self.resolve)
        self.service = InferenceService(self.config)

    async def launch(self, model: ServedModel) -> Backend:
        if self.refusal:
            raise self.refusal
        backend = Small(model, self)
        self.running.add(backend)
        self.launched.append((model.language, model.version))
        self.peak = max(self.peak, self.size * len(self.running))
        await self.ready.wait()
        return backend

    def resolve(self, language: str, version: str | None) -> ServedModel:
        return ServedModel(language, f"ner-{language}", version or self.champions[language], f"models:/{language}")

    def states(self, *languages: str) -> list[str]:
        return [self.service.routes[language].state for language in languages or self.config.languages]

    def live(self, language: str) -> Small:
        backend = self.service.routes[language].live
        assert isinstance(backend, Small)
        return backend

    async def ask(self, language: str) -> str:
        """Send a request, and return the version that answers."""
        model, _ = await self.service.call(language, lambda backend: backend.predict(["Anna"]), large=False)
        return model.version


def run(use: Callable[[Host], Awaitable[Any]], *, in_turn: bool = True, **settings: Any) -> Any:
    async def main() -> Any:
        host = Host(**settings)
        if in_turn:  # the first languages get the memory
            for reconciler in host.service.reconcilers.values():
                await reconciler.reconcile()
        else:
            host.service.start()
        await until(lambda: "starting" not in host.states())
        try:
            return await use(host)
        finally:
            await host.service.close()
            assert host.running == set()

    return asyncio.run(main())


def test_two_languages_with_enough_memory_stay_live_and_keep_their_versions_warm() -> None:
    async def use(host: Host) -> list[Any]:
        assert await host.service.deploy("en", "2") == "switched"
        assert await host.service.deploy("ru", "2") == "switched"
        return [(route.state, route.previous.model.version) for route in host.service.routes.values()]

    assert run(use, languages=("en", "ru"), memory=10 * SIZE) == [("live", "1"), ("live", "1")]


def test_ten_languages_start_where_three_fit_and_all_of_them_answer() -> None:
    async def use(host: Host) -> None:
        assert sorted(host.states()) == ["live"] * 3 + ["unloaded"] * 7
        assert len(host.launched) == 3, "at the start nothing is unloaded for what nobody waits for"
        for _ in range(2):
            for language in host.config.languages:
                assert await host.ask(language) == "1"
        assert sorted(host.states()) == ["live"] * 3 + ["unloaded"] * 7
        assert host.peak == 3 * SIZE

    run(use, in_turn=False)


def test_an_unloaded_language_is_ready_and_is_told() -> None:
    async def main() -> tuple[list[int], str, list[dict[str, Any]]]:
        app = create_app(Host().config, NoFacts())
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                await until(lambda: all(route.state != "starting" for route in app.state.service.routes.values()))
                answers = [await client.get(path) for path in ("/ready", "/v2/health/ready", "/health")]
                health = answers[-1].json()
                unloaded = [each for each in health["languages"].values() if each["state"] == "unloaded"]
                path = f"/v2/models/{unloaded[0]['name']}/versions/1/infer"
                tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Anna"]}
                answers.append(await client.post(path, json={"inputs": [tensor]}))
                return [answer.status_code for answer in answers], health["status"], unloaded

    statuses, status, unloaded = asyncio.run(main())
    assert (statuses, status, len(unloaded)) == ([200, 200, 200, 200], "ok", 7)
    assert {(each["version"], each["since"], each["detail"]) for each in unloaded} == {
        ("1", None, "the next request loads it")
    }


def test_the_language_that_was_used_least_recently_goes_first() -> None:
    async def use(host: Host) -> list[list[str]]:
        for language in ("en", "ru", "de", "en"):
            await host.ask(language)
        states = []
        for language in ("fr", "es"):
            await host.ask(language)
            states.append(host.states("en", "ru", "de", "fr", "es"))
        return states

    assert run(use, languages=TEN[:5]) == [
        ["live", "unloaded", "live", "live", "unloaded"],
        ["live", "unloaded", "unloaded", "live", "live"],
    ]


def test_warm_versions_go_before_live_ones() -> None:
    async def use(host: Host) -> None:
        await host.service.routes["de"].unload()
        await host.service.deploy("en", "2")
        assert host.service.routes["en"].previous is not None
        assert await host.ask("de") == "1"
        assert host.service.routes["en"].previous is None
        assert host.states() == ["live"] * 3

    run(use, languages=TEN[:3], keep_previous=True)


def test_a_language_in_use_is_never_unloaded() -> None:
    async def use(host: Host) -> None:
        languages = ("en", "ru")
        for language in languages:
            host.live(language).open.clear()
        calls = [asyncio.create_task(host.ask(language)) for language in languages]
        await until(lambda: all(host.live(language).in_flight for language in languages))
        with pytest.raises(Problem) as caught:
            await host.ask("de")
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "5")
        assert "memory is short" in caught.value.detail
        assert host.states() == ["live", "live", "unloaded"]
        host.live("ru").open.set()
        await calls[1]
        assert await host.ask("de") == "1"
        assert host.states() == ["live", "unloaded", "live"]
        host.live("en").open.set()
        assert await calls[0] == "1"

    run(use, languages=TEN[:3], memory=2 * SIZE)


def test_launches_at_once_never_overshoot_and_requests_share_one() -> None:
    async def use(host: Host) -> None:
        host.ready.clear()
        before = len(host.launched)
        unloaded = [language for language in TEN if host.states(language) == ["unloaded"]]
        calls = [asyncio.create_task(host.ask(language)) for language in unloaded for _ in range(3)]
        await until(lambda: len(host.launched) == before + 3)
        await until(lambda: sum(call.done() for call in calls) == 12)  # for the other four there is no room
        host.ready.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, Problem)] == ["1"] * 9
        assert (host.peak, len(host.launched)) == (3 * SIZE, before + 3)

    run(use)


def test_a_request_whose_time_is_up_leaves_and_the_launch_goes_on() -> None:
    async def use(host: Host) -> None:
        host.ready.clear()
        with pytest.raises(Problem) as caught:
            await host.ask("ru")
        assert caught.value.status == 504
        host.ready.set()
        await until(lambda: host.states("ru") == ["live"])

    run(use, languages=TEN[:2], memory=SIZE, limits=Limits(4, 1000, 0.05))


def test_no_more_requests_wait_for_a_launch_than_for_a_model() -> None:
    async def use(host: Host) -> list[int]:
        host.ready.clear()
        calls = [asyncio.create_task(host.ask("ru")) for _ in range(5)]
        await until(lambda: sum(call.done() for call in calls) == 2)
        host.ready.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        return [outcome.status if isinstance(outcome, Problem) else int(outcome) for outcome in outcomes]

    assert run(use, languages=TEN[:2], memory=SIZE, queue=2) == [1, 1, 1, 429, 429]


def test_a_version_that_does_not_come_up_again_has_failed_until_the_registry_is_read() -> None:
    async def use(host: Host) -> None:
        host.refusal = NerError("the model is broken")
        with pytest.raises(Problem) as caught:
            await host.ask("ru")
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "30")
        assert host.states("ru") == ["failed"]
        assert host.service.routes["ru"].describe()["detail"] == "the model is broken"
        host.refusal = None
        await host.service.reconcilers["ru"].reconcile()
        assert await host.ask("ru") == "1"

    run(use, languages=TEN[:2], memory=SIZE)


def test_a_new_champion_of_an_unloaded_language_waits_for_its_request() -> None:
    async def use(host: Host) -> None:
        host.champions["ru"] = "2"
        assert await host.service.reconcilers["ru"].reconcile() == "unloaded"
        assert await host.service.reconcilers["ru"].reconcile() == "nothing to do"
        assert (host.states(), host.service.routes["ru"].describe()["version"]) == (["live", "unloaded"], "2")
        assert await host.ask("ru") == "2"

    run(use, languages=TEN[:2], memory=SIZE)


def test_a_switch_unloads_the_version_that_it_replaces_where_nothing_else_can_go() -> None:
    async def use(host: Host) -> None:
        host.live("en").open.clear()
        call = asyncio.create_task(host.ask("en"))
        await until(lambda: host.live("en").in_flight)
        with pytest.raises(OutOfMemory, match="does not fit beside the models in use"):
            await host.service.deploy("en", "2")
        assert host.states() == ["live"]
        host.live("en").open.set()
        assert await call == "1"
        host.refusal = NerError("the model is broken")
        with pytest.raises(NerError, match="broken"):
            await host.service.deploy("en", "2")
        host.refusal = None
        assert await host.ask("en") == "1", "the next request brings the version before back"
        assert await host.service.deploy("en", "2") == "switched"
        assert (await host.ask("en"), host.peak) == ("2", SIZE)

    run(use, languages=["en"], memory=SIZE)


def test_a_switch_to_a_live_language_unloads_others_first() -> None:
    async def use(host: Host) -> None:
        await host.ask("en")
        assert await host.service.deploy("ru", "2") == "switched"
        await until(lambda: len(host.running) == 1)
        assert (host.states(), host.live("ru").model.version) == (["unloaded", "live"], "2")

    run(use, languages=TEN[:2], memory=2 * SIZE, keep_previous=False)


def test_a_model_that_would_run_alone_starts_whatever_the_estimate() -> None:
    async def use(host: Host) -> None:
        assert sorted(host.states()) == ["live", "unloaded"]
        for language in ("en", "ru", "en"):
            await host.ask(language)
        assert host.peak == SIZE

    run(use, languages=TEN[:2], memory=1, folder_bytes=lambda model: SIZE)


def test_without_a_limit_the_available_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[list[str]]:
        host = Host(languages=TEN[:4], memory=None)
        monkeypatch.setattr(memory_budget, "available_bytes", lambda: 250 - host.size * len(host.running))
        host.service.start()
        await until(lambda: "starting" not in host.states())
        states = [sorted(host.states())]
        monkeypatch.setattr(memory_budget, "available_bytes", lambda: 10_000)
        for language in TEN[:4]:
            await host.ask(language)
        states.append(sorted(host.states()))
        await host.service.close()
        return states

    assert asyncio.run(main()) == [["live", "live", "unloaded", "unloaded"], ["live"] * 4]


def test_estimates_are_of_the_same_model_or_the_largest_or_the_folder() -> None:
    async def main() -> tuple[list[int], str]:
        host = Host()
        budget = MemoryBudget(10_000, lambda model: 50)
        budget.routes = host.service.routes.values()
        en, ru = (host.resolve(language, None) for language in ("en", "ru"))
        estimates = [await budget._estimate(en)]
        first = await budget.launch(host.launch, en)
        estimates.append(await budget._estimate(ru))
        await budget.launch(host.launch, ru)
        host.size = 130  # they grow with use
        await budget._estimate(ru)
        await first.close()
        host.size = 120
        estimates += [await budget._estimate(en), await budget._estimate(ru)]

        def unreadable(model: ServedModel) -> int:
            raise OSError("gone")

        estimates.append(await MemoryBudget(None, unreadable)._estimate(en))
        return estimates

    assert asyncio.run(main()) == [PER_FOLDER * 50, SIZE, 130, 130, 0]


def test_a_shadow_unloads_nothing_and_its_memory_counts() -> None:
    async def main() -> None:
        host = Host(languages=["en"], memory=2 * SIZE)
        budget = MemoryBudget(2 * SIZE, lambda model: SIZE)
        budget.routes = host.service.routes.values()
        model = host.resolve("en", None)
        await budget.launch(host.launch, model, spare=True)
        await budget.launch(host.launch, model)
        with pytest.raises(OutOfMemory, match="missing") as caught:
            await budget.launch(host.launch, model, spare=True)
        assert caught.value.transient

    asyncio.run(main())


def test_the_shadows_of_a_gateway_are_in_its_budget() -> None:
    shadowed = Shadowed()

    async def use(host: Host) -> None:
        await until(lambda: host.service.shadows["en"].state == "failed")
        await settle()
        assert (shadowed.twins, host.states()) == ([], ["live"])

    run(use, languages=["en"], memory=SIZE, shadow=shadowed.settings["shadow"])


def test_an_endpoint_takes_no_memory_and_is_not_unloaded() -> None:
    async def use(host: Host) -> None:
        assert host.states() == ["live"] * 3
        assert [await host.ask(language) for language in ("ru", "en", "de", "ru")] == ["1"] * 4
        assert host.states("ru") == ["live"]
        assert host.launched.count(("ru", "1")) == 1

    class Remote(Small):
        memory = 0

    async def main() -> None:
        host = Host(languages=TEN[:3], memory=2 * SIZE)
        local, resolve = host.launch, host.resolve

        async def launch(model: ServedModel) -> Backend:
            host.launched.append((model.language, model.version))
            return Remote(model, host)

        async def either(model: ServedModel) -> Backend:
            return await (launch if model.is_endpoint else local)(model)

        def elsewhere(language: str, version: str | None) -> ServedModel:
            model = resolve(language, version)
            return ServedModel("ru", model.name, model.version, "http://10.0.0.7:9001") if language == "ru" else model

        host.config = gateway_config(
            languages=TEN[:3], limits=Limits(4, 1000, 5), launch=either, resolve=elsewhere, memory=2 * SIZE
        )
        host.service = InferenceService(host.config)
        host.service.start()
        await until(lambda: "starting" not in host.states())
        await use(host)
        await host.service.close()

    asyncio.run(main())


def test_requests_of_all_languages_at_once_end_and_keep_to_the_budget() -> None:
    async def use(host: Host) -> None:
        statuses: set[int] = set()

        async def patient(language: str) -> str:
            while True:
                try:
                    return await host.ask(language)
                except Problem as problem:
                    statuses.add(problem.status)
                await asyncio.sleep(0)

        answers = await asyncio.wait_for(
            asyncio.gather(*(patient(language) for _ in range(4) for language in TEN)), timeout=20
        )
        assert answers == ["1"] * 40
        assert statuses <= {503}
        assert host.peak <= 3 * SIZE

    run(use, cores=2)
