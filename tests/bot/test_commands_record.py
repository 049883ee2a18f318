"""All results in chat, and what everybody may know of a signal's entries in the record."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot import messages
from core import catalogue, db
from core.columns import Level
from core.delivery import claims
from core.models import SignalStatus
from core.signals import publish, record
from tests.bot import signals
from tests.bot.desk import Chat, a_book, labels
from tests.bot.signals import HOUR

COSTS = {"fee": Decimal("0.1"), "slippage": Decimal("0.05")}


@pytest.fixture
def chat(database: db.Database, now: Any) -> Chat:
    return Chat(database, now, a_book())


@pytest.fixture
def lite(sqlite_database: db.Database, now: Any) -> Chat:
    return Chat(sqlite_database, now, a_book())


async def published(chat: Chat, *, symbol: str = "BTC/USDT") -> int:
    """The number of a new signal whose first target was reached."""
    levels = (Level(Decimal(28000), Decimal("0.5")), Level(Decimal(29000), Decimal("0.5")))
    async with chat.db.transaction() as session:
        plan = publish.Draft(
            watch="w",
            strategy="secret",
            exchange="binance",
            symbol=symbol,
            timeframe="1h",
            long=True,
            entry=Decimal(27000),
            stop=Decimal(26000),
            levels=levels,
            tick=Decimal("0.01"),
            candle=signals.CANDLE,
            expires=signals.CANDLE + 9 * HOUR,
            reason="",
            figures={},
            params={},
        )
        until = chat.now + timedelta(minutes=5)
        signal = await publish.opened(session, chat.book, plan, now=chat.now, send_until=until)
        assert signal is not None
        return signal.id


async def test_results_come_by_strategy_pair_and_month_with_what_is_counted(chat: Chat) -> None:
    await chat.published(
        signals.ended(SignalStatus.TARGET, "27900", id=1, candle=1 * HOUR, **COSTS),
        signals.ended(SignalStatus.STOPPED, "27100", id=2, candle=2 * HOUR, symbol="ETH/USDT"),
        signals.ended(SignalStatus.DELISTED, "27412.1", id=3, candle=3 * HOUR, strategy="donchian", **COSTS),
        signals.make(id=4),
    )
    words = await chat.said("/record")
    assert "✓ Target hit: 1\n✕ Stopped: 1\n○ Expired: 0\n◇ Market delisted: 1\n" in words
    assert "Open now and not counted: 1, the oldest since 14 Mar 2023\n" in words
    assert "By strategy\ndonchian: 1 closed, −0.26 R\nmean_reversion: 2 closed, +0.30 R\n" in words
    assert "By pair\nBTC/USDT: 2 closed, +1.04 R\nETH/USDT: 1 closed, −1.00 R\n" in words
    assert "By month" not in words  # there is one only
    assert "now 0.1 % fee and 0.05 % slippage at each side" in words
    assert "Without any costs, from before they were assumed: 1" in words
    assert "https://site.example/record" in labels(await chat.ask("/record"))


async def test_groups_are_few_in_chat_and_all_on_the_page(lite: Chat) -> None:
    rows = [
        signals.ended(SignalStatus.TARGET, "27900", id=1 + n, candle=n * HOUR, symbol=f"C{n:02}/USDT")
        for n in range(30)
    ]
    await lite.published(*rows)
    words = await lite.said("/record")
    assert "C07/USDT: 1 closed" in words
    assert "C08/USDT" not in words
    assert "and 22 more on the page" in words


async def test_an_open_signal_has_commitments_for_everybody_and_nothing_else(chat: Chat) -> None:
    number = await published(chat, symbol="ETH/USDT")
    words = await chat.said(f"/verify {number}")
    async with chat.db.reading() as session:
        (noted,) = await record.about(session, number)
    assert f"Signal #{number} in the record\nEntry 1: published\n{noted.hash}\n" in words
    assert "The signal is open, so these are commitments" in words
    assert "signalstack verify https://site.example/record.jsonl" in words
    for secret in ("ETH", "27000", "28000", "long", "secret"):
        assert secret not in words.replace(noted.hash, "")
    await chat.pays(person="8")
    assert await chat.said(f"/verify #{number}", person="8") == words


async def test_a_signal_without_entries_is_not_told_from_one_that_does_not_exist(lite: Chat) -> None:
    await lite.published(signals.make(id=1))
    old, none = await lite.said("/verify 1"), await lite.said("/verify 2")
    assert old.replace("#1", "#2") == none
    assert "no entry" in none
    for line in ("/verify", "/verify nonsense", "/verify 0x7"):
        assert "by its number" in await lite.said(line)


@pytest.mark.parametrize(
    ("entries", "standing"),
    [(1, "1 entry, with the hash"), (1234, "1234 entries, the last of them with the hash")],
)
def test_the_post_of_the_day_says_the_hash_and_how_to_check_it(entries: int, standing: str) -> None:
    facts = {"day": "2026-01-15", "entries": entries, "head": "ab" * 32, "url": "https://site.example/record"}
    parcel = claims.Parcel(
        **dict.fromkeys(claims.Parcel.__slots__)
        | {"kind": "notice", "payload": {"name": "record_head", **facts}, "ambiguities": 0}
    )
    said = messages.render(parcel, None, catalogue.Catalogue(service=catalogue.Service(name="Ann's signals")))
    words = said.plain.replace("\u2060", "")
    assert words.startswith(f"Ann's signals: the record on 2026-01-15 (UTC)\n{standing}\n")
    assert "signalstack verify https://site.example/record.jsonl --head " + "ab" * 32 in words
    assert not said.paid
