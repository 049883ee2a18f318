"""What the database knows, as families of figures: parts, scans, ledgers, record, jobs, rounds, alerts.

Units stand in the names. A family without samples is there all the same, so that no rule is about nothing.
"""

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import clock, figures, health, hooks, models, settings
from core.billing import revenue
from core.delivery import outbox
from core.market import timeframes
from core.models import Alert, Delivery, Signal, SignalStatus, State
from core.signals import record

Figure = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


@dataclass(frozen=True, slots=True)
class Look:
    """When somebody looks, and the keys of the watches that there are now."""

    now: datetime
    watched: frozenset[str]


Family = Callable[[AsyncSession, Look], Awaitable[Sequence[Figure]]]
# What has not happened yet is nought and not missing: a rule sees the first of it only then.
_DELIVERIES = dict.fromkeys(itertools.product(settings.PLATFORMS, (*outbox.LIFE, "opening"), map(str, State)), 0)
_ITEMS = dict.fromkeys(itertools.product((*settings.PLATFORMS, "stripe"), ("pending", "claimed", "done", "dead")), 0)
_JOBS = dict.fromkeys(itertools.product(("pending", "running", "done", "failed")), 0)
_HOOKS = dict.fromkeys(itertools.product(("active", "paused", "disabled")), 0)
_SIGNALS = 20  # the newest ones, whose openings tell how long deliveries take


async def _parts(session: AsyncSession, look: Look) -> Sequence[Figure]:
    report = await health.report(session, now=look.now)
    ages = {(part.name,): part.age for part in report.parts}
    limits = {(part.name,): part.limit for part in report.parts}
    return [
        _gauge("signalstack_heartbeat_age_seconds", "Age of the last progress", ["part"], ages),
        _gauge("signalstack_heartbeat_limit_seconds", "Age at which a part counts as dead", ["part"], limits),
        _gauge("signalstack_alarms_open", "Alarms an operator must look at", [], {(): len(report.alarms)}),
    ]


async def _ledgers(session: AsyncSession, look: Look) -> Sequence[Figure]:
    inbox, states = models.Inbox, _DELIVERIES | await outbox.counts(session)
    counted = select(inbox.source, inbox.state, func.count()).group_by(inbox.source, inbox.state)
    items = _ITEMS | {(source, state): number for source, state, number in await session.execute(counted)}
    waiting = select(inbox.source, func.min(inbox.received_at)).where(inbox.state.in_(("pending", "claimed")))
    asked = {(source,): _age(at, look.now) for source, at in await session.execute(waiting.group_by(inbox.source))}
    waits = {(source,): asked.get((source,), 0.0) for source, _ in items}
    unsure = await outbox.ambiguous(session)
    return [
        _gauge("signalstack_inbox_items", "Events of providers and chats", ["source", "state"], items),
        _gauge("signalstack_inbox_age_seconds", "Age of the oldest event not worked off", ["source"], waits),
        _gauge("signalstack_deliveries", "Deliveries", ["platform", "kind", "state"], states),
        _gauge("signalstack_deliveries_ambiguous", "Deliveries that may or may not have arrived", [], {(): unsure}),
    ]


async def _queues(session: AsyncSession, look: Look) -> Sequence[Figure]:
    """How long the oldest message that may leave has waited, on each platform."""
    due = select(Delivery.platform, func.min(Delivery.not_before)).where(
        Delivery.state == State.PENDING, Delivery.after_id.is_(None), Delivery.not_before <= look.now
    )
    found = {(name,): 0.0 for name in settings.PLATFORMS}
    found |= {(name,): _age(at, look.now) for name, at in await session.execute(due.group_by(Delivery.platform))}
    return [_gauge("signalstack_queue_age_seconds", "Age of the oldest message that is due", ["platform"], found)]


async def _latency(session: AsyncSession, _: Look) -> Sequence[Figure]:
    """From the decision to the platform's answer, over the openings of the newest signals that arrived."""
    newest = (await session.scalars(select(Signal.id).order_by(Signal.id.desc()).limit(_SIGNALS))).all()
    arrived = (Delivery.event == "opened", Delivery.state == State.SENT, Delivery.settled_at.is_not(None))
    rows = select(Delivery.platform, Delivery.created_at, Delivery.settled_at)
    spans: dict[str, list[float]] = {}
    for platform, begun, ended in await session.execute(rows.where(Delivery.signal_id.in_(newest), *arrived)):
        spans.setdefault(platform, []).append(_age(begun, ended))
    found = {
        (platform, name): sorted(known)[min(len(known) - 1, int(share * len(known)))]
        for platform, known in spans.items()
        for name, share in (("0.5", 0.5), ("0.95", 0.95))
    }
    says = "Time from a signal to its arrival, newest signals"
    return [_gauge("signalstack_opening_latency_seconds", says, ["platform", "quantile"], found)]


async def _watches(session: AsyncSession, look: Look) -> Sequence[Figure]:
    mark = models.ScanMark
    failures = CounterMetricFamily("signalstack_strategy_failures", "Candles a strategy failed at", labels=["watch"])
    ages, lengths = {}, {}
    rows = await session.execute(select(mark.watch, mark.candle, mark.failures).order_by(mark.watch))
    for watch, candle, failed in rows:
        failures.add_metric([watch], failed)
        if watch not in look.watched:  # of an earlier catalogue: its candles may grow old
            continue
        length = timeframes.ms(watch.rpartition(" ")[2])
        lengths[(watch,)] = length / 1000
        ages[(watch,)] = max(0.0, (clock.to_ms(look.now) - candle - length) / 1000)
    return [
        failures,
        _gauge("signalstack_candle_age_seconds", "Since the last judged candle closed", ["watch"], ages),
        _gauge("signalstack_candle_length_seconds", "Length of the candles", ["watch"], lengths),
    ]


async def _signals(session: AsyncSession, _: Look) -> Sequence[Figure]:
    open_ones = select(func.count()).where(Signal.status == SignalStatus.OPEN)
    entries = CounterMetricFamily("signalstack_record_entries", "Entries of the record", labels=[])
    entries.add_metric([], (await record.head(session)).n)
    number = await session.scalar(open_ones) or 0
    return [entries, _gauge("signalstack_signals_open", "Signals that are open", [], {(): number})]


async def _jobs(session: AsyncSession, look: Look) -> Sequence[Figure]:
    job, hook = models.Backtest, models.Hook
    jobs = await session.execute(select(job.state, func.count()).group_by(job.state))
    found = await session.execute(select(hook.state, func.count()).group_by(hook.state))
    states = _JOBS | {(state,): number for state, number in jobs}
    kinds = _HOOKS | {(state,): number for state, number in found}
    due = {(): _age(since, look.now) if (since := await hooks.due_since(session, now=look.now)) else 0.0}
    return [
        _gauge("signalstack_backtest_jobs", "Backtests that members asked for", ["state"], states),
        _gauge("signalstack_hooks", "Addresses of members' own tools", ["state"], kinds),
        _gauge("signalstack_hook_due_age_seconds", "Age of the oldest message to a member's tool", [], due),
    ]


async def _rounds(session: AsyncSession, look: Look) -> Sequence[Figure]:
    """What the last round through the places of each platform found, held against what is paid."""
    last = select(func.max(models.Round.id)).group_by(models.Round.platform)
    ages, drift = {}, {}
    for row in await session.scalars(select(models.Round).where(models.Round.id.in_(last))):
        ages[(row.platform,)] = _age(row.at, look.now)
        for key in ("let_in", "put_out", "held", "unknown"):
            drift[row.platform, key] = sum(int(place.get(key, 0)) for place in row.facts.values())
    return [
        _gauge("signalstack_round_age_seconds", "Since places were last compared", ["platform"], ages),
        _gauge("signalstack_round_people", "People whom the last round found wrong", ["platform", "found"], drift),
    ]


async def _alerts(session: AsyncSession, _: Look) -> Sequence[Figure]:
    unsent = select(Alert.channel, func.count()).where(Alert.sent_at.is_(None)).group_by(Alert.channel)
    waiting = {(channel,): number for channel, number in await session.execute(unsent)}
    return [_gauge("signalstack_alerts_waiting", "Alerts that nobody has taken yet", ["channel"], waiting)]


async def _business(session: AsyncSession, look: Look) -> Sequence[Figure]:
    taken = await revenue.take(session, now=look.now)
    income = {(currency,): amount for currency, amount in taken.monthly.items() if currency}
    states = {"paid": taken.paid, "trial": taken.trials, "past_due": taken.past_due, "ending": taken.ending}
    counted = {(state,): number for state, number in states.items()}
    return [
        _gauge("signalstack_mrr_minor_units", "Monthly revenue before discounts and taxes", ["currency"], income),
        _gauge("signalstack_subscriptions", "Subscriptions that run", ["state"], counted),
    ]


async def _counted(session: AsyncSession, look: Look) -> Sequence[Figure]:
    """What processes without a page have counted."""
    known = await figures.read(session)
    errors = CounterMetricFamily(
        "signalstack_exchange_errors", "Questions that an exchange did not answer well", labels=["exchange", "kind"]
    )
    for label, bounds in sorted(known.get(figures.EXCHANGE, {}).items()):
        errors.add_metric(label.split(" ", 1), bounds.get("", 0))
    backup = known.get(figures.BACKUP, {}).get("", {}).get("")
    age = {(): max(0.0, look.now.timestamp() - backup)} if backup is not None else {}
    return [
        _histogram("signalstack_scan_seconds", "Time that one look at all markets took", [], known, figures.SCAN),
        _histogram("signalstack_limiter_wait_seconds", "Wait for a turn to send", ["platform"], known, figures.LIMITER),
        errors,
        _gauge("signalstack_backup_age_seconds", "Since the last backup", [], age),
    ]


FAMILIES: tuple[Family, ...] = (
    *(_parts, _ledgers, _queues, _latency, _watches, _signals, _jobs, _rounds),
    *(_alerts, _business, _counted),
)


def _age(begun: datetime, ended: datetime | None) -> float:
    return max(0.0, (ended - begun).total_seconds()) if ended else 0.0


def _gauge(name: str, says: str, labels: list[str], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, says, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), value)
    return family


def _histogram(
    name: str, says: str, labels: list[str], known: Mapping[str, Mapping[str, Mapping[str, float]]], figure: str
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, says, labels=labels)
    for label, counted in sorted(known.get(figure, {}).items()):
        bounds, total = [], 0.0
        for bound in (*map(str, figures.BUCKETS), "+Inf"):
            total += counted.get(bound, 0.0)
            bounds.append((bound, total))
        family.add_metric([label] if labels else [], bounds, counted.get(figures.SUM, 0.0))
    return family
