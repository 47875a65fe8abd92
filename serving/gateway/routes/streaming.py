"""``POST /v1/entities/stream``: JSON lines in and out, any number of them, in small batches.

Reading stops while IN_FLIGHT batches wait for the model, or for the caller to take their answers. So neither a fast
sender nor a slow reader fills the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from multiner.serving.http.entity_requests import Item
from multiner.serving.http.json_lines import Entry, LineSplitter, batches, line_bytes, read_lines
from multiner.serving.http.payload import to_json
from multiner.serving.http.problems import Problem, slow
from multiner.serving.routing.inference_service import InferenceService

MEDIA_TYPE = "application/jsonl"
IN_FLIGHT = 2


class EntityStream(Response):
    """The answer to a stream; it reads the body while it writes.

    The stream ends early where the caller takes no answer, or sends nothing, for the time of a request.
    """

    media_type = MEDIA_TYPE

    def __init__(self, service: InferenceService, request_id: str) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._service = service
        self._request_id = request_id
        self._seconds = service.config.limits.seconds
        self._chunks: asyncio.Queue[bytes | Problem | None] = asyncio.Queue(maxsize=1)
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._under_way = 0
        self._batches: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()  # bounded by the room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer lines as they arrive, until the body ends; if the caller goes away, work under way is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                receiving = group.create_task(self._receive(receive))
                # ask for the body first: a caller that expects "100 Continue" gets it before the answer begins
                await asyncio.sleep(0)
                group.create_task(self._read(group))
                await self._write(send)
                receiving.cancel()
        except* ClientDisconnect:
            pass

    async def _receive(self, receive: Receive) -> None:
        """Receive the body, one chunk ahead of the reading, and notice when the caller goes away."""
        more = True
        while True:
            try:
                async with asyncio.timeout(self._seconds if more else None):
                    message = await receive()
            except TimeoutError:
                if not self._under_way:  # otherwise the caller may be waiting for an answer
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
        """Start batches of the lines of each chunk at once, even where they are not full."""
        offer = self._service.config.offer
        splitter = LineSplitter(line_bytes(offer.limits))
        while isinstance(chunk := await self._chunks.get(), bytes):
            await self._start(group, batches(read_lines(splitter.feed(chunk), offer)))
        rest = read_lines(splitter.finish(), offer) if chunk is None else [Entry(splitter.number + 1, None, chunk)]
        await self._start(group, batches(rest))
        self._batches.put_nowait(None)

    async def _start(self, group: asyncio.TaskGroup, batches: Iterable[list[Entry]]) -> None:
        for batch in batches:
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
            except TimeoutError:  # the answer has no end then, and the server closes the connection
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
                self._service.metrics.refusals.labels(outcome.name).inc()
                outcome = outcome.to_json(self._request_id)
            lines.append(to_json({"line": entry.number} | ({} if entry.id is None else {"id": entry.id}) | outcome))
        return b"".join(line + b"\n" for line in lines)

    async def _results(self, items: list[Item]) -> list[dict[str, Any] | Problem]:
        """Results; if the model fails on several texts together, each is tried alone."""
        if not items:
            return []
        results = await self._service.answer_each(items, patient=True)
        if len(items) == 1:
            return results
        return [
            (await self._results([item]))[0] if isinstance(each, Problem) and each.status in (502, 504) else each
            for item, each in zip(items, results, strict=True)
        ]
