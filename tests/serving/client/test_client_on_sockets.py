"""The Python client over sockets, the examples of its page, and the modules that it loads."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from multiner import Client, ServiceError
from multiner.serving.http.entity_requests import EntitiesRequest, Offer
from multiner.serving.http.payload import Limits, parse_json, validate
from multiner.serving.http.problems import Problem
from tests.serving.client.scripted import findings


async def gateway(request: Request) -> Response:
    try:
        offer = Offer(["en", "ru"], Limits(64, 100_000, 60), {})
        items = validate(EntitiesRequest, parse_json(await request.body())).items(offer)
    except Problem as refused:
        return refused.response(request.scope | {"state": {"request_id": "id"}})
    return JSONResponse({"results": [findings(item.text) for item in items]})


@contextmanager
def serving_on(listener: socket.socket, delay: float = 0) -> Iterator[None]:
    """A fake gateway on a bound socket; it listens only after ``delay`` seconds: refused until then."""
    app = Starlette(routes=[Route("/v1/entities", gateway, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))

    def run() -> None:
        time.sleep(delay)
        server.run(sockets=[listener])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def bound() -> tuple[socket.socket, str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_gateway_that_is_not_up_yet_is_waited_for() -> None:
    listener, address = bound()
    with pytest.raises(ServiceError, match="ner deploy") as raised:
        Client(address, retries=0).entities("Oslo")
    assert raised.value.status is None
    with serving_on(listener, delay=0.3), Client(f"{address}/v1/entities", retries=30, max_wait=0.5) as client:
        assert client.entities("Oslo").entities[0].text == "Oslo"


def test_the_examples_of_the_documentation_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (root / "docs" / "api" / "client.md").read_text(encoding="utf-8")
    section = page.split("## From Python")[1].split("\n## ")[0]
    examples = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", section, flags=re.S)
    assert len(examples) == 2
    listener, address = bound()
    with serving_on(listener):
        for code, output in examples:
            exec(code.replace("http://127.0.0.1:8000", address), {})
            assert capsys.readouterr().out == output


OURS = """
multiner multiner.pipeline multiner.pipeline.core multiner.pipeline.core.error_location multiner.pipeline.core.errors
multiner.pipeline.text multiner.pipeline.text.surrogates multiner.serving multiner.serving.answers
multiner.serving.client multiner.serving.client.asynchronous multiner.serving.client.batching
multiner.serving.client.blocking multiner.serving.client.connection multiner.serving.client.parallel_results
multiner.serving.client.protocol multiner.serving.client.results
"""


def test_the_client_loads_these_modules_and_no_more() -> None:
    code = """
import json, sys
import httpx
before = set(sys.modules)
from multiner import AsyncClient, Client, Result, ServiceError
new = {name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names}
print(json.dumps(sorted(new)))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = [name for name in json.loads(process.stdout) if name.partition(".")[0] != "httpx_retries"]
    assert modules == sorted(OURS.split())
