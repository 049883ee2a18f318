"""What the status page tells of ninety days, of what went wrong, and of how signals arrived."""

from datetime import timedelta
from decimal import Decimal

from core import health, models
from core.models import State
from tests.webhooks import filled
from tests.webhooks.conftest import World
from tests.webhooks.test_status import get
from webhooks import bars, glance, incidents

DAY = 86_400


def bar(text: str, name: str) -> list[str]:
    """The classes of the ninety bars of this part of the service, the oldest first."""
    drawn = text.split(f'aria-label="{name}. ')[1].split("</div>", maxsplit=1)[0]
    return [one.split('"')[1] if 'class="' in one else "" for one in drawn.split("<i")[1:]]


async def keep(world: World, part: str, ago: int, well: int, seen: int) -> None:
    day = str((world.now - timedelta(days=ago)).date())
    async with world.stack.db.transaction() as session:
        session.add(models.Uptime(part=part, day=day, well=well, seen=seen))


async def test_each_of_ninety_days_has_a_bar_and_what_nobody_saw_is_not_called_good(both: World) -> None:
    async with both.stack.db.transaction() as session:
        await health.beat(session, "scheduler.scan", limit=90, now=both.now)
    for ago, well, seen in (
        (0, DAY // 2, DAY // 2),  # today, half of which is over
        (1, DAY, DAY),
        (2, DAY - 864, DAY),
        (3, DAY // 2, DAY),
        (4, DAY // 4, DAY // 4),
        (89, 60, 60),
        (90, 0, DAY),
    ):
        await keep(both, "scheduler.scan", ago, well, seen)
    _, text = await get(both, "/")
    drawn = bar(text, "Market watch")
    assert len(drawn) == 90
    assert drawn[-5:] == ["good t3", "bad t10", "wait t10", "good t10", "good t10"]
    assert (drawn[0], set(drawn[1:-5])) == ("good t1", {""})
    assert 'title="12 Jan 2026: 12 h down"' in text
    assert "4 good, 2 with trouble, 84 of which nothing is known" in text
    assert "86.40 % of 4 days" in text


async def test_a_part_of_the_service_is_as_well_as_the_worst_it_consists_of(world: World) -> None:
    async with world.stack.db.transaction() as session:
        await health.beat(session, "telegram.inbox", limit=90, now=world.now)
    await keep(world, "telegram.inbox", 1, DAY, DAY)
    await keep(world, "telegram.delivery", 1, DAY // 4, DAY // 2)
    await keep(world, "telegram.places", 1, 0, 0)
    assert bar((await get(world, "/"))[1], "Telegram")[-2] == "bad t10"


async def test_incidents_are_told_in_plain_words_and_nothing_inner_is_shown(both: World) -> None:
    await filled.fill(both)
    async with both.stack.db.transaction() as session:
        for key, text in (
            ("place:secret-club", "Secret Club: not an admin."),
            ("strategy:secret_sauce binance BTC/USDT 1h", "divided by zero"),
            ("price_missing:secret-plan", "price_12345 is unknown"),
            ("market:binance SECRET/USDT 1h", "No new candles."),
            ("unlinked:sub_secret", "sub_secret is not linked."),
            ("telegram.secret", "token 123:secret"),
            ("alarm_of_later", "secret"),
        ):
            await health.alarm(session, key, text, now=both.now)
    _, text = await get(both, "/")
    for words in (
        "ETH/USDT: no candles from Binance, so no new signals",
        "still going on",
        "Telegram: messages were not sent",
        "for 4 h",
        "Market watch: no candles from Binance, so no new signals",
        "One of the members&#39; places was out of order",
        "A strategy failed and gave no signals; the others went on",
        "Plans: not every plan could be bought",
    ):
        assert words in text, words
    for inner in ("secret", "SECRET", "12345", "inner words", "zero"):
        assert inner not in text, inner


async def test_everything_works_but_a_market_is_a_limitation(world: World) -> None:
    async with world.stack.db.transaction() as session:
        await health.beat(session, "scheduler.scan", limit=90, now=world.now)
        await health.alarm(session, "market:binance ETH/USDT 1h", "No new candles.", now=world.now)
    assert "Working, with a limitation" in (await get(world, "/"))[1]


def test_the_same_again_within_minutes_is_told_as_one_incident(world: World) -> None:
    def incident(minute: int, until: int | None, key: str = "strategy:x") -> models.Incident:
        end = None if until is None else world.now + timedelta(minutes=until)
        return models.Incident(key=key, text="", began_at=world.now + timedelta(minutes=minute), ended_at=end)

    found = [incident(0, 10), incident(2, 3, "strategy:y"), incident(14, 20), incident(60, 70), incident(72, None)]
    told = [(one.since - world.now, one.until) for one in incidents.told(found, ())]
    assert told == [(timedelta(hours=1), None), (timedelta(0), world.now + timedelta(minutes=20))]
    assert incidents.told([incident(0, 1, "nobody:knows")], ()) == []
    assert len(incidents.told([incident(10 * n, 10 * n + 1) for n in range(50)], ())) == 15


async def test_deliveries_and_their_times_are_shown_and_nothing_of_what_open_signals_say(both: World) -> None:
    states = [State.SENT] * 4 + [
        State.PENDING,
        State.SENDING,
        State.AMBIGUOUS,
        State.BLOCKED,
        State.DEAD,
        State.EXPIRED,
    ]
    async with both.stack.db.transaction() as session:
        session.add_all(
            [
                filled.signal(both, candle=1, entry=Decimal("12345.67"), symbol="SECRET/USDT"),
                filled.signal(both, candle=2, late=True),
                filled.signal(both, candle=3),
            ]
        )
        await session.flush()
        session.add_all(
            [filled.delivery(both, 1, chat, state, took=chat + 0.25) for chat, state in enumerate(states)]
            + [models.Delivery(**{**_row(filled.delivery(both, 1, 99, took=500)), "event": "target"})]
        )
    _, text = await get(both, "/")
    for words in (
        "4 delivered, 2 waiting, 1 unsure, 1 blocked, 1 failed, 1 left out",
        "too late, so not sent",
        "no readers",
        "of the last 4 deliveries",
        ">1.8 s<",
        ">3.2 s<",
        "40 s ago",
    ):
        assert words in text, words
    for inner in ("SECRET", "12345"):
        assert inner not in text


def _row(delivery: models.Delivery) -> dict[str, object]:
    return {name: value for name, value in vars(delivery).items() if not name.startswith("_")}


async def test_the_last_candle_of_each_market_is_shown_by_the_exchanges_clock(both: World) -> None:
    first, second = both.stack.catalogue.watches
    clock = 1_700_000_000_000 // 3_600_000 * 3_600_000 + 600_000
    seen = both.now - timedelta(minutes=5)
    async with both.stack.db.transaction() as session:
        mark = {"candle": clock - 600_000 - 3_600_000, "scanned_at": seen, "clock": clock}
        session.add(models.ScanMark(watch=first.key, **mark))
    _, text = await get(both, "/")
    assert '<dt>BTC/USDT <small>1h</small></dt><dd><span data-text="watch.binance BTC/USDT 1h">15 min ago' in text
    assert '<span data-text="watch.binance ETH/USDT 1h">not yet' in text
    assert (first.symbol, second.symbol) == ("BTC/USDT", "ETH/USDT")


async def test_however_many_look_the_database_is_asked_once(world: World, monkeypatch: object) -> None:
    await get(world, "/")
    await filled.fill(world)
    for _ in range(20):
        assert "Starting up" in (await get(world, "/"))[1]


def test_shares_are_rounded_down_and_parts_have_a_group() -> None:
    assert bars._share(99_999, 100_000) == "99.99 % of 28 h"
    assert bars._share(7, 7) == "100.00 % of 7 s"
    assert [bars.group(name) for name in ("webhooks.site", "webhooks.sweep", "odd.one")] == [
        "Web pages",
        "Payments",
        "Other parts",
    ]


def test_the_95th_percentile_is_that_of_the_nearest_rank() -> None:
    assert glance._latency([float(n) for n in range(1, 101)])["p95"] == "95 s"
    assert glance._latency([3.0]) == {"median": "3.0 s", "p95": "3.0 s", "of": "of one delivery"}
    assert glance._latency([])["median"] == "–"
