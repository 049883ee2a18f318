"""What is said of signals: what is open to those only who have it, and how it ended to everybody."""

from datetime import datetime
from decimal import Decimal

import pytest

from bot import messages
from core import db, models
from core.models import SignalStatus
from tests.bot import signals
from tests.bot.desk import BTC_ONLY, GOLD, Chat, a_book, labels

SECRETS = ("27 412.10", "27 900.00", "27 100.00")
HOUR = signals.HOUR


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book(GOLD, BTC_ONLY))


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, a_book(GOLD, BTC_ONLY))


def event(signal: int, name: str, price: str, hours: int = 0) -> models.SignalEvent:
    candle = signals.CANDLE + hours * HOUR
    at = datetime.fromisoformat("2026-01-15T12:00:00+00:00")
    return models.SignalEvent(signal_id=signal, event=name, price=Decimal(price), candle=candle, at=at)


async def test_open_signals_are_shown_with_levels_to_those_who_have_them(chat: Chat) -> None:
    await chat.pays("8", plan="btc")
    await chat.pays("9")
    ether = {"symbol": "ETH/USDT", "entry": Decimal(1700), "target": Decimal(1800), "stop": Decimal(1650)}
    await chat.published(signals.make(id=1), signals.make(id=2, **ether))

    guest, btc, gold = [await chat.said("/open", person=who) for who in ("7", "8", "9")]

    assert "Open signals go to subscribers" in guest
    assert not any(secret in guest for secret in SECRETS)
    assert "Entry 27 412.10, target 27 900.00, stop loss 27 100.00" in btc
    assert "1 700.00" not in btc
    assert gold.index("ETH/USDT") < gold.index("BTC/USDT")
    assert (await chat.ask("/open", person="9")).paid


async def test_nothing_open_is_said(lite: Chat) -> None:
    await lite.pays()

    message = await lite.ask("/open")

    assert "No signal of yours is open" in message.plain
    assert labels(message) == ["/history"]


async def test_many_open_signals_are_turned_by_buttons(lite: Chat) -> None:
    await lite.pays()
    await lite.published(*(signals.make(id=n, candle=n * HOUR) for n in range(1, 20)))

    first, last, beyond = [await lite.ask(line) for line in ("/open", "/open 3", "/open 99")]

    assert labels(first) == [*(f"/signal {n}" for n in range(19, 11, -1)), "/open 2"]
    assert "page 1 of 3" in first.plain
    assert "#19 " in first.plain
    assert labels(last)[-1] == "/open 2"
    assert beyond == last


async def test_one_signal_is_told_whole_to_who_has_it(chat: Chat) -> None:
    await chat.pays()
    await chat.published(signals.make())
    await chat.published(event(12, "opened", "27412.1"))

    message = await chat.ask("/signal #12")
    words = await chat.said("/signal 12")

    assert words.startswith("▲ Long BTC/USDT · 1h · #12 · open\nEntry 27 412.10\nTarget 27 900.00 (+1.78 %, +1.56 R)")
    assert "14 Mar 2023, 09:00 UTC: published, entry 27 412.10" in words
    assert "standard deviations" in words
    assert "simulated market" in words
    assert message.paid


async def test_a_closed_signal_is_told_to_everybody_and_its_levels_to_who_has_it(chat: Chat) -> None:
    await chat.pays("8")
    await chat.published(signals.ended(SignalStatus.TARGET, "27900"))
    await chat.published(
        event(12, "opened", "27412.1"),
        event(12, "target", "27900", hours=7),
    )

    guest, payer = [await chat.said("/signal 12", person=who) for who in ("7", "8")]

    assert "✓ Target hit: +1.78 % (+1.56 R)\nafter 7 candles" in guest
    assert "14 Mar 2023, 16:00 UTC: target hit at 27 900.00" in guest
    assert "Stop loss" not in guest
    assert "standard deviations" not in guest
    assert "Stop loss 27 100.00" in payer
    assert not (await chat.ask("/signal 12", person="8")).paid


async def test_x06_an_open_signal_of_others_looks_like_none(chat: Chat) -> None:
    await chat.pays("8", plan="btc")
    await chat.published(signals.make(id=12), signals.make(id=13, symbol="ETH/USDT"))

    stranger, none = await chat.said("/signal 12"), await chat.said("/signal 99")
    half = await chat.said("/signal 13", person="8")

    assert stranger.replace("#12", "#") == none.replace("#99", "#") == half.replace("#13", "#")
    assert "no signal #12 that you can read" in stranger
    assert labels(await chat.ask("/signal 12")) == labels(await chat.ask("/signal 99"))


@pytest.mark.parametrize("said", ["", "abc", "-1", "12.5", "9" * 16, "²", "1; drop"])
async def test_a_signal_without_a_number_is_asked_for(lite: Chat, said: str) -> None:
    assert "Say which signal" in (await lite.ask(f"/signal {said}")).plain


async def test_closed_signals_newest_first_in_pages(chat: Chat) -> None:
    rows = [
        signals.ended(SignalStatus.TARGET, "27900", id=n, candle=n * HOUR, closed_at=chat.now.replace(minute=n))
        for n in range(1, 13)
    ]
    await chat.published(*rows, signals.make(id=50))

    first, last = await chat.ask("/history"), await chat.ask("/history 2")

    shown = [line for line in first.plain.splitlines() if "Target hit" in line]
    assert len(shown) == 10
    assert "#12:" in shown[0]
    assert "page 1 of 2" in first.plain
    assert "#50" not in first.plain
    assert labels(first)[:2] == ["/signal 12", "/signal 11"]
    assert labels(first)[10:] == ["/history 2", "/history BTC/USDT", "/history ETH/USDT"]
    assert [line for line in last.plain.splitlines() if "Target hit" in line][1].startswith("✓ Target hit")
    assert labels(last)[2] == "/history 1"


async def test_closed_signals_of_one_pair(lite: Chat) -> None:
    await lite.published(
        *(signals.ended(SignalStatus.STOPPED, "27100", id=n, candle=n * HOUR) for n in range(1, 13)),
        signals.ended(SignalStatus.TARGET, "27900", id=20, symbol="ETH/USDT"),
    )

    message = await lite.ask("/history btc 2")

    assert message.plain.startswith("Closed signals of BTC/USDT, page 2 of 2")
    assert "ETH" not in message.plain
    assert labels(message)[-1] == "/history BTC/USDT 1"
    assert "do not watch" in (await lite.ask("/history doge")).plain
    assert "/history ETH/USDT" in labels(await lite.ask("/history doge"))
    assert all(len(label.encode()) <= 64 for label in labels(message))


async def test_an_empty_history_says_so(lite: Chat) -> None:
    assert "No signal has closed yet" in (await lite.ask("/history")).plain
    assert "No signal of BTC/USDT has closed yet" in (await lite.ask("/history BTC")).plain


async def test_results_count_everything_and_name_no_rate_too_early(chat: Chat) -> None:
    assert "No signal has closed yet" in await chat.said("/record")
    await chat.published(
        signals.ended(SignalStatus.TARGET, "27900", id=1, candle=1 * HOUR),
        signals.ended(SignalStatus.STOPPED, "27100", id=2, candle=2 * HOUR, late=True),
        signals.ended(SignalStatus.EXPIRED, "27412.1", id=3, candle=3 * HOUR),
        signals.make(id=4),
    )

    words = await chat.said("/record")

    assert "All results: 3 closed signals" in words
    assert "✓ Target hit: 1\n✕ Stopped: 1\n○ Expired: 1\nTogether: +0.56 R, after assumed fees" in words
    assert "With a gain: 1, with a loss: 1" in words
    assert "Too few for a rate: we name one from 30 closed signals on." in words
    assert "too late to be sent as fresh, after an outage: 1" in words
    assert "Open now and not counted: 1" in words
    assert "from 14 Mar 2023 to 15 Mar 2023" in words


async def test_results_name_a_rate_from_thirty_on(lite: Chat) -> None:
    for number in range(30):
        status, price = (SignalStatus.TARGET, "27900") if number < 10 else (SignalStatus.STOPPED, "27100")
        await lite.published(signals.ended(status, price, id=number + 1, candle=number * HOUR))

    words = await lite.said("/record")

    assert "Share with a gain: 33.3 %" in words
    assert "Together: −4.40 R" in words


async def test_x11_every_list_carries_the_risk_text(lite: Chat) -> None:
    await lite.pays()
    await lite.published(signals.make(id=1), signals.ended(SignalStatus.TARGET, "27900", id=2, candle=HOUR))

    for line in ("/latest", "/open", "/history", "/record", "/signal 1", "/signal 2"):
        assert "Not financial advice" in (await lite.ask(line)).plain, line


async def test_paid_lists_are_marked_for_platforms_that_forbid_forwarding(lite: Chat) -> None:
    await lite.pays()
    await lite.published(signals.make(id=1))

    paid = await lite.ask("/latest")

    assert paid.paid
    assert all(part.paid for part in messages.split(paid, 60))
    assert messages.Message.from_dict(paid.as_dict()) == paid
    assert not (await lite.ask("/latest", person="8")).paid
