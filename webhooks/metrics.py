"""Figures for Prometheus: the requests of this process, and everything else as the database knows it of all processes.

docs/operations.md says what each of them means. Labels come from short lists: routes by their pattern, states, parts,
platforms, and the watches of the catalogue.
"""

from collections.abc import Iterable
from datetime import datetime

import prometheus_client
from aiohttp import hdrs, web
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue
from webhooks import gauges

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE})
DROPPED = ("slow", "unread", "flood")
"""Why streams are ended: too slow, the record could not be read, or their client said too much."""
OUTCOMES = (
    *("taken", "refused", "redirected", "gone", "late", "forbidden"),
    *("certificate", "unknown", "unreachable", "broken"),
)
"""What becomes of a message to a tool: its answer, none in time, or why it could not be asked."""
REFUSED = ("address", "full", "idle", "head_late", "head_large", "answer_late", "body_large")
"""Why connections are refused or cut off."""


class Streams:
    """The figures of the streams of one site."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self.open = prometheus_client.Gauge("signalstack_streams_open", "Streams that are open", registry=registry)
        self.events = prometheus_client.Counter(
            "signalstack_stream_events", "Events that were sent over streams", registry=registry
        )
        self.dropped = _counter("signalstack_streams_dropped", "Streams that we ended", "reason", DROPPED, registry)


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

        self.streams = Streams(self.registry)
        self.attempts = _counter(
            "signalstack_hook_attempts", "Messages posted to members' tools", "outcome", OUTCOMES, self.registry
        )
        self.disabled = prometheus_client.Counter(
            "signalstack_hooks_disabled", "Tools that are told nothing any more", registry=self.registry
        )
        self._cut = _counter(
            "signalstack_connections_refused",
            "Connections that were refused or cut off",
            "reason",
            REFUSED,
            self.registry,
        )

    def answered(self, request: web.Request, status: int, seconds: float) -> None:
        """The request counts as answered; nothing that its sender made up becomes a label."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unknown"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def cut(self, why: str) -> None:
        """A connection counts as refused or cut off, because of one of `REFUSED`."""
        self._cut.labels(why).inc()

    def text(self, figures: Iterable[gauges.Figure]) -> bytes:
        """All figures in Prometheus' text form."""
        once = prometheus_client.CollectorRegistry()
        once.register(_Given(figures))
        return prometheus_client.generate_latest(self.registry) + prometheus_client.generate_latest(once)


def _counter(
    name: str, says: str, label: str, words: Iterable[str], registry: prometheus_client.CollectorRegistry
) -> prometheus_client.Counter:
    """A counter of which every word is nought already: a rule sees the first of it only then."""
    made = prometheus_client.Counter(name, says, [label], registry=registry)
    for word in words:
        made.labels(word)
    return made


class _Given(prometheus_client.registry.Collector):
    def __init__(self, figures: Iterable[gauges.Figure]) -> None:
        self._figures = list(figures)

    def collect(self) -> Iterable[gauges.Figure]:
        return self._figures


async def gather(session: AsyncSession, book: catalogue.Catalogue, *, now: datetime) -> list[gauges.Figure]:
    """The state of everything that the database knows, at this moment."""
    look = gauges.Look(now, frozenset(watch.key for watch in book.watches))
    return [figure for family in gauges.FAMILIES for figure in await family(session, look)]
