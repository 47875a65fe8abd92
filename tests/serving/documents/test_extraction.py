"""Files read in processes of their own."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from multiner.serving.documents.extraction import PLACES, DocumentLimits, Extraction, TooManyDocuments
from multiner.serving.documents.reading import DOCX, PDF, TEXT, UNPACKED_BYTES, DocumentError, DocumentText
from tests.serving.documents.files import docx, paragraph, pdf

LIMITS = DocumentLimits(bytes=1_000_000, pages=3, characters=1000, seconds=60)


def extract(kind: str, content: bytes, limits: DocumentLimits = LIMITS) -> DocumentText:
    return asyncio.run(Extraction(limits).extract(kind, content))


def test_a_text_comes_back_as_it_is() -> None:
    assert extract(TEXT, "Анна 😀".encode()) == DocumentText("Анна 😀", encoding="utf-8")
    assert extract(PDF, pdf(["Anna"], ["Tom"])).pages == [[0, 4], [6, 9]]


def test_what_is_wrong_with_a_file_comes_back() -> None:
    with pytest.raises(DocumentError, match="more than 1,000 characters") as error:
        extract(DOCX, docx(paragraph("a" * 1001)))
    assert error.value.too_large


def test_a_file_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(DocumentError, match=r"more than 0\.01 s"):
        extract(PDF, pdf(["Anna"]), replace(LIMITS, seconds=0.01))


@pytest.mark.slow
def test_a_file_that_takes_too_much_memory_is_given_up() -> None:
    with pytest.raises(DocumentError, match="too much memory"):
        extract(DOCX, docx("<w:p/>" * ((UNPACKED_BYTES - 10_000) // 6)))


def test_places_are_few_and_come_back() -> None:
    async def main() -> None:
        extraction = Extraction(LIMITS)

        async def hold(ready: asyncio.Event) -> None:
            async with extraction.place():
                ready.set()
                await asyncio.Event().wait()

        events = [asyncio.Event() for _ in range(PLACES)]
        tasks = [asyncio.create_task(hold(event)) for event in events]
        for event in events:
            await event.wait()
        with pytest.raises(TooManyDocuments):
            async with extraction.place():
                pass
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        async with extraction.place():
            pass
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
