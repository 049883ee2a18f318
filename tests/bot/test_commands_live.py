"""How open signals stand: the newest known price, the result so far, what was reached, where the stop is."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot import messages
from core import catalogue, clock, db, models
from core.columns import Level
from core.market import candles
from core.models import SignalStatus
from tests.bot import signals
from tests.bot.desk import GOLD, SERVICE, Chat

HOUR = signals.HOUR
HALF, ENTRY = Decimal("0.5"), Decimal("27412.1")
LEVELS = (Level(Decimal(27600), HALF, ENTRY), Level(Decimal(27900), HALF))
COSTS = {"fee": Decimal("0.1"), "slippage": Decimal("0.05")}
PARTLY: dict[str, Any] = {"targets": LEVELS, "reached": 1, "left": HALF, "banked": Decimal(13800), "stop_now": ENTRY}
BOOK = catalogue.Catalogue(
    service=SERVICE,
    watches=tuple(catalogue.Watch(symbol="BTC/USDT", timeframe=name) for name in ("1h", "5m")),
    plans=(GOLD,),
)


@pytest.fixture
async def chat(database: db.Database) -> Chat:
    made = Chat(database, clock.from_ms(signals.CANDLE + 6 * HOUR) + timedelta(minutes=7), BOOK)
    await made.pays()
    return made


async def keep(chat: Chat, timeframe: str, open_time: int, close: str) -> None:
    price = Decimal(close)
    async with chat.db.transaction() as session:
        row = candles.Candle(open_time, price, price, price, price, Decimal(1))
        await candles.keep(session, candles.Key("binance", "BTC/USDT", timeframe), [row])


def event(name: str, price: str, hours: int, **given: Any) -> models.SignalEvent:
    candle = signals.CANDLE + hours * HOUR
    return models.SignalEvent(
        signal_id=12, event=name, price=Decimal(price), candle=candle, at=clock.from_ms(candle + HOUR), **given
    )


async def test_an_open_signal_says_what_it_would_bring_at_the_newest_close_of_any_timeframe(chat: Chat) -> None:
    await chat.published(signals.make(filled=ENTRY, **COSTS))
    await keep(chat, "1h", signals.CANDLE + 5 * HOUR, "27000")
    await keep(chat, "5m", signals.CANDLE + 6 * HOUR - 300_000, "27000")
    await keep(chat, "5m", signals.CANDLE + 6 * HOUR, "27500")

    words = await chat.said("/open")

    # 27500 - 27412.10 - 0.15 % of both = 5.53; the risk was 312.10.
    assert "Last price 27 500.00 (2 min old): +0.02 % (+0.02 R) so far" in words
    assert "Counted: 0.1 % fee and 0.05 % slippage at each side." in words
    assert "Last price 27 500.00 (2 min old)" in await chat.said("/latest")
    assert "Last price 27 500.00 (2 min old)" in await chat.said("/signal 12")


async def test_parts_that_left_count_with_the_price_they_left_at(chat: Chat) -> None:
    await chat.published(signals.make(filled=ENTRY, **PARTLY))
    await keep(chat, "1h", signals.CANDLE + 5 * HOUR, "27500")

    words = await chat.said("/open")

    assert "Entry 27 412.10, target 27 900.00, stop loss 27 412.10" in words
    assert "Target 1 of 2 reached, 50 % still open, stop loss moved from 27 100.00" in words
    assert "Last price 27 500.00 (7 min old): +0.50 % (+0.44 R) so far" in words


async def test_what_is_not_known_yet_is_said(chat: Chat) -> None:
    await chat.published(signals.make())
    assert "The price now is not known yet." in await chat.said("/open")

    await keep(chat, "1h", signals.CANDLE, "27412.1")

    assert "Last price 27 412.10 (5 h old); it counts from the open of the next candle." in await chat.said("/open")


async def test_the_age_of_a_price_is_told_by_the_exchange_s_clock(chat: Chat) -> None:
    await chat.published(signals.make(filled=ENTRY))
    await keep(chat, "1h", signals.CANDLE + 5 * HOUR, "27500")
    there = {"candle": signals.CANDLE, "clock": signals.CANDLE + 9 * HOUR, "note": ""}
    await chat.published(models.ScanMark(watch="mean_reversion binance BTC/USDT 1h", scanned_at=chat.now, **there))

    assert "Last price 27 500.00 (3 h old)" in await chat.said("/open")


async def test_the_whole_history_names_parts_moves_result_and_costs(chat: Chat) -> None:
    given = {**PARTLY, **COSTS, "filled": Decimal(27420), "left": Decimal(0), "banked": Decimal("27506.05")}
    await chat.published(signals.ended(SignalStatus.STOPPED, "27506.05", **given))
    await chat.published(
        event("opened", "27412.1", 0, share=Decimal(0), stop=Decimal(27100)),
        event("target1", "27600", 3, share=HALF, stop=ENTRY),
        event("stopped", "27412.1", 7, share=HALF, stop=ENTRY),
    )

    message, words = await chat.ask("/signal 12"), await chat.said("/signal 12")

    assert "✕ Stopped after target 1 of 2: +0.01 % (+0.01 R)" in words
    assert "Counted from 27 420.00, the open of the next candle" in words
    assert "12:00 UTC: target 1 hit, 50 % out at 27 600.00, stop loss at 27 412.10" in words
    assert "16:00 UTC: stopped at 27 412.10 (50 %)" in words
    assert "Counted: 0.1 % fee and 0.05 % slippage at each side." in words
    assert "Last price" not in words
    assert (message.picture, message.about) == (True, "signal:12")
    assert messages.Message.from_dict(message.as_dict()) == message


async def test_who_does_not_have_a_signal_sees_neither_its_fill_nor_its_chart(chat: Chat) -> None:
    await chat.published(signals.ended(SignalStatus.STOPPED, "27100", filled=Decimal(27420)))

    message = await chat.ask("/signal 12", person="9")

    assert "27 420.00" not in message.plain.replace("\u202f", " ")
    assert (message.picture, message.about) == (False, "")


async def test_closed_signals_count_the_average_of_their_parts(chat: Chat) -> None:
    given = {**PARTLY, "filled": ENTRY, "left": Decimal(0), "banked": Decimal("27506.05")}
    await chat.published(signals.ended(SignalStatus.STOPPED, "27506.05", **given))

    assert "✕ Stopped after target 1 of 2 · BTC/USDT long · 1h · #12: +0.34 % (+0.30 R)" in await chat.said("/history")
