"""Calls that nobody waits for: the served process stops, the place at the model is free, the next answer is right."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.inference.cancel_tickets import issued
from multiner.serving.answers import NoTokens
from multiner.serving.backends.model_server import (
    ServedModel,
    Slot,
    SlotTimeout,
    with_params,
)
from multiner.serving.backends.process_tree import family_of
from multiner.serving.gateway.app import create_app
from multiner.serving.gateway.config import GatewayConfig
from multiner.serving.http.payload import Limits
from tests.serving.waiting import settle, until

TYPES = ["PER", "LOC"]
SHORT = "Ada saw Oslo, and Bo saw Lima."
LONG = ("Ada saw Oslo and Bo. " * 5000)[:100_000]
SECONDS = 2.0  # of computing, the next answer included; the whole long text takes ten times that, and more
IDLE = 0.2  # seconds of computing in a second in which nothing is asked


class Seen(NamedTuple):
    """A long text called off: whether the model was at work on it; seconds, by its pace, until its place was free;
    of computing until the next answer; of computing in the second after that."""

    working: bool
    freed: float
    answered: float
    idle: float


def computed(slot: Slot) -> float:
    """Seconds of computing that the served process has done: unlike the clock's, no busy machine changes them."""
    return sum(sum(process.cpu_times()[:2]) for process in family_of(slot.pid))


def test_parameters_are_put_into_a_body_however_it_is_written() -> None:
    for body in (b'{"inputs": ["{"]}', b'\xef\xbb\xbf \n{\n"inputs":["{"]}'):
        value = json.loads(with_params(body, {"ticket": "ab"}).decode("utf-8-sig"))
        assert value == {"params": {"ticket": "ab"}, "inputs": ["{"]}
    assert with_params(b'{"inputs": []}', {}) == b'{"inputs": []}'


@pytest.mark.parametrize("late", [False, True])
def test_the_ticket_is_withdrawn_and_the_model_waited_for(harness: Any, tmp_path: Path, late: bool) -> None:
    """Whether the caller goes or the time is up; where all goes well, the ticket goes with the call, too."""

    async def main() -> list[Any]:
        async with harness().client(), asyncio.timeout(5):
            made = harness()
            slot = await made.launch(made.resolve("en", None))
            slot._tickets, log = tmp_path, []
            await slot.predict(["Anna"])
            log.append([*tmp_path.iterdir()])
            slot.timeout, slot.ended = (0.1 if late else 5), 0
            call = asyncio.create_task(slot.predict(["WAIT"]))
            await until(lambda: slot.seen[-1] == ["WAIT"])
            log.append(len([*tmp_path.iterdir()]))
            if not late:
                call.cancel()
            await until(lambda: not [*tmp_path.iterdir()])
            await settle()
            log.append((len([*tmp_path.iterdir()]), slot.ended, call.done()))
            slot.held = False
            with pytest.raises(SlotTimeout if late else asyncio.CancelledError):
                await call
            return [*log, slot.ended]

    assert asyncio.run(main()) == [[], 1, (0, 0, False), 1]


def test_a_ticket_ends_with_its_call_whatever_happens(tmp_path: Path) -> None:
    def fail() -> None:
        with issued(tmp_path) as ticket:
            assert (tmp_path / ticket.name).exists()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not [*tmp_path.iterdir()]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ServedModel]:
    """Saves a model of the real classes as registration does; its legs are small, but take their time on long texts."""
    import mlflow
    import spacy
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    from multiner.pipeline.models.transformer.export import export
    from multiner.pipeline.registry.lineage import MODEL_CODE
    from multiner.pipeline.registry.packaging import freeze_code, signature

    folder, labels = tmp_path_factory.mktemp("calling-off"), bio_labels(TYPES)
    torch.manual_seed(1)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = [*special, "Ada", "saw", "Oslo", "and", "Bo", "Lima", ",", "."]
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    size = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 2048}
    config = BertConfig(vocab_size=len(vocabulary), num_labels=len(labels), max_position_embeddings=66, **size)
    BertForTokenClassification(config).save_pretrained(folder / "trained")
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder / "trained")
    write_json(folder / "trained" / "leg.json", {"labels": labels, "max_pieces": 64, "context": 16})
    write_json(folder / "trained" / "history.json", [])
    export(folder / "trained", folder / "transformer", "fp32")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "PERSON", "pattern": "Ada"}, {"label": "GPE", "pattern": "Oslo"}]
    )
    nlp.to_disk(folder / "shipped")
    write_json(folder / "shipped" / "shipped.json", {"labels": labels})
    members = [
        {"name": name, "temperature": 1.0, "weight": weight}
        for name, weight in (("shipped", 0.9), ("transformer", 0.1))
    ]
    write_json(folder / "ensemble.json", {"language": "en", "types": TYPES, "members": members, "chooser": None})

    def make(version: str, *, params: bool = True) -> ServedModel:
        shape = signature()
        shape.params = shape.params if params else None
        mlflow.pyfunc.save_model(
            folder / version,
            python_model=str(MODEL_CODE),
            artifacts={
                "ensemble": str(folder / "ensemble.json"),
                **{leg: str(folder / leg) for leg in ("shipped", "transformer")},
            },
            code_paths=[str(freeze_code(folder / f"code-{version}"))],
            signature=shape,
            pip_requirements=["mlflow"],
        )
        return ServedModel("en", "ner-en", version, str(folder / version))

    return make


@pytest.mark.slow
def test_a_long_text_that_is_called_off_frees_the_process(
    saved: Callable[..., ServedModel], tmp_path: Path, exchange: Any
) -> None:
    model = saved("1")

    async def launch(model: ServedModel) -> Slot:
        slot = Slot(model, tmp_path / "slot.log", timeout=60)
        await slot.start(120)
        await slot.probe()
        return slot

    async def main() -> list[Seen]:
        app = create_app(
            GatewayConfig(["en"], Limits(8, 200_000, 60), "token", launch, lambda *_: model, concurrency=1)
        )
        route = app.state.board.routes["en"]
        async with app.router.lifespan_context(app):
            while route.state == "starting":
                await asyncio.sleep(0.05)
            assert route.state == "live", route.describe()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
                body = {"text": SHORT, "tokens": True}
                (before,) = (await client.post("/v1/entities", json=body)).json()["results"]
                assert {entity["text"] for entity in before["entities"]} == {"Ada", "Oslo"}
                assert [token["text"] for token in before["tokens"]][:3] == ["Ada", "saw", "Oslo"]
                seen = []
                calls = [("/v1/entities", {"text": LONG}), ("/v1/en/invocations", {"inputs": [LONG]})]
                for (path, long), seconds in zip([*calls, calls[0]], (0.2, 1.0, 2.5), strict=True):
                    asked = exchange(app, path, "application/json")
                    asked.send(json.dumps(long).encode(), more=False)
                    while not route.queue.in_flight:
                        await asyncio.sleep(0.01)
                    begun, began = computed(route.live), time.monotonic()
                    await asyncio.sleep(seconds)
                    working = route.queue.in_flight == 1
                    asked.leave()
                    left, at = computed(route.live), time.monotonic()
                    pace = (left - begun) / (at - began)  # computing a second: the less, the busier the machine is
                    while route.queue.in_flight:
                        await asyncio.sleep(0.01)
                    freed = (time.monotonic() - at) * pace
                    (after,) = (await client.post("/v1/entities", json=body)).json()["results"]
                    answered = computed(route.live)
                    await asyncio.sleep(1)
                    seen.append(Seen(working, freed, answered - left, computed(route.live) - answered))
                    assert after == before
                assert not [*route.live._tickets.iterdir()]
                return seen

    seen = asyncio.run(main())
    assert all(each.working for each in seen), f"not all long texts were still being answered: {seen}"
    assert max(each.freed for each in seen) < SECONDS, f"the place is free when the model is: {seen}"
    assert max(each.answered for each in seen) < SECONDS, seen
    assert max(each.idle for each in seen) < IDLE, f"the model works on behind the gateway's back: {seen}"


@pytest.mark.slow
def test_versions_registered_before_there_were_parameters_answer_and_say_what_they_lack(
    saved: Callable[..., ServedModel], tmp_path: Path
) -> None:
    async def main() -> list[list[dict[str, Any]]]:
        slot = Slot(saved("old", params=False), tmp_path / "slot.log")
        try:
            await slot.start(120)
            await slot.probe()
            with pytest.raises(NoTokens, match="ner-en version old"):
                await slot.answer([SHORT], tokens=True)
            return await slot.predict([SHORT])
        finally:
            await slot.stop()

    (entities,) = asyncio.run(main())
    assert [entity["text"] for entity in entities] == ["Ada", "Oslo"]
