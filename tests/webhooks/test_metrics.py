"""The figures: of every process, in units that their names say, with labels from short lists."""

import itertools
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core import clock, db, figures, health, models, stack, work
from core.models import State
from tests.conftest import StackMaker
from tests.core import people
from tests.webhooks.conftest import World
from webhooks import metrics, server

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
BTC = "mean_reversion binance BTC/USDT 1h"
WORDS = {
    "platform": {"telegram", "discord"},
    "kind": {"reply", "notice", "door", "opening", "update", "unreachable", "banned"},
    "state": {str(state) for state in State}
    | {"done", "running", "failed", "active", "paused", "disabled"}
    | {"paid", "trial", "past_due", "ending"},
    "currency": {"USD"},
    "source": {"telegram", "discord", "stripe"},
    "found": {"let_in", "put_out", "held", "unknown"},
    "quantile": {"0.5", "0.95"},
    "channel": {"hook", "mail"},
    "exchange": {"binance"},
    "outcome": {*metrics.OUTCOMES},
    "reason": {*metrics.DROPPED, *metrics.REFUSED},
    "method": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"},
}


async def samples(world: World) -> Samples:
    async with world.http.get(f"{world.url}/metrics") as answer:
        assert answer.status == 200
        families = text_string_to_metric_families(await answer.text())
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples
        }


def of(found: Samples, name: str, /, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


async def full(world: World) -> None:
    """Something of everything that has a figure."""
    now = world.now
    async with world.stack.db.transaction() as session:
        who = await people.person(session, now)
        for number, seconds in enumerate((1, 2, 3, 40)):
            signal = await people.signal(session, now - timedelta(hours=number))
            common = {"kind": "opening", "priority": 2, "platform": "telegram", "address": who.address}
            at = now - timedelta(hours=number)
            row = {**common, "signal_id": signal.id, "event": "opened", "not_before": at, "created_at": at}
            session.add(models.Delivery(**row, state="sent", settled_at=at + timedelta(seconds=seconds)))
        at = now - timedelta(seconds=75)
        row = {"kind": "notice", "priority": 1, "platform": "discord", "address": "@1", "payload": {}}
        session.add(models.Delivery(**row, state="pending", not_before=at, created_at=at))
        for watch in (BTC, "gone binance OLD/USDT 1h"):
            candle = clock.to_ms(now - timedelta(hours=2))
            session.add(models.ScanMark(watch=watch, candle=candle, scanned_at=now))
        facts = {"gold": {"let_in": 2, "put_out": 1, "held": 3, "unknown": 0}, "late": {"fault": "no answer"}}
        for days, found in ((2, {}), (1, facts)):
            session.add(models.Round(platform="telegram", at=now - timedelta(days=days), facts=found))
        session.add(models.Inbox(source="stripe", event_id="e", received_at=at, not_before=at, state="pending"))
        session.add(models.Alert(key="a", channel="hook", body={}, created_at=now, not_before=now))
        session.add(models.Hook(member_id=who.member_id, url="https://x", not_before=now, created_at=now))
        await figures.keep(session, figures.BACKUP, now.timestamp() - 3600)


async def test_what_is_known_is_shown_with_its_unit(both: World) -> None:
    await full(both)
    found = await samples(both)
    expected: list[tuple[str, dict[str, str], float]] = [
        ("queue_age_seconds", {"platform": "discord"}, 75),
        ("queue_age_seconds", {"platform": "telegram"}, 0),
        ("inbox_age_seconds", {"source": "stripe"}, 75),
        ("inbox_age_seconds", {"source": "telegram"}, 0),
        ("opening_latency_seconds", {"platform": "telegram", "quantile": "0.5"}, 3),
        ("opening_latency_seconds", {"platform": "telegram", "quantile": "0.95"}, 40),
        ("candle_age_seconds", {"watch": BTC}, 3600),
        ("candle_length_seconds", {"watch": BTC}, 3600),
        ("round_age_seconds", {"platform": "telegram"}, 86400),
        ("round_people", {"platform": "telegram", "found": "held"}, 3),
        ("signals_open", {}, 4),
        ("record_entries_total", {}, 0),
        ("hooks", {"state": "active"}, 1),
        ("hooks", {"state": "disabled"}, 0),
        ("hook_due_age_seconds", {}, 0),
        ("backtest_jobs", {"state": "failed"}, 0),
        ("alerts_waiting", {"channel": "hook"}, 1),
        ("backup_age_seconds", {}, 3600),
        ("deliveries", {"platform": "discord", "kind": "update", "state": "dead"}, 0),
        ("deliveries", {"platform": "telegram", "kind": "opening", "state": "sent"}, 4),
    ]
    for name, labels, value in expected:
        assert of(found, f"signalstack_{name}", **labels) == pytest.approx(value), (name, labels)


async def test_a_watch_that_is_gone_does_not_grow_old(world: World) -> None:
    await full(world)
    found = await samples(world)
    assert of(found, "signalstack_candle_age_seconds", watch="gone binance OLD/USDT 1h") is None
    assert of(found, "signalstack_strategy_failures_total", watch="gone binance OLD/USDT 1h") == 0


async def test_labels_come_from_short_lists(world: World) -> None:
    await full(world)
    world.stack.counted.count(figures.EXCHANGE, "binance unreachable")
    world.stack.counted.observe(figures.LIMITER, "telegram", 0.2)
    async with world.stack.db.transaction() as session:
        await figures.write(session, world.stack.counted.take())
        await health.beat(session, "scheduler.scan", limit=90, now=world.now)
    for path in ("/checkout/secret-token", "/nowhere/123456789", "/record/7.png"):
        await world.http.get(world.url + path)
    await world.http.request("BREW", f"{world.url}/pot")
    routes = {resource.canonical for resource in server.build(world.stack).router.resources()} | {"unknown"}
    words = WORDS | {
        "route": routes,
        "watch": {watch.key for watch in world.stack.catalogue.watches} | {"gone binance OLD/USDT 1h"},
        "part": {"scheduler.scan", "webhooks.site"},
    }
    for name, labels in await samples(world):
        for label, value in labels:
            if label == "le" or (label == "status" and value.isdigit()):
                continue
            assert value in words[label], (name, label, value)


async def test_what_two_processes_counted_is_one_sum(both: World) -> None:
    for seconds in (0.02, 0.3):
        mine = figures.Figures()
        mine.observe(figures.SCAN, "", seconds)
        mine.count(figures.EXCHANGE, "binance banned")
        async with both.stack.db.transaction() as session:
            await figures.write(session, mine.take())
    found = await samples(both)
    assert of(found, "signalstack_scan_seconds_count") == 2
    assert of(found, "signalstack_scan_seconds_sum") == pytest.approx(0.32)
    counts = [of(found, "signalstack_scan_seconds_bucket", le=le) for le in ("0.01", "0.05", "0.1", "0.5", "+Inf")]
    assert counts == [0, 1, 1, 2, 2]
    assert of(found, "signalstack_exchange_errors_total", exchange="binance", kind="banned") == 2


async def test_figures_reach_the_database_with_a_heartbeat(database: db.Database, make_stack: StackMaker) -> None:
    held = await make_stack(database)
    held.counted.observe(figures.LIMITER, "telegram", 0.7)
    await work.Pulse(held, "telegram.delivery", limit=90).beat()
    async with database.reading() as session:
        assert await figures.read(session) == {figures.LIMITER: {"telegram": {"1.0": 1.0, figures.SUM: 0.7}}}
    assert held.counted.take() == {}


async def test_while_the_database_is_away_nothing_counted_is_lost(make_stack: StackMaker) -> None:
    database = db.Database("postgresql://nobody@127.0.0.1:9/nowhere")
    held: stack.Stack = await make_stack(database)
    held.counted.count(figures.EXCHANGE, "binance banned")
    await work.Pulse(held, "scheduler.scan", limit=90).beat()
    held.counted.count(figures.EXCHANGE, "binance banned")
    assert held.counted.take() == {(figures.EXCHANGE, "binance banned", ""): 2}
    await database.close()


def test_every_time_is_in_one_bucket() -> None:
    for seconds in (0.0, *figures.BUCKETS, *(bound + 0.001 for bound in figures.BUCKETS)):
        mine = figures.Figures()
        mine.observe(figures.SCAN, "", seconds)
        counted = mine.take()
        assert sorted(counted.values()) == sorted((1.0, seconds))
    bounds = [*map(str, figures.BUCKETS)]
    assert all(float(one) < float(other) for one, other in itertools.pairwise(bounds))
