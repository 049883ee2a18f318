"""Figures for Prometheus: requests of this process, and the ledgers' and parts' state as the database knows it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import prometheus_client
from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import health, models
from core.delivery import outbox

Figure = CounterMetricFamily | GaugeMetricFamily
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The figures of one site, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "signalstack_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = prometheus_client.Histogram(
            "signalstack_http_request_seconds",
            "Time to the answer",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def answered(self, request: web.Request, status: int, seconds: float) -> None:
        """The request counts as answered; routes are named by their pattern, so tokens never become labels."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unknown"
        self._requests.labels(request.method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, figures: Iterable[Figure]) -> bytes:
        """All figures in Prometheus' text form."""
        once = prometheus_client.CollectorRegistry()
        once.register(_Given(figures))
        return prometheus_client.generate_latest(self.registry) + prometheus_client.generate_latest(once)


class _Given(prometheus_client.registry.Collector):
    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = list(figures)

    def collect(self) -> Iterable[Figure]:
        return self._figures


async def gather(session: AsyncSession, *, now: datetime) -> list[Figure]:
    """The state of inbox, outbox, parts, strategies and alarms at this moment."""
    report = await health.report(session, now=now)
    return [
        _gauge("signalstack_inbox_items", "Inbox items", ["source", "state"], await _inbox(session)),
        _gauge("signalstack_deliveries", "Deliveries", ["platform", "kind", "state"], await outbox.counts(session)),
        _gauge(
            "signalstack_deliveries_ambiguous",
            "Deliveries that may or may not have arrived",
            [],
            {(): await outbox.ambiguous(session)},
        ),
        _gauge(
            "signalstack_heartbeat_age_seconds",
            "Age of the last progress",
            ["part"],
            {(p.name,): p.age for p in report.parts},
        ),
        _gauge(
            "signalstack_heartbeat_limit_seconds",
            "Age at which a part counts as dead",
            ["part"],
            {(p.name,): p.limit for p in report.parts},
        ),
        _gauge("signalstack_alarms_open", "Alarms an operator must look at", [], {(): len(report.alarms)}),
        await _failures(session),
    ]


async def _inbox(session: AsyncSession) -> dict[tuple[str, ...], int]:
    inbox = models.Inbox
    rows = await session.execute(select(inbox.source, inbox.state, func.count()).group_by(inbox.source, inbox.state))
    return {(source, state): number for source, state, number in rows}


async def _failures(session: AsyncSession) -> CounterMetricFamily:
    """How often the strategy of each watch failed at a candle, ever."""
    mark = models.ScanMark
    family = CounterMetricFamily("signalstack_strategy_failures", "Candles a strategy failed at", labels=["watch"])
    for watch, failures in await session.execute(select(mark.watch, mark.failures).order_by(mark.watch)):
        family.add_metric([watch], failures)
    return family


def _gauge(name: str, says: str, labels: list[str], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, says, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), value)
    return family
