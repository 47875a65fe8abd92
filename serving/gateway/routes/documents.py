"""The text of a file: ``POST /v1/documents``, which the page shares."""

from __future__ import annotations

from email.message import Message
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from multiner.serving.documents.extraction import Extraction, TooManyDocuments
from multiner.serving.documents.reading import DOCX, PDF, TEXT, DocumentError
from multiner.serving.gateway.schemas import openapi
from multiner.serving.http.payload import json_response, read_body, require_type, unless_gone
from multiner.serving.http.problems import Problem, busy, too_large
from multiner.serving.routing.config import GatewayConfig

KINDS = (TEXT, DOCX, PDF)


class PageSchema(BaseModel):
    """A page of a PDF: `text[start:end]`, counted in code points; empty where it has no text."""

    start: int
    end: int


class DocumentAnswer(BaseModel):
    """The text of a document."""

    text: str
    pages: list[PageSchema] | None = Field(description="null: the format has no pages.")
    encoding: str | None = Field(description="Of a plain text; else null.")


DOCUMENTS: dict[str, Any] = {
    "response_model": DocumentAnswer,
    "responses": openapi.problems(400, 408, 413, 415, 422, 429),
    "openapi_extra": openapi.body({kind: {"type": "string", "format": "binary"} for kind in KINDS}),
}


def documents_router(config: GatewayConfig) -> APIRouter:
    """The endpoint."""
    router, extraction = APIRouter(), Extraction(config.documents)

    @router.post("/v1/documents", **DOCUMENTS)
    async def documents(request: Request) -> Response:
        """Give the text of a file: plain text, .docx, or a PDF with a text layer."""
        kind = require_type(request, KINDS)
        try:
            async with extraction.place():
                content = await read_body(request, config.documents.bytes, config.limits.seconds)
                document = await unless_gone(request, extraction.extract(kind, content, _charset(request)))
        except TooManyDocuments:
            raise busy("Other documents are being read; send it again in a moment.") from None
        except DocumentError as error:
            if error.too_large:
                raise too_large(str(error)) from None
            raise Problem(422, "document", "The document cannot be read", str(error)) from None
        pages = None if document.pages is None else [{"start": start, "end": end} for start, end in document.pages]
        return json_response({"text": document.text, "pages": pages, "encoding": document.encoding})

    return router


def _charset(request: Request) -> str | None:
    """The encoding that the content type names."""
    header = Message()
    header["Content-Type"] = request.headers["content-type"]
    return header.get_content_charset()
