"""JSON lines in, JSON lines out: texts without end, in small batches, with a bounded number of them under way.

Reading stops while IN_FLIGHT batches wait for the model or for the caller to take their answers, so that neither a
fast sender nor a slow reader fills the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from multiner.serving.http.json_lines import (
    Cutter,
    Entry,
    batches,
    line_bytes,
    read_lines,
)
from multiner.serving.http.payload import Item, to_json
from multiner.serving.http.problems import Problem, slow
from multiner.serving.routing.inference_service import InferenceService

MEDIA_TYPES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines", "application/ndjson")
IN_FLIGHT = 2


class EntityStream(Response):
    """The answer to a stream; it reads the body itself while it writes.

    Batches that are not taken within the request's time end the stream, as does a body that stalls so long.
    """

    media_type = MEDIA_TYPES[0]

    def __init__(self, board: InferenceService, request_id: str) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._board = board
        self._request_id = request_id
        self._seconds = board.config.limits.seconds
        self._chunks: asyncio.Queue[bytes | Problem | None] = asyncio.Queue(maxsize=1)
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._under_way = 0
        self._batches: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()  # bounded by the room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer lines as they come, until the body ends or the caller goes away; what is under way then is dropped."""
        try:
            async with asyncio.TaskGroup() as group:
                receiving = group.create_task(self._receive(receive))
                # let it ask for the body first: who expects "100 Continue" gets that before the answer begins
                await asyncio.sleep(0)
                group.create_task(self._read(group))
                await self._write(send)
                receiving.cancel()
        except* ClientDisconnect:
            pass

    async def _receive(self, receive: Receive) -> None:
        """Take in the body, a chunk ahead of what is read of it, and see when the caller goes away."""
        more = True
        while True:
            try:
                async with asyncio.timeout(self._seconds if more else None):
                    message = await receive()
            except TimeoutError:
                if not self._under_way:  # else the caller may be waiting for us
                    more = False
                    await self._chunks.put(slow(self._seconds))
                continue
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            if more:
                await self._chunks.put(message.get("body", b""))
                if not (more := message.get("more_body", False)):
                    await self._chunks.put(None)

    async def _read(self, group: asyncio.TaskGroup) -> None:
        """Start a batch for what each chunk holds; it is not waited for more to fill it up."""
        offer = self._board.config.offer
        cutter = Cutter(line_bytes(offer.limits))
        while isinstance(chunk := await self._chunks.get(), bytes):
            await self._start(group, batches(read_lines(cutter.feed(chunk), offer)))
        rest = read_lines(cutter.finish(), offer) if chunk is None else [Entry(cutter.number + 1, None, chunk)]
        await self._start(group, batches(rest))
        self._batches.put_nowait(None)

    async def _start(self, group: asyncio.TaskGroup, found: Iterable[list[Entry]]) -> None:
        for batch in found:
            await self._room.acquire()
            self._under_way += 1
            self._batches.put_nowait(group.create_task(self._answer(batch)))

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while (task := await self._batches.get()) is not None:
            body = await task
            try:
                async with asyncio.timeout(self._seconds):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            except TimeoutError:  # without the answer's end, the server closes the connection
                raise ClientDisconnect from None
            self._under_way -= 1
            self._room.release()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _answer(self, batch: list[Entry]) -> bytes:
        """The lines that answer a batch."""
        results = iter(await self._results([entry.content for entry in batch if isinstance(entry.content, Item)]))
        lines = []
        for entry in batch:
            outcome = next(results) if isinstance(entry.content, Item) else entry.content
            if isinstance(outcome, Problem):
                self._board.metrics.refusals.add(outcome.name)
                outcome = outcome.to_json(self._request_id)
            lines.append(to_json({"line": entry.number} | ({} if entry.id is None else {"id": entry.id}) | outcome))
        return b"".join(line + b"\n" for line in lines)

    async def _results(self, items: list[Item]) -> list[dict[str, Any] | Problem]:
        """Results; where the model fails over texts that it got together, it gets them one by one."""
        if not items:
            return []
        found = await self._board.answer_each(items, patient=True)
        if len(items) == 1:
            return found
        return [
            (await self._results([item]))[0] if isinstance(each, Problem) and each.status in (502, 504) else each
            for item, each in zip(items, found, strict=True)
        ]
