"""Traces and reported faults: nothing at all while they are off, and nothing about people while they are on."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from core import errors, log, reporting, tracing, watching
from tests.bot.conftest import open_stage, stage  # noqa: F401 - fixtures
from tests.bot.stage import Stage
from tests.ops import receivers
from tests.webhooks.conftest import Worlds, worlds  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
TOKEN = "1234567890:AAcanary_0123456789abcdef"


@pytest.fixture
def http() -> Iterator[receivers.Http]:
    with receivers.http() as got:
        yield got


@pytest.fixture
def traces(http: receivers.Http) -> Iterator[receivers.Http]:
    """Traces go to this receiver until the test ends."""
    pytest.importorskip("opentelemetry.sdk", reason="the extra 'observe' is not installed")
    headers = "api-key=canary-key-0123456789"
    conf = watching.Watching(otel_exporter_otlp_endpoint=http.url, otel_exporter_otlp_headers=headers)
    tracing.begin(conf, "webhooks")
    yield http
    tracing.end()


def spans(got: receivers.Http) -> list[Any]:
    """Every span that was received, after all were sent."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as wire

    tracing.end()
    told = [wire.ExportTraceServiceRequest.FromString(body) for body in got.bodies]
    return [span for one in told for part in one.resource_spans for scope in part.scope_spans for span in scope.spans]


def facts(span: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


async def test_off_a_span_is_nothing() -> None:
    assert not tracing.on()
    assert tracing.span("a") is tracing.span("b", request="r", begins=True, route="/")
    async with tracing.span("a"):
        pass


def test_off_nothing_of_it_is_imported_by_any_role() -> None:
    code = (
        "import sys, core.scheduler, bot.runner, webhooks.server\nfrom core import reporting, tracing, watching\n"
        "conf = watching.Watching()\nfor one in (tracing, reporting):\n    one.begin(conf, 'x')\n    one.end()\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'sentry_sdk')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip().endswith("[]")


async def test_a_request_its_transactions_and_its_deliveries_are_one_trace(traces: receivers.Http) -> None:
    async with (
        tracing.span("request", "req-1", begins=True, route="/checkout/{token}", method="POST"),
        tracing.span("transaction", inner=True),
    ):
        pass
    async with tracing.span("delivery", "req-1", delivery=7):  # in another process, an hour later
        pass
    async with tracing.span("transaction", inner=True):  # of nobody
        pass
    request, transaction, delivery = sorted(spans(traces), key=lambda one: ["r", "t", "d"].index(one.name[0]))
    assert len({one.trace_id for one in (request, transaction, delivery)}) == 1
    assert transaction.parent_span_id == delivery.parent_span_id == request.span_id
    assert request.parent_span_id == b""
    assert facts(request) == {"route": "/checkout/{token}", "method": "POST"}
    assert facts(delivery) == {"delivery": "7"}
    assert traces.paths == ["/v1/traces"]
    assert traces.headers[0]["api-key"] == "canary-key-0123456789"


async def test_two_requests_are_two_traces(traces: receivers.Http) -> None:
    for name in ("req-1", "req-2", None, None):
        async with tracing.span("request", name, begins=True):
            pass
    assert len({span.trace_id for span in spans(traces)}) == 4


async def test_a_fault_is_told_by_its_kind_and_not_in_its_words(traces: receivers.Http) -> None:
    with pytest.raises(ValueError, match="Anna"):
        async with tracing.span("request", "req-1", begins=True, chat="123456789", route="/"):
            raise ValueError("Anna 123456789 did not pay")
    (span,) = spans(traces)
    assert facts(span) == {"route": "/", "error.type": "ValueError"}
    assert (span.status.code, len(span.events)) == (2, 0)
    assert not any(b"Anna" in body or b"123456789" in body for body in traces.bodies)


async def test_the_site_traces_requests_by_their_pattern(traces: receivers.Http, worlds: Worlds) -> None:  # noqa: F811
    world = await worlds()
    anna = await world.member()
    await world.subscribe(anna)
    found = spans(traces)
    routes = {facts(span)["route"] for span in found if span.name == "request"}
    assert {"/checkout/{token}", "/webhooks/stripe"} <= routes
    events = {span.span_id: span.trace_id for span in found if span.name == "provider event"}
    applied = [span for span in found if span.name == "transaction" and span.parent_span_id in events]
    assert applied
    assert all(span.trace_id == events[span.parent_span_id] for span in applied)
    secrets = (str(world.stack.settings.stripe_api_key.get_secret_value()), "Anna", "/checkout/ey")
    assert not any(word.encode() in body for word in secrets for body in traces.bodies)


async def test_a_delivery_belongs_to_the_trace_of_its_request(traces: receivers.Http, stage: Stage) -> None:  # noqa: F811
    (chat,) = await stage.join(1)
    with log.caused_by("req-9"):
        await stage.reply(chat)
    (row,) = await stage.delivered(urgent=True)
    assert (row.request, row.state) == ("req-9", "sent")
    async with tracing.span("request", "req-9", begins=True):
        pass
    found = spans(traces)
    (delivery,) = (span for span in found if span.name == "delivery")
    (request,) = (span for span in found if span.name == "request")
    assert (delivery.trace_id, delivery.parent_span_id) == (request.trace_id, request.span_id)


@pytest.fixture
def sentry(http: receivers.Http) -> Iterator[receivers.Http]:
    """Errors are reported to this receiver until the test ends."""
    pytest.importorskip("sentry_sdk", reason="the extra 'observe' is not installed")
    log.setup("info", "json")
    reporting.begin(watching.Watching(sentry_dsn=http.url.replace("http://", "http://canary@") + "/7"), "bot")
    yield http
    reporting.end()
    logging.getLogger().handlers.clear()
    structlog.reset_defaults()


def reported(got: receivers.Http) -> list[dict[str, Any]]:
    """Every event that was received, after all were sent."""
    reporting.end()
    return [json.loads(body.split(b"\n")[2]) for body in got.bodies]


def test_an_error_is_reported_with_its_place_and_without_secrets_or_people(sentry: receivers.Http) -> None:
    log.keep_out("the-own-secret")

    def broken(chat: int) -> None:
        raise RuntimeError(f"chat {chat} with {TOKEN} and the-own-secret")

    try:
        broken(987654321)
    except RuntimeError as error:
        structlog.get_logger().error(
            "delivery_failed", platform="telegram", chat="987654321", text="Anna", exc_info=error
        )
    structlog.get_logger().warning("delivery_settled", state="dead")
    (event,) = reported(sentry)
    (fault,) = event["exception"]["values"]
    assert fault["type"] == "RuntimeError"
    assert fault["value"].startswith("chat #")
    assert fault["stacktrace"]["frames"][-1]["function"] == "broken"
    assert event["logentry"]["message"] == "delivery_failed"
    assert event["extra"] == {"platform": "telegram"}
    assert event["tags"]["role"] == "bot"
    whole = sentry.bodies[0].decode()
    for word in ("987654321", TOKEN, "the-own-secret", "Anna", '"vars"', "breadcrumbs", "server_name"):
        assert word not in whole, word
    assert sentry.paths == ["/api/7/envelope/"]


def test_an_error_without_an_exception_is_reported_too(sentry: receivers.Http) -> None:
    structlog.get_logger().error("market_exchange_stopped", exchange="binance", seconds=120)
    (event,) = reported(sentry)
    assert (event["logentry"]["message"], event["extra"]) == ("market_exchange_stopped", {"exchange": "binance"})
    assert "exception" not in event


def test_a_faulty_address_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentry_sdk", reason="the extra 'observe' is not installed")
    with pytest.raises(errors.ConfigError, match="SENTRY_DSN"):
        reporting.begin(watching.Watching(sentry_dsn="http://example.org"), "bot")
    for name, setting in (("sentry_sdk", "SENTRY_DSN"), ("opentelemetry", "OTEL_EXPORTER_OTLP_ENDPOINT")):
        monkeypatch.setattr("importlib.util.find_spec", lambda asked, gone=name: None if asked == gone else object())
        found = watching.Watching(sentry_dsn="http://k@x/1", otel_exporter_otlp_endpoint="http://x").unready()
        assert len(found) == 1
        assert found[0].startswith(setting)
        assert "pip install 'signalstack[observe]'" in found[0]
