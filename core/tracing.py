"""Traces: which request led to which transaction and which message. Nothing at all while they are switched off.

OpenTelemetry is imported by `begin` alone. A span's facts are those of `_FACTS`, so no token, address, name or id of a
chat can be one. A request's trace has the request's id in another form: whoever delivers what it caused, perhaps in
another process and an hour later, goes on with the same trace.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from core import errors

if TYPE_CHECKING:
    from core import watching

_FACTS = frozenset(
    {"delivery", "kind", "event", "platform", "route", "method", "status", "state", "signal", "source", "exchange"}
)
_LONGEST = 80
_Ids = tuple[int, int]
_wanted: ContextVar[_Ids | None] = ContextVar("_wanted", default=None)
_NOTHING = nullcontext()
_tracer: Any = None
_provider: Any = None


def on() -> bool:
    """Whether traces are sent."""
    return _tracer is not None


def span(
    name: str, request: str | None = None, *, begins: bool = False, inner: bool = False, **facts: object
) -> AbstractAsyncContextManager[Any]:
    """A context whose time is a span of this name; an `inner` one only within another.

    With `request` it belongs to the trace of that request, which a span that `begins` it opens.
    """
    if _tracer is None or (inner and not _within()):
        return _NOTHING
    return _Span(name, request, begins, facts)


def begin(conf: watching.Watching, role: str) -> None:
    """Spans go to the collector that the settings name, in batches, from a thread; raises ConfigError."""
    global _tracer, _provider  # noqa: PLW0603 - one for each process, as OpenTelemetry has it
    if not conf.otel_exporter_otlp_endpoint or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise errors.ConfigError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: run pip install 'signalstack[observe]', or leave it empty."
        ) from None
    exporter = OTLPSpanExporter(
        endpoint=f"{conf.otel_exporter_otlp_endpoint}/v1/traces",
        headers=_headers(conf.otel_exporter_otlp_headers.get_secret_value()),
        timeout=5,
    )
    named = Resource({"service.name": "signalstack", "service.role": role})
    # The SDK must not end with the interpreter: `end` does, when the last span has been told.
    _provider = TracerProvider(resource=named, id_generator=_generator(), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("signalstack")


def end() -> None:
    """What was not sent yet has been, or could not be within some seconds; traces are off."""
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is not None:
        provider.shutdown()


class _Span(AbstractAsyncContextManager[Any]):
    def __init__(self, name: str, request: str | None, begins: bool, facts: dict[str, object]) -> None:
        ids = _ids(request) if request else None
        self._name, self._ids, self._begins = name, ids, begins
        self._facts = {key: str(facts[key])[:_LONGEST] for key in facts.keys() & _FACTS if facts[key] is not None}
        self._open: Any = None

    async def __aenter__(self) -> Self:
        token = _wanted.set(self._ids if self._begins else None)
        try:
            context = _parent(self._ids) if self._ids and not self._begins else None
            self._open = _tracer.start_as_current_span(
                self._name, context=context, attributes=self._facts, record_exception=False
            )
            self._open.__enter__()
        finally:
            _wanted.reset(token)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # The kind of an error is told, its words are not: they may name people.
        self._open.__exit__(None, None, None) if error is None else self._failed(type(error).__name__)

    def _failed(self, kind: str) -> None:
        from opentelemetry import trace  # noqa: PLC0415

        current = trace.get_current_span()
        current.set_attribute("error.type", kind)
        current.set_status(trace.StatusCode.ERROR)
        self._open.__exit__(None, None, None)


def _within() -> bool:
    from opentelemetry import trace  # noqa: PLC0415

    return bool(trace.get_current_span().is_recording())


def _ids(request: str) -> _Ids:
    """The trace and the first span of a request."""
    digest = hashlib.sha256(request.encode()).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


def _parent(ids: _Ids) -> Any:
    from opentelemetry import trace  # noqa: PLC0415

    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    before = trace.SpanContext(*ids, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(before))


def _generator() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

    class Generator(RandomIdGenerator):  # type: ignore[misc, unused-ignore]  # without the extra nobody knows its base
        def generate_trace_id(self) -> int:
            ids = _wanted.get()
            return ids[0] if ids else int(super().generate_trace_id())

        def generate_span_id(self) -> int:
            ids = _wanted.get()
            return ids[1] if ids else int(super().generate_span_id())

    return Generator()


def _headers(given: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in given.split(",") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
