"""Reads files in processes of their own, so that no file can stop the gateway, fill its memory, or see its secrets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from multiner.pipeline.core.processes import tied
from multiner.serving.documents.reading import DocumentError, DocumentText

PROCESSES = 2  # at once
ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")  # what the process gets of ours
PLACES = 8  # files that may be received, wait or be read at once


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """Limits of a document: bytes of the file, pages of a PDF, characters of the text, seconds for reading it."""

    bytes: int
    pages: int
    characters: int
    seconds: float


class TooManyDocuments(Exception):
    """All places are taken."""


class Extraction:
    """Gives the text of files."""

    def __init__(self, limits: DocumentLimits) -> None:
        self.limits = limits
        self._places = PLACES
        self._processes = asyncio.Semaphore(PROCESSES)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the PLACES, from before a file is received; raises TooManyDocuments where none is free."""
        if not self._places:
            raise TooManyDocuments
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def extract(self, kind: str, content: bytes, encoding: str | None = None) -> DocumentText:
        """The text of a file; see :func:`multiner.serving.documents.reading.read`.

        Raises:
            DocumentError: also where it takes too long or too much memory.
        """
        async with self._processes:
            answer = await self._read(kind, content, encoding)
        if "error" in answer:
            raise DocumentError(answer["error"], too_large=answer["too_large"])
        return DocumentText(**answer)

    async def _read(self, kind: str, content: bytes, encoding: str | None) -> dict:
        limits = self.limits
        numbers = map(str, (limits.pages, limits.characters, math.ceil(limits.seconds)))
        command = [sys.executable, "-m", "multiner.serving.documents.reader", kind, *numbers, encoding or ""]
        process = await asyncio.create_subprocess_exec(
            *tied(["nice", "-n", "10", *command]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        )
        try:
            async with asyncio.timeout(limits.seconds):
                _, answer = await asyncio.gather(_feed(process, content), _take(process, limits))
                value = json.loads(answer)
                await process.wait()
            return value
        except TimeoutError:
            raise DocumentError(f"Reading the file takes more than {limits.seconds:g} s.", too_large=True) from None
        except ValueError:  # it was killed by a limit, or wrote too much
            raise DocumentError("Reading the file takes too much memory or time.", too_large=True) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def _feed(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # it has ended; its answer, or that there is none, says why
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()


async def _take(process: asyncio.subprocess.Process, limits: DocumentLimits) -> bytes:
    """What the process answers, cut off where it is longer than any right answer."""
    assert process.stdout is not None
    answer, most = bytearray(), 12 * limits.characters + 64 * limits.pages + 4096
    while len(answer) <= most and (piece := await process.stdout.read(65536)):
        answer += piece
    return bytes(answer)
