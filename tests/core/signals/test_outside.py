"""An order from outside goes the way of every signal, or is refused in one sentence."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors, models, switches
from core.columns import Level
from core.models import Delivery
from core.signals import orders, outside
from tests.core.signals import desk
from tests.core.signals import stage as stages
from tests.core.signals.desk import order, planned, take
from tests.core.signals.stage import ETH, HOUR, NEWEST, Stage, opening

INTAKE = outside.source(desk.VENDOR)
HALVES = [{"price": "102", "share": "0.5", "stop": "entry"}, {"price": "103", "share": "0.5"}]


async def scanned(stage: Stage) -> None:
    """The scan has seen the markets; half of the next hour is over."""
    await (await stage.scan(*desk.BOOK.watches[1:])).run()
    stage.skip(1800)


async def refused(stage: Stage, given_: orders.Order, **more: Any) -> str:
    with pytest.raises(errors.RefusedError) as refusal:
        await take(stage, given_, **more)
    return str(refusal.value)


async def test_an_order_belongs_to_the_candle_that_is_running(stage: Stage) -> None:
    payer = await stage.pay()
    await scanned(stage)

    taken = await take(stage, order(entry="100.4", reason=" a  level\nheld ", targets=HALVES))

    signal = await desk.signal(stage, taken.signal)
    assert taken.new
    assert (signal.strategy, signal.watch) == ("operator", "operator binance BTC/USDT 1h")
    assert (signal.candle, signal.followed_to) == (opening(NEWEST + 1), opening(NEWEST + 1))
    assert (signal.entry, signal.stop, signal.filled) == (Decimal("100.40"), Decimal("99.00"), None)
    half = Decimal("0.5")
    assert signal.levels == (Level(Decimal(102), half, Decimal("100.40")), Level(Decimal(103), half))
    assert signal.expires == opening(NEWEST + 1) + 49 * HOUR
    assert signal.reason == "a level held"
    (row,) = await stage.rows(Delivery)
    assert (row.member_id, row.kind) == (payer.member_id, "opening")
    assert row.expires_at == stage.now() + timedelta(minutes=15)


async def test_without_an_entry_it_is_the_last_known_close(stage: Stage) -> None:
    await scanned(stage)

    draft = await planned(stage, order())

    assert draft.entry == Decimal("100.50")
    assert draft.timeframe == "1h"  # the shortest that is watched


async def test_the_position_counts_from_the_next_open(stage: Stage) -> None:
    stage.write((NEWEST + 1, 101.0), (NEWEST + 2, 102.5))
    await scanned(stage)
    taken = await take(stage, order(stop="99.9"))
    scan = await stage.scan(*desk.BOOK.watches[1:])
    for _ in range(2):
        stage.close_candle()
        await scan.run()

    signal = await desk.signal(stage, taken.signal)

    assert (signal.filled, signal.status, signal.close_candle) == (Decimal(101), "target", opening(NEWEST + 2))


@pytest.mark.parametrize("off", [90.0, -90.0, 3e7])
async def test_c07_the_exchange_says_what_time_it_is(stage: Stage, off: float) -> None:
    stage.off = off
    await scanned(stage)

    assert (await planned(stage, order())).candle == opening(NEWEST + 1)


async def test_a_slow_clock_opens_nothing_in_the_past(stage: Stage) -> None:
    await scanned(stage)
    stage.close_candle()
    await (await stage.scan(*desk.BOOK.watches[1:])).run()
    stage.off = -600  # set back after the scan

    assert (await planned(stage, order())).candle == opening(NEWEST + 2)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"symbol": "DOGE/USDT"}, "DOGE/USDT is not among the watched markets: BTC/USDT, ETH/USDT."),
        ({"symbol": "KRAKEN:BTCUSDT"}, "BTC/USDT is watched on binance, not on kraken."),
        ({"stop": "101"}, "For a long signal the stop must be below the entry"),
        ({"direction": "short"}, "For a short signal the stop must be above the entry"),
        ({"targets": [{"price": "103"}, {"price": "102"}]}, "each target above what stands before it"),
        ({"stop": "0.001"}, "For a long signal the stop must be below"),
        ({"entry": "106.1", "targets": [{"price": "110"}]}, "more than 5% away from the last price 100.50"),
        ({"entry": "101", "stop": "100.6"}, "is already beyond the stop 100.60 or the target 102.00"),
        ({"entry": "99.5", "targets": [{"price": "100.3"}]}, "is already beyond the stop 99.00 or the target 100.30"),
        ({"targets": [{"price": "102", "stop": "102.5"}, {"price": "103"}]}, "stay short of its target 102.00"),
        ({"targets": [{"price": "102", "stop": "98"}, {"price": "103"}]}, "must come nearer than 99.00"),
    ],
)
async def test_what_cannot_be_is_refused_in_one_sentence(
    sqlite_stage: Stage, said: dict[str, Any], sentence: str
) -> None:
    await scanned(sqlite_stage)

    assert sentence in await refused(sqlite_stage, order(**said))
    assert await sqlite_stage.rows(models.Signal) == []


@pytest.mark.parametrize(
    ("said", "symbol"),
    [
        *(("BTC", "BTC/USDT"), ("btcusdt", "BTC/USDT"), ("BTC-USDT", "BTC/USDT"), ("BTC_USDT", "BTC/USDT")),
        *(("BINANCE:ETHUSDT", ETH), ("binance:ETH/USDT", ETH)),
        *(("BTCUSDT.P", "BTC/USDT:USDT"), ("BTC/USDT:USDT", "BTC/USDT:USDT")),
    ],
)
def test_a_market_has_many_names(said: str, symbol: str) -> None:
    book = desk.BOOK.model_copy(update={"watches": (*desk.BOOK.watches, stages.watch("BTC/USDT:USDT"))})
    if said == "BTC":
        book = desk.BOOK

    assert outside._watch(book, outside.OPERATOR, order(symbol=said)).symbol == symbol


def test_a_name_that_fits_two_markets_is_asked_back() -> None:
    book = desk.BOOK.model_copy(update={"watches": (*desk.BOOK.watches, stages.watch("BTC/EUR"))})
    with pytest.raises(errors.RefusedError, match="BTC may be BTC/EUR or BTC/USDT; write one of them"):
        outside._watch(book, outside.OPERATOR, order(symbol="BTC"))


async def test_an_intake_has_its_own_limits(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    await scanned(stage)

    assert "ETH/USDT is not among the watched markets: BTC/USDT." in await refused(stage, order(symbol=ETH), who=INTAKE)
    assert "more than 2% away" in await refused(stage, order(entry="103", targets=[{"price": "110"}]), who=INTAKE)
    assert "given 120 seconds ago" in await refused(stage, order(), who=INTAKE, late=120)
    assert "from the future" in await refused(stage, order(), who=INTAKE, late=-31)
    taken = await take(stage, order(), who=INTAKE, late=119)
    signal = await desk.signal(stage, taken.signal)
    assert (signal.strategy, signal.expires) == ("intake_vendor", opening(NEWEST + 1) + 4 * HOUR)


async def test_age_counts_until_the_opening_is_sent(sqlite_stage: Stage) -> None:
    await sqlite_stage.pay()
    await scanned(sqlite_stage)

    assert "too old" in await refused(sqlite_stage, order(), who=INTAKE, max_age=3600, late=900)
    await take(sqlite_stage, order(), who=INTAKE, max_age=3600, late=890)

    (row,) = await sqlite_stage.rows(Delivery)
    assert row.expires_at == sqlite_stage.now() + timedelta(seconds=10)


async def test_nothing_is_published_on_prices_that_nobody_knows(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    assert "No price of BTC/USDT is known yet" in await refused(stage, order())
    await scanned(stage)
    stage.skip(2690)  # the last close is a candle and a quarter of an hour old, and no more
    await planned(stage, order())
    stage.skip(10)

    assert "is 75 minutes old" in await refused(stage, order())
    assert await stage.rows(models.Signal) == []


async def test_a_pause_holds_for_orders_too(sqlite_stage: Stage) -> None:
    await scanned(sqlite_stage)
    async with sqlite_stage.database.transaction() as session:
        await switches.turn_on(session, switches.PAUSED, by="x", now=sqlite_stage.now())

    assert "are paused" in await refused(sqlite_stage, order())


async def test_a_source_has_so_many_open_signals_and_no_more(sqlite_stage: Stage) -> None:
    await scanned(sqlite_stage)
    for stop in ("99", "98"):
        await take(sqlite_stage, order(stop=stop), most_open=2)

    assert "2 signals of this source are open" in await refused(sqlite_stage, order(stop="97"), most_open=2)
    await take(sqlite_stage, order(stop="97"), who=INTAKE, most_open=2)


async def test_the_same_order_in_the_same_candle_is_the_signal_that_exists(stage: Stage) -> None:
    await scanned(stage)
    first = await take(stage, order())

    again = await take(stage, order(symbol="BTC", reason="other words"))
    other = await take(stage, order(stop="98.5"))
    stage.close_candle()
    await (await stage.scan(*desk.BOOK.watches[1:])).run()
    later = await take(stage, order())

    assert (again, first.new) == (outside.Taken(first.signal, new=False), True)
    assert other.new
    assert later.new
    assert len(await stage.rows(models.Signal)) == 3


async def test_what_the_sender_has_named_is_published_once_for_ever(stage: Stage) -> None:
    await scanned(stage)
    first = await take(stage, order(ref="a-1"), who=INTAKE)
    async with stage.database.transaction() as session:
        await switches.turn_on(session, switches.PAUSED, by="x", now=stage.now())
    stage.close_candle(5)

    assert await take(stage, order(ref="a-1", stop="98"), who=INTAKE, late=7000) == outside.Taken(first.signal, False)


async def test_an_order_that_comes_twice_at_once_is_published_once(stage: Stage) -> None:
    await stage.pay()
    await scanned(stage)

    both = await asyncio.gather(*(take(stage, order(ref="a-1"), who=INTAKE) for _ in range(4)))

    assert sorted(taken.new for taken in both) == [False, False, False, True]
    assert len({taken.signal for taken in both}) == 1
    assert len(await stage.rows(Delivery)) == 1


# --- the words of an order


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"stop": None}, "stop: it is missing."),
        ({"stop": "abc"}, "stop: 'abc' is no number."),
        ({"stop": "NaN"}, "stop: 'NaN' is no finite number."),
        ({"stop": "-1"}, "stop: it is no price above nought."),
        ({"stop": True}, "stop: it is no price above nought."),
        ({"stop": "9" * 60}, "stop: it is no price above nought."),
        ({"entry": "1e999999999"}, "entry: it is no price."),
        ({"direction": "up"}, "direction: write long or short."),
        ({"targets": []}, "targets: "),
        ({"targets": [{"price": 1}] * 10}, "targets: "),
        ({"targets": [{"price": "x"}]}, "targets 1 price: 'x' is no number."),
        ({"targets": [{"price": 102, "share": 0.5}, {"price": 103}]}, "Give every target a share so that they add up"),
        ({"targets": [{"price": 102, "share": 0.7}]}, "add up to 1, or none of them."),
        ({"expires_after": 0}, "expires_after: "),
        ({"reason": "x" * 401}, "reason: "),
        ({"ref": "x" * 81}, "ref: "),
        ({"symbol": ""}, "symbol: "),
        ({"leverage": 100}, "leverage: that is not known here."),
    ],
)
def test_words_that_are_no_order_are_told_apart(said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.RefusedError) as refusal:
        order(**said)
    assert sentence in str(refusal.value)
    assert str(refusal.value).count("\n") == 0


def test_what_is_missing_is_named() -> None:
    with pytest.raises(errors.RefusedError, match=r"^stop: it is missing\.$"):
        orders.read({name: said for name, said in desk.LONG.items() if name != "stop"})


@given(st.integers(1, 9))
def test_equal_shares_are_the_whole(count: int) -> None:
    shares = order(targets=[{"price": 102 + n} for n in range(count)]).shares

    assert sum(shares) == 1
    assert max(shares) - min(shares) <= Decimal("0.0009")


@given(
    st.dictionaries(
        st.sampled_from([*orders.Order.model_fields, "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["price", "stop"]), inner),
            max_leaves=5,
        ),
    )
)
def test_any_words_are_an_order_or_refused(said: dict[str, Any]) -> None:
    for words in (said, desk.LONG | said):
        with suppress(errors.RefusedError):
            made = orders.read(words)
            assert made.stop > 0
            assert "\x00" not in made.reason + made.ref + made.symbol
