"""The Python client's answers of a text and its translation."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner import AsyncClient, Client, ParallelResult, ServiceError
from multiner.serving.http.problems import Problem

MODEL = {"name": "ner", "version": "3"}
ANSWER = {
    "ru": {
        "language": "ru",
        "model": MODEL,
        "entities": [{"start": 2, "end": 7, "text": "Тимур", "label": "PER", "score": 0.9, "new": 1}],
        "names": [{"text": "Тимур", "label": "PER", "forms": ["Тимур"], "mentions": [0], "pair": 0}],
    },
    "en": {
        "language": "en",
        "model": MODEL,
        "entities": [
            {"start": 0, "end": 4, "text": "Oslo", "label": "LOC", "score": 0.5},
            {"start": 5, "end": 10, "text": "Timur", "label": "PER", "score": 0.8},
        ],
        "names": [
            {"text": "Oslo", "label": "LOC", "forms": ["Oslo"], "mentions": [0], "pair": None},
            {"text": "Timur", "label": "PER", "forms": ["Timur"], "mentions": [1], "pair": 0},
        ],
    },
    "pairs": [
        {
            "ru": 0,
            "en": 1,
            "similarity": 1.0,
            "reasons": ["transliteration"],
            "suspicious": False,
            "counts_differ": False,
            "new": 1,
        }
    ],
}
TEXTS = {"english": "Oslo Timur", "russian": "🙂 Тимур"}


class Script:
    """Answers in order; the last for good. Keeps the requests."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def client(self) -> Client:
        return Client("http://gateway", max_wait=0.01, http=httpx.Client(transport=httpx.MockTransport(self)))

    def ask(self, **arguments: Any) -> ParallelResult:
        return self.client().parallel(**TEXTS | arguments)


def test_names_come_with_their_mentions_and_their_counterparts() -> None:
    script = Script(httpx.Response(200, json=ANSWER))
    outcome = script.ask()
    (pair,) = outcome.pairs
    assert (pair.english.text, pair.russian.text, pair.similarity) == ("Timur", "Тимур", 1.0)
    assert (pair.reasons, pair.suspicious, pair.counts_differ) == (("transliteration",), False, False)
    assert pair.russian.mentions == outcome.russian.entities
    assert [(each.start, each.end, each.extra) for each in pair.russian.mentions] == [(2, 7, {"new": 1})]
    assert (outcome.english.text, outcome.russian.language, outcome.russian.model.version) == ("Oslo Timur", "ru", "3")
    assert [name.text for name in outcome.only_english] == ["Oslo"]
    assert outcome.only_russian == ()
    assert outcome.english.extra == {}
    (request,) = script.requests
    assert (request.method, request.url.path) == ("POST", "/v1/parallel")
    assert json.loads(request.content) == {"ru": "🙂 Тимур", "en": "Oslo Timur"}, "what is not asked for is not sent"


def test_options_are_sent_and_surrogates_pass_with_their_offsets() -> None:
    script = Script(httpx.Response(200, json=ANSWER))
    outcome = script.ask(russian="\ud800 Тимур", min_score=0.2, types="PER")
    assert json.loads(script.requests[0].content) == {
        "ru": "\ufffd Тимур",
        "en": "Oslo Timur",
        "min_score": 0.2,
        "types": ["PER"],
    }
    assert outcome.russian.text == "\ud800 Тимур"


def test_a_busy_gateway_is_asked_again_and_a_refusal_is_not() -> None:
    def refusal(status: int) -> httpx.Response:
        return httpx.Response(status, json=Problem(status, "some", "Some", "So.", where="/ru").to_json("id-7"))

    script = Script(refusal(503), refusal(429), httpx.Response(200, json=ANSWER))
    assert script.ask().pairs
    assert len(script.requests) == 3
    script = Script(refusal(413))
    with pytest.raises(ServiceError) as raised:
        script.ask()
    assert (raised.value.status, raised.value.where, raised.value.request_id) == (413, "/ru", "id-7")
    assert len(script.requests) == 1, "two texts that belong together cannot be asked for in halves"


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    answer = json.loads(json.dumps(ANSWER))
    change(answer)
    return answer


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": []},
        changed(lambda answer: answer.pop("pairs")),
        changed(lambda answer: answer["en"].pop("names")),
        changed(lambda answer: answer["en"]["names"][0].update(mentions=[2])),
        changed(lambda answer: answer["en"]["names"][0].update(mentions=[-1])),
        changed(lambda answer: answer["pairs"][0].update(en=2)),
        changed(lambda answer: answer["pairs"][0].update(ru=-1)),
        changed(lambda answer: answer["pairs"][0].update(similarity="much")),
        changed(lambda answer: answer["ru"]["entities"][0].update(end=6)),
        changed(lambda answer: answer.update(pairs=5)),
    ],
)
def test_what_is_no_such_answer_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="not that of a gateway"):
        Script(httpx.Response(200, json=answer)).ask()


def test_the_gateway_itself(harness: Any) -> None:
    async def main() -> None:
        async with harness().client() as http:
            client = AsyncClient("http://gateway", http=http)
            texts = {"english": "then Anna Verrova saw Timur", "russian": "и Анна Ветрова. и Тимур, и Ветрову"}
            outcome = await client.parallel(**texts, types=["PER"])
            assert [(pair.english.text, pair.russian.text, pair.suspicious) for pair in outcome.pairs] == [
                ("Anna Verrova", "Анна Ветрова", True),
                ("Timur", "Тимур", False),
            ]
            assert [each.text for each in outcome.pairs[0].russian.mentions] == ["Анна Ветрова", "Ветрову"]
            with pytest.raises(ServiceError) as raised:
                await client.parallel("a" * 600, "я" * 600)
            assert raised.value.status == 413

    asyncio.run(main())


def test_the_example_of_the_documentation_runs(
    harness: Any, behind_server: Any, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (root / "docs" / "api" / "parallel.md").read_text(encoding="utf-8")
    ((code, output),) = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", page, flags=re.DOTALL)
    with behind_server(harness()) as (host, port):
        exec(code.replace("127.0.0.1:8000", f"{host}:{port}"), {})
    assert capsys.readouterr().out == output
