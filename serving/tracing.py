"""Traces of requests by OpenTelemetry: request, wait in the queue, call to a model's server. Off by default.

The variables of OpenTelemetry's specification switch them on and set them:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
No span has a text, or the message of an error, which may quote one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.errors import NerError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Link, Span, SpanKind, Tracer

SERVICE = "ner-gateway"  # without OTEL_SERVICE_NAME
ADDRESSES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
Headers = Mapping[str, str]
_OFF: AbstractContextManager[None] = nullcontext()
_tracer: Tracer | None = None


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment names an exporter of traces, or an address to export to, and does not switch them off."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    return bool(exporter or any(environment.get(name) for name in ADDRESSES))


def start_if_wanted() -> None:
    """Begin to trace if the environment asks for it.

    Raises:
        NerError: it names an exporter or protocol that is not known, or not installed.
    """
    if wanted(os.environ):
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        start(BatchSpanProcessor(_exporter(os.environ)))


def start(processor: SpanProcessor) -> None:
    """Begin to trace; the processor gets the spans. The provider of other packages' spans, such as MLflow's, stays."""
    global _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
    provider = TracerProvider(resource=Resource.create(name))
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("multiner.serving")


def stop() -> None:
    """Trace no more."""
    global _tracer
    _tracer = None


def _exporter(environment: Mapping[str, str]) -> Any:
    kind = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    protocol = next(filter(None, map(environment.get, PROTOCOLS)), "http/protobuf")
    try:
        if kind == "console":
            from opentelemetry.sdk.trace.export import ConsoleSpanExporter

            return ConsoleSpanExporter()
        if kind == "otlp" and protocol == "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter()
        if kind == "otlp" and protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

            return GrpcExporter()
    except ModuleNotFoundError as error:
        raise NerError(
            f"traces are asked for, and {error.name} is not installed",
            where="OTEL_TRACES_EXPORTER",
            remedy="pip install opentelemetry-exporter-otlp",
        ) from None
    known = "otlp (with the protocol http/protobuf or grpc), console or none"
    raise NerError(f"no exporter of traces: {kind!r} with the protocol {protocol!r}",
                   where="OTEL_TRACES_EXPORTER", remedy=f"Give {known}.")  # fmt: skip


def request_span(method: str, headers: Sequence[tuple[bytes, bytes]]) -> AbstractContextManager[Span | None]:
    """The span of a request, in the trace that its headers name, if they name one."""
    if _tracer is None:
        return _OFF
    from opentelemetry import propagate, trace

    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    attributes = {"http.request.method": method}
    context = propagate.extract(carrier)
    return _within(_tracer.start_span(method, context, trace.SpanKind.SERVER, attributes))


def end_request(span: Span | None, method: str, route: str, status: int, request_id: str) -> None:
    """Name a request's span by the template of its path, and add its status and its id in the log."""
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    span.update_name(f"{method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status, "ner.request_id": request_id})
    if status >= 500:
        span.set_status(StatusCode.ERROR)


def span(name: str, *, client: bool = False, links: Sequence[Link | None] = (), **attributes: Any) -> Any:
    """A span within the current one.

    Args:
        name: of the operation.
        client: whether the operation is a call to another process.
        links: from :func:`link`: other requests that it works for.
        attributes: facts; no texts.
    """
    if _tracer is None:
        return _OFF
    from opentelemetry.trace import SpanKind

    kind: SpanKind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    others = [each for each in links if each is not None]
    return _within(_tracer.start_span(name, kind=kind, attributes=attributes, links=others))


@contextmanager
def _within(span: Span) -> Iterator[Span]:
    """Make a span the current one; an error leaves its type there, not its message."""
    from opentelemetry.trace import StatusCode, use_span

    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__name__)
            raise


def link() -> Link | None:
    """A link to the current span; None where traces are off."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    return trace.Link(trace.get_current_span().get_span_context())


def with_context(headers: Headers) -> Headers:
    """Headers with the current trace in the standard header ``traceparent``; unchanged where traces are off."""
    if _tracer is None:
        return headers
    from opentelemetry import propagate

    carrier = dict(headers)
    propagate.inject(carrier)
    return carrier
