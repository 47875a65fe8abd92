"""JSON lines in, JSON lines out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from multiner.serving.http.json_lines import BATCH_TEXTS, LineSplitter
from multiner.serving.http.payload import Limits
from tests.serving.waiting import settle, until

PATH, KIND = "/v1/entities/stream", "application/jsonl"


def ask(harness: Any, use: Callable[[httpx.AsyncClient, Any], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        gateway = harness(**settings)
        async with gateway.client() as client:
            return await use(client, gateway)

    return asyncio.run(main())


def stream(harness: Any, body: bytes, **settings: Any) -> list[dict[str, Any]]:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[dict[str, Any]]:
        response = await client.post(PATH, content=body, headers={"content-type": KIND})
        assert response.status_code == 200
        assert response.headers["content-type"] == KIND
        assert "content-length" not in response.headers
        return [json.loads(line) for line in response.text.splitlines()]

    return ask(harness, use, **settings)


@given(st.lists(st.binary(max_size=12)), st.integers(0, 8))
def test_lines_are_cut_alike_however_the_body_comes(chunks: list[bytes], limit: int) -> None:
    splitter = LineSplitter(limit)
    outcome = [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.finish())
    expected = b"".join(chunks).split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert outcome == [(number, line if len(line) <= limit else None) for number, line in enumerate(expected, start=1)]


def test_lines_are_answered_in_their_order(harness: Any) -> None:
    texts = [f"Anna{number}" if number % 3 else f"Анна{number}" for number in range(100)]
    answers = stream(harness, b"\n".join(json.dumps(text).encode() for text in texts))
    assert [answer["line"] for answer in answers] == list(range(1, 101))
    assert [answer["entities"][0]["text"] for answer in answers] == texts
    assert {answer["language"] for answer in answers} == {"en", "ru"}
    assert answers[0]["model"] == {"name": "ner-ru", "version": "1"}


def test_a_line_may_have_an_id_and_options(harness: Any) -> None:
    lines = [
        {"text": "🙂 Anna", "id": "a", "offsets": "utf16", "legs": False},
        {"text": "Anna", "id": 7, "language": "ru", "types": ["LOC"]},
        {"text": "Anna \ud800", "id": "\ud800", "min_score": 0.9},
        {"text": "東京"},
    ]
    first, second, third, fourth = stream(harness, "\n".join(map(json.dumps, lines)).encode())
    assert first["id"] == "a"
    assert first["entities"] == [{"start": 3, "end": 7, "text": "Anna", "label": "PER", "score": 0.875}]
    assert (second["id"], second["language"], second["entities"]) == (7, "ru", [])
    assert (third["id"], third["entities"]) == ("\ud800", [])
    assert "id" not in fourth
    assert fourth["flags"] == ["unsupported_script"]


def test_a_bad_line_is_answered_on_its_line_and_the_stream_goes_on(harness: Any) -> None:
    bad = {
        b'{"text": "a"': (400, None),
        b"\xff": (400, None),
        b"[1]": (422, None),
        b"{}": (422, "/text"),
        b'{"text": ["a"]}': (422, "/text"),
        b'{"text": "a", "language": "de"}': (422, "/language"),
        b'{"text": "a", "types": ["X"]}': (422, "/types/0"),
        b'{"text": "a", "id": 1.5}': (422, "/id"),
        b'{"text": "a", "colour": 1}': (422, None),
        json.dumps("a" * 1001).encode(): (413, "/text"),
        b'"' + b"a" * 50_000 + b'"': (413, None),
        b'"CRASH"': (502, None),
        b'"WRONG"': (502, None),
        b'"SLOW"': (504, None),
        b'"DEAD"': (503, None),
    }
    for line, (status, where) in bad.items():
        before, problem, after = stream(harness, b'"Anna"\n\r\n' + line + b'\n{"text": "Bo", "id": "b"}')
        assert (before["line"], problem["line"], after["line"], after["id"]) == (1, 3, 4, "b")
        assert (problem["status"], problem.get("where")) == (status, where), line[:40]
        assert problem["type"].startswith("urn:ner:problem:")
        assert problem["request_id"]
        assert "Traceback" not in json.dumps(problem)
        if status != 503:
            assert before["entities"]
            assert after["entities"], line[:40]


def test_the_place_of_a_fault_is_that_in_the_stream(harness: Any) -> None:
    (problem,) = stream(harness, b'\n\n{"text": nothing, "id": 1}')
    assert "line 3, column 10" in problem["detail"]


def test_what_is_wrong_with_an_identified_line_has_its_id(harness: Any) -> None:
    (problem,) = stream(harness, b'{"id": "x", "text": 5}')
    assert problem["id"] == "x"


def test_texts_go_to_the_model_in_small_batches(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[list[int], list[int]]:
        backend = gateway.backend("en")
        await client.post(PATH, content=b'"Anna"\n' * 100, headers={"content-type": KIND})
        return [len(texts) for texts in backend.seen], backend.at_once

    sizes, at_once = ask(harness, use)
    assert sum(sizes) == 100
    assert max(sizes) == BATCH_TEXTS
    assert max(at_once) <= 3


def test_answers_come_while_the_body_is_still_being_sent(harness: Any, exchange: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[Any]:
        conversation = exchange(gateway.app, PATH, KIND)
        outcome = [await conversation.status()]
        for piece in (b'"An', b'na"\n"B', b'o"\n'):
            conversation.send(piece)
            if piece.endswith(b"\n") or b"\n" in piece:
                outcome.append((await conversation.line())["entities"][0]["text"])
        conversation.send(b'"Cleo"', more=False)
        outcome += [(await conversation.line())["entities"][0]["text"], await conversation.line()]
        await asyncio.wait_for(conversation.task, 5)
        return outcome

    assert ask(harness, use) == [200, "Anna", "Bo", "Cleo", None]


def test_who_does_not_read_is_not_read_from(harness: Any, exchange: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[int, int, int]:
        backend = gateway.backend("en")
        conversation = exchange(gateway.app, PATH, KIND)
        await conversation.status()
        conversation.taking.clear()
        for number in range(200):
            conversation.send(b'"Anna"\n', more=number < 199)
        await until(lambda: backend.seen)
        await settle(1000)
        unread, calls = conversation.unread, len(backend.seen)
        conversation.taking.set()
        lines = 0
        while await conversation.line() is not None:
            lines += 1
        return unread, calls, lines

    unread, calls, lines = ask(harness, use)
    assert unread > 190
    assert calls <= 3
    assert lines == 200


def test_work_for_a_caller_who_has_gone_is_dropped(harness: Any, exchange: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> tuple[int, int]:
        backend = gateway.backend("en")
        conversation = exchange(gateway.app, PATH, KIND)
        conversation.send(b'"WAIT"\n' * 200)
        await until(lambda: backend.seen)
        conversation.leave()
        await asyncio.wait_for(conversation.task, 5)
        backend.held = False
        await settle()
        return len(backend.seen), gateway.service.routes["en"].queue.waiting

    calls, waiting = ask(harness, use)
    assert calls <= 3
    assert waiting == 0


def test_a_body_that_stalls_ends_the_stream(harness: Any, exchange: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[Any]:
        conversation = exchange(gateway.app, PATH, KIND)
        conversation.send(b'"Anna"\n"B')
        await conversation.status()
        return [await conversation.line(), await conversation.line(), await conversation.line()]

    answer, problem, end = ask(harness, use, limits=Limits(4, 1000, 0.1))
    assert answer["entities"]
    assert (problem["line"], problem["status"]) == (2, 408)
    assert end is None


def test_a_reader_who_stops_ends_the_stream(harness: Any, exchange: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> bool:
        conversation = exchange(gateway.app, PATH, KIND)
        await conversation.status()
        conversation.taking.clear()
        conversation.send(b'"Anna"\n')
        await asyncio.wait_for(conversation.task, 5)
        return conversation.taking.is_set()

    assert ask(harness, use, limits=Limits(4, 1000, 0.1)) is False


def test_a_full_queue_makes_a_stream_wait(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> list[dict[str, Any]]:
        others = [asyncio.create_task(client.post("/v1/entities", json={"text": "WAIT"})) for _ in range(2)]
        queue = gateway.service.routes["en"].queue
        await until(lambda: (queue.in_flight, queue.waiting) == (1, 1))
        stream = asyncio.create_task(client.post(PATH, content=b'"Anna"\n' * 40, headers={"content-type": KIND}))
        await settle(1000)
        assert not stream.done()
        gateway.backend("en").held = False
        response = await stream
        await asyncio.gather(*others)
        return [json.loads(line) for line in response.text.splitlines()]

    answers = ask(harness, use, queue=1, concurrency=1)
    assert len(answers) == 40
    assert all("entities" in answer for answer in answers)


def test_other_bodies_are_refused(harness: Any) -> None:
    async def use(client: httpx.AsyncClient, gateway: Any) -> httpx.Response:
        return await client.post(PATH, json={"text": "Anna"})

    response = ask(harness, use)
    assert response.status_code == 415
    assert KIND in response.json()["detail"]


def test_over_a_real_connection(served: tuple[Any, tuple[str, int]]) -> None:
    """Who waits for ``100 Continue``, and sends a line only when the one before is answered, gets all answers."""

    async def main() -> list[str]:
        reader, writer = await asyncio.open_connection(*served[1])
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {KIND}\r\nTransfer-Encoding: chunked\r\n"
        writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
        outcome = [(await reader.readline()).decode().strip(), (await reader.readline()).decode().strip()]
        outcome.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0])
        for name in ("Anna", "Bo"):
            line = f'"{name}"\n'
            writer.write(f"{len(line):x}\r\n{line}\r\n".encode())
            size = int(await reader.readline(), 16)
            outcome.append(json.loads(await reader.readexactly(size))["entities"][0]["text"])
            await reader.readline()
        writer.write(b"0\r\n\r\n")
        outcome.append((await reader.readline()).decode().strip())
        writer.close()
        return outcome

    outcome = asyncio.run(asyncio.wait_for(main(), 10))
    assert outcome == ["HTTP/1.1 100 Continue", "", "HTTP/1.1 200 OK", "Anna", "Bo", "0"]
