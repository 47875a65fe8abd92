"""A stand-in for `mlflow models serve` that costs next to nothing: it marks the capitalised words of each text.

    python benchmarks/stub_model.py --port 9001 --text-ms 0

It speaks MLflow's protocol, so that a gateway can use it through `serving.endpoints`. With `--text-ms` an answer takes
that long for each text, without computing: as if the model ran on cores of another machine.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

WORD = re.compile(r"\b[A-ZА-ЯЁ]\w+")
BASE_MODELS = ("transformer", "spacy", "shipped")


def entities(text: str) -> list[dict[str, Any]]:
    """The capitalised words as persons, each with as many fields as an entity of the ensemble."""
    marked = []
    for match in WORD.finditer(text):
        place = {"start": match.start(), "end": match.end(), "label": "PER", "score": 0.987654}
        marked.append({**place, "text": match.group(), "legs": dict.fromkeys(BASE_MODELS, place)})
    return marked


def application(text_ms: float) -> Starlette:
    """The server; each text takes ``text_ms`` milliseconds."""

    async def invocations(request: Request) -> Response:
        rows = (await request.json())["dataframe_split"]["data"]
        await asyncio.sleep(text_ms * len(rows) / 1000)
        return JSONResponse({"predictions": [{"entities": entities(text)} for [text] in rows]})

    routes = [Route("/ping", lambda _: Response("\n")), Route("/version", lambda _: PlainTextResponse("3.0.0"))]
    return Starlette(routes=[*routes, Route("/invocations", invocations, methods=["POST"])])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--text-ms", type=float, default=0, help="milliseconds a text (default 0)")
    options = parser.parse_args()
    uvicorn.run(application(options.text_ms), port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
