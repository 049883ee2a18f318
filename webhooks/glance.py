"""One look at everything that the status page shows, shared by all who look.

However many ask, the database is asked once a second at most, and rests twenty times as long as its answer took, but
never longer than an open page waits for what the bell told of: one slow answer must not keep everybody from the news.
"""

import asyncio
import hashlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import clock, health, models, uptime
from core.billing import plans
from core.delivery import arrivals
from core.signals import results, tally, watched
from webhooks import bars, billing, incidents, site, words

_FRESH, _REST = 1.0, 20
_SLOW = 10.0  # seconds for which what changes slowly is not asked again
_RESULTS, _SIGNALS = 8, 8
LONGEST_REST = 4.0
"""Seconds; whoever was woken by the bell looks again for longer than this."""
_PARTS = {
    "scheduler.scan": "Candles and strategies",
    "telegram.poller": "Updates",
    "telegram.webhook": "Updates",
    "telegram.inbox": "Commands",
    "telegram.answers": "Answers",
    "telegram.delivery": "Signals and notices",
    "telegram.places": "Members' places",
    "discord.gateway": "Updates",
    "discord.inbox": "Commands",
    "discord.answers": "Answers",
    "discord.delivery": "Signals and notices",
    "discord.places": "Members' places",
    "webhooks.site": "These pages",
    "webhooks.hooks": "Webhooks",
    "webhooks.stream": "Streams",
    "webhooks.inbox": "Payment events",
    "webhooks.questions": "Payment questions",
    "webhooks.sweep": "Payment checks",
    "webhooks.reconcile": "Payments compared",
}


@dataclass(frozen=True)
class Glance:
    """What a page is drawn from, as of `at`.

    `texts` and `tones` are what changes without a new page, by name; `shape` names everything else. `busy` is true
    while openings of the last signals are still on their way.
    """

    at: datetime
    facts: Mapping[str, Any]
    texts: Mapping[str, str]
    tones: Mapping[str, str]
    shape: str
    busy: bool
    pages: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> bytes:
        """The same for a page that is open, as JSON."""
        return orjson.dumps({"shape": self.shape, "texts": self.texts, "tones": self.tones})


def rest(took: float) -> float:
    """Seconds for which the database is left alone after an answer that took so many seconds."""
    return min(max(_FRESH, took * _REST), LONGEST_REST)


class _Slow(NamedTuple):
    until: float
    days: Sequence[models.Uptime]
    event: datetime | None
    took: Sequence[float]


class Glances:
    """The last glance, renewed when somebody asks and it is no longer fresh."""

    def __init__(self) -> None:
        self._glance: Glance | None = None
        self._until = 0.0
        self._slow: _Slow | None = None
        self._known: Sequence[arrivals.Arrivals] = ()
        self._looking = asyncio.Lock()

    async def now(self, here: site.Site) -> Glance:
        """Everything as it is, or was a moment ago."""
        async with self._looking:
            began = asyncio.get_running_loop().time()
            if self._glance is None or began >= self._until:
                self._glance = await self._look(here, began)
                took = asyncio.get_running_loop().time() - began
                self._until = began + took + rest(took)
            return self._glance

    async def _look(self, here: site.Site, at: float) -> Glance:
        async with here.stack.db.reading() as session:
            report = await health.report(session, now=here.now)
            last = await arrivals.last(session, limit=_SIGNALS, known=self._known)
            if self._slow is None or at >= self._slow.until:
                self._slow = await _slowly(session, here, last, at)
            self._known = last
            return await _glance(session, here, report, self._slow, last)


KEY = web.AppKey("glances", Glances)


async def _slowly(session: AsyncSession, here: site.Site, last: Sequence[arrivals.Arrivals], at: float) -> _Slow:
    event = None
    if here.providers:
        inbox = models.Inbox
        names = [provider.inbox for provider in here.providers]
        told = select(func.max(inbox.received_at)).where(inbox.source.in_(names))
        event = await session.scalar(told)
    took = await arrivals.seconds(session, [one.signal_id for one in last])
    return _Slow(at + _SLOW, await uptime.days(session, now=here.now), event, took)


async def _glance(
    session: AsyncSession, here: site.Site, report: health.Report, slow: _Slow, last: Sequence[arrivals.Arrivals]
) -> Glance:
    now, book = here.now, here.stack.catalogue
    symbols = {watch.symbol for watch in book.watches}
    known = await health.incidents(session, since=now - timedelta(days=uptime.DAYS))
    counted = await tally.count(session)
    facts = {
        "groups": _groups(report, slow.days, now),
        "incidents": incidents.told(known, symbols),
        "alarms": len(report.alarms),
        "counted": counted,
        "results": await _results(session),
        "offers": [offered(offer) for offer in await plans.offers(session, book)],
        "selling": bool(here.providers),
        "markets": sorted(symbols),
        "watched": await watched.markets(session, book, now=now),
        "last": last,
        "bot": await billing.bot_name(session),
    }
    moments = {
        "scan": next((part.at for part in report.parts if part.name == "scheduler.scan"), None),
        "send": await arrivals.newest(session),
        "event": slow.event,
    }
    texts, tones = _moving(report, facts, now)
    texts |= _latency(slow.took) | {name: words.ago(_age(at, now)) if at else "not yet" for name, at in moments.items()}
    return Glance(now, facts, texts, tones, _shape(report, facts), any(one.counts.get("waiting") for one in last))


def offered(offer: plans.Offer) -> tuple[plans.Offer, str, str]:
    """The offer with its price and the time that this pays for, in words; empty where it has no price now."""
    return (offer, plans.amount(offer.price), plans.period(offer.price)) if offer.price else (offer, "", "")


def _age(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())


class _Group(NamedTuple):
    name: str
    parts: Sequence[tuple[str, str]]
    history: bars.History


def _groups(report: health.Report, days: Sequence[models.Uptime], now: datetime) -> Sequence[_Group]:
    """The parts of the service in the order of their names' table, with what they consist of."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name, _ in bars.GROUPS}
    for part in _parts(report):
        found.setdefault(bars.group(part.name), []).append((part.name, _spelt(part.name)))
    histories = bars.histories(days, found, now=now)
    return [_Group(name, parts, histories[name]) for name, parts in found.items() if parts]


def _spelt(part: str) -> str:
    """What the part is called on the page; what is done for one more payment provider bears its name."""
    work, _, provider = part.rpartition(".")
    if part not in _PARTS and work in _PARTS:
        return f"{_PARTS[work]} ({provider.capitalize()})"
    return _PARTS.get(part) or part.replace(".", " ").replace("_", " ").capitalize()


def _parts(report: health.Report) -> Iterable[health.Part]:
    """What is alive; `telegram.bot` is not a part but the place of the bot's name."""
    return (part for part in report.parts if not part.name.endswith(".bot"))


async def _results(session: AsyncSession) -> Sequence[Mapping[str, Any]]:
    """The latest closed signals, gains and losses alike."""
    signal = models.Signal
    closed = (signal.status != models.SignalStatus.OPEN, signal.close_price.is_not(None))
    rows = await session.scalars(
        select(signal).where(*closed).order_by(signal.closed_at.desc(), signal.id.desc()).limit(_RESULTS)
    )
    return [
        {
            "symbol": row.symbol,
            "timeframe": row.timeframe,
            "direction": row.direction,
            "outcome": str(row.status),
            "percent": results.percent(row),
            "r": results.r(row),
            "closed": row.closed_at or clock.from_ms(0),
            "late": row.late,
        }
        for row in rows
    ]


def _moving(report: health.Report, facts: Mapping[str, Any], now: datetime) -> tuple[dict[str, str], dict[str, str]]:
    """What changes from one moment to the next: texts, and the tones good, wait and bad, each by its name."""
    texts = {"at": f"{words.day(now)}, {now:%H:%M:%S} UTC"}
    texts["state"], state = _state(report, facts["incidents"])
    tones = {"state": state}
    well = {part.name: part.ok for part in _parts(report)}
    for part in _parts(report):
        texts[f"part.{part.name}"] = words.ago(part.age) if part.ok else f"silent for {words.span(part.age)}"
        tones[f"part.{part.name}"] = "good" if part.ok else "bad"
    for group in facts["groups"]:
        key, alive = f"group.{group.name}", [well[name] for name, _ in group.parts]
        texts[key] = "working" if all(alive) else "partly silent" if any(alive) else "silent"
        tones[key] = "good" if all(alive) else "bad"
    for one in facts["watched"]:
        name = f"watch.{' '.join(one.key)}"
        texts[name] = "not yet" if one.age is None else words.ago(one.age)
        tones[name] = "wait" if one.late or one.age is None else "good"
    for sent in facts["last"]:
        counts = [f"{count:,} {word}" for word, count in sent.counts.items()]
        texts[f"sent.{sent.signal_id}"] = ", ".join(counts) or ("too late, so not sent" if sent.late else "no readers")
    return texts, tones


def _state(report: health.Report, told: Sequence[incidents.Told]) -> tuple[str, str]:
    if not report.parts:
        return "Starting up", "wait"
    if not report.ok:
        return "Something is not working; see below", "bad"
    if any(one.until is None for one in told):
        return "Working, with a limitation; see below", "wait"
    return "Everything is working", "good"


def _latency(took: Sequence[float]) -> dict[str, str]:
    """The median and the 95th percentile (the nearest rank) of delivery times; dashes where there are none."""
    if not took:
        return {"median": "–", "p95": "–", "of": "no deliveries yet"}
    ninety_fifth = took[-(-len(took) * 95 // 100) - 1]
    of = f"of the last {len(took):,} deliveries" if len(took) > 1 else "of one delivery"
    return {"median": _brief(statistics.median(took)), "p95": _brief(ninety_fifth), "of": of}


def _brief(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else words.span(seconds)


def _shape(report: health.Report, facts: Mapping[str, Any]) -> str:
    """A name for what only a new page can show: lists that grew, incidents that began or ended."""
    counted: tally.Tally = facts["counted"]
    shown = (
        sorted(part.name for part in _parts(report)),
        [(one.words, str(one.since), str(one.until)) for one in facts["incidents"]],
        [(one.signal_id, one.open) for one in facts["last"]],
        (counted.closed, counted.running, facts["alarms"], facts["bot"]),
        [(offer.plan.key, price) for offer, price, _ in facts["offers"]],
        [one.key for one in facts["watched"]],
    )
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
