"""Traces: off by default; switched on, one trace leads from the caller through the queue to the model's server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from multiner.pipeline.core.errors import NerError
from multiner.serving import tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
SECRET = "Geheimrat"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.start(SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_of(span: ReadableSpan) -> str | None:
    return format(span.parent.span_id, "016x") if span.parent else None


def id_of(span: ReadableSpan) -> str:
    return format(span.context.span_id, "016x")


def posted_headers(backend: Any) -> list[dict[str, str]]:
    """The headers of the calls to a model's server, from now on."""
    client, headers = backend._client, []
    post = client.post

    async def noted(*args: Any, **options: Any) -> Any:
        headers.append(dict(options["headers"]))
        return await post(*args, **options)

    client.post = noted
    return headers


def ask(harness: Any, body: dict[str, Any], **headers: str) -> tuple[int, list[dict[str, str]]]:
    """The status of an answer, and the headers of the calls to the English model."""

    async def main() -> tuple[int, list[dict[str, str]]]:
        gateway = harness()
        async with gateway.client() as client:
            posted = posted_headers(gateway.backend("en"))
            response = await client.post("/v1/entities", json=body, headers=headers)
            return response.status_code, posted

    return asyncio.run(main())


def test_a_trace_leads_from_the_caller_to_the_model(harness: Any, exporter: InMemorySpanExporter) -> None:
    status, (headers,) = ask(
        harness, {"text": f"Anna met {SECRET}", "language": "en"}, traceparent=PARENT, **{"x-request-id": "night-1"}
    )
    assert status == 200
    spans = {name: span for name, span in by_name(exporter).items() if format(span.context.trace_id, "032x") == TRACE}
    request, queue, batch, model = (spans[name] for name in ("POST /v1/entities", "queue", "batch", "model"))
    assert parent_of(request) == "b7ad6b7169203331"
    assert parent_of(queue) == parent_of(batch) == id_of(request)
    assert parent_of(model) == id_of(batch)
    assert headers["traceparent"] == f"00-{TRACE}-{id_of(model)}-01"
    assert (request.kind, model.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["ner.request_id"] == "night-1"
    assert (model.attributes["model"], model.attributes["version"]) == ("ner-en", "1")
    assert (batch.attributes["texts"], batch.attributes["requests"]) == (1, 1)
    assert request.resource.attributes["service.name"] == tracing.SERVICE
    assert request.start_time <= queue.start_time <= queue.end_time <= model.start_time <= model.end_time


def test_requests_that_share_a_call_are_linked_with_it(harness: Any, exporter: InMemorySpanExporter) -> None:
    async def main() -> None:
        gateway = harness(concurrency=1)
        async with gateway.client() as client:
            backend = gateway.backend("en")

            def post(text: str) -> asyncio.Task[Any]:
                return asyncio.create_task(client.post("/v1/entities", json={"text": text, "language": "en"}))

            first = post("WAIT")
            while not backend.seen:
                await asyncio.sleep(0)
            others = [post("Anna"), post("Bo")]
            while gateway.service.routes["en"].queue.waiting < 2:
                await asyncio.sleep(0)
            backend.held = False
            await asyncio.gather(first, *others)

    asyncio.run(main())
    spans = exporter.get_finished_spans()
    (shared,) = [span for span in spans if span.name == "batch" and span.attributes["requests"] == 2]
    requests = {id_of(span) for span in spans if span.name == "POST /v1/entities"}
    linked = {format(link.context.span_id, "016x") for link in shared.links}
    assert len(linked) == 2
    assert linked < requests


def test_no_text_is_in_a_span(harness: Any, exporter: InMemorySpanExporter) -> None:
    assert ask(harness, {"text": ["CRASH", SECRET], "language": "en"})[0] == 502
    assert ask(harness, {"text": SECRET, "language": "xx"})[0] == 422
    spans = exporter.get_finished_spans()
    failed = by_name(exporter)["batch"]
    assert failed.status.status_code == StatusCode.ERROR
    assert failed.attributes["error.type"] == "ModelFailed"
    assert {"POST /v1/entities", "model"} <= {span.name for span in spans}
    assert SECRET not in "".join(span.to_json() for span in spans)
    assert all(not span.events for span in spans)


def test_a_path_that_callers_invent_names_no_span(harness: Any, exporter: InMemorySpanExporter) -> None:
    async def main() -> None:
        async with harness().client() as client:
            await client.get(f"/{SECRET}")

    asyncio.run(main())
    assert "GET other" in by_name(exporter)


def test_without_traces_nothing_is_added(harness: Any) -> None:
    status, (headers,) = ask(harness, {"text": "Anna", "language": "en"}, traceparent=PARENT)
    assert status == 200
    assert "traceparent" not in headers
    assert tracing.span("queue") is tracing.span("batch", texts=3)
    given = {"content-type": "application/json"}
    assert tracing.with_context(given) is given
    assert tracing.link() is None


def test_without_traces_opentelemetry_is_not_imported() -> None:
    code = (
        "import sys\nfrom multiner.serving import tracing\nfrom multiner.serving.routing import queue\n"
        "tracing.start_if_wanted()\nwith tracing.span('queue'): pass\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], env={"PATH": "/bin"}, check=False).returncode == 0


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "gateway"}, False),
    ],
)
def test_the_variables_of_opentelemetry_switch_it_on(environment: dict[str, str], on: bool) -> None:
    assert tracing.wanted(environment) is on


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_exporter_of_the_environment(protocol: str) -> None:
    exporter = tracing._exporter({"OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    assert type(exporter).__module__.split(".")[4] == protocol.partition("/")[0]
    exporter.shutdown()


@pytest.mark.parametrize(
    "environment", [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}]
)
def test_an_exporter_that_is_not_known_stops_the_gateway(environment: dict[str, str]) -> None:
    with pytest.raises(NerError, match="no exporter of traces") as raised:
        tracing._exporter(environment)
    assert raised.value.where == "OTEL_TRACES_EXPORTER"


def test_an_exporter_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(NerError, match="is not installed"):
        tracing._exporter({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
