"""A signal by hand: shown first, published once, ended at a price that everybody can check."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bot import commands
from bot.commands import posting
from bot.platforms.discord import registration
from core import clock, db, errors
from core.market import candles
from core.models import Audit, Delivery, Signal
from core.signals import orders
from tests.bot.desk import Chat, a_book, labels

HOUR = timedelta(hours=1)
LINE = "/post BTC long 100 stop 95 targets 110 A level held twice"


def chat_over(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, a_book(), admins="telegram:1,telegram:2")


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    desk = chat_over(database, now)
    await trades(desk)
    return desk


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    desk = chat_over(sqlite_database, now)
    await trades(desk)
    return desk


async def trades(chat: Chat, close: str = "100") -> None:
    """The market's newest candle closed just now."""
    key = candles.Key("binance", "BTC/USDT", "1h")
    async with chat.db.transaction() as session:
        prices = map(Decimal, (close, close, close, close, "1"))
        await candles.keep(session, key, [candles.Candle(clock.to_ms(chat.now - HOUR), *prices)])
        await candles.keep_tick(session, "binance", "BTC/USDT", Decimal("0.01"), now=chat.now)


async def rows(chat: Chat, table: type[Any]) -> Sequence[Any]:
    async with chat.db.reading() as session:
        return (await session.scalars(select(table).order_by(table.id))).all()


async def orders_said(chat: Chat, line: str, person: str = "1") -> str:
    return await chat.said("", data=line, person=person)


async def shown(chat: Chat, line: str = LINE) -> list[str]:
    """The command lines of the buttons under what is shown."""
    return labels(await chat.ask(line, person="1"))


async def test_a_signal_is_shown_to_the_operator_alone_first(chat: Chat) -> None:
    await chat.pays("7")

    said = await chat.said(LINE, person="1")

    for words in (
        "Publish this signal?\nDraft: long BTC/USDT · 1h\nEntry 100.00\nTarget 110.00 (+10.00 %, +2.00 R)\n",
        "Stop loss 95.00 (−5.00 %)\nRisk/reward 1 : 2.00\n",
        "Counts from the open of the next candle, 15 Jan 2026, 13:00 UTC",
        "A level held twice",
        "It goes to 1 private chat.",
        "Asked until 15 Jan 2026, 12:10 UTC.",
    ):
        assert words in said
    assert await rows(chat, Signal) == []
    assert [row.kind for row in await rows(chat, Delivery)] == []


async def test_a_yes_publishes_it_once_to_everybody_who_pays(chat: Chat) -> None:
    await chat.pays("7")
    await chat.ask("/start", person="9")
    yes, _ = await shown(chat)

    said = await orders_said(chat, yes)
    again = await orders_said(chat, yes)

    (signal,) = await rows(chat, Signal)
    assert said == f"Signal #{signal.id} is published."
    assert again == f"That order is signal #{signal.id} already; nothing was published again."
    assert (signal.strategy, signal.entry, signal.reason) == ("operator", 100, "A level held twice")
    assert [(row.kind, row.address) for row in await rows(chat, Delivery)] == [("opening", "7")]
    noted = [row for row in await rows(chat, Audit) if row.action == "signal_posted"]
    assert [(row.actor, row.details["signal"], row.details["anew"]) for row in noted] == [("telegram:1", 1, True)]


async def test_two_presses_at_once_publish_once(chat: Chat) -> None:
    await chat.pays("7")
    yes, _ = await shown(chat)

    await asyncio.gather(*(orders_said(chat, yes) for _ in range(4)))

    assert len(await rows(chat, Signal)) == 1
    assert len(await rows(chat, Delivery)) == 1


async def test_the_same_order_written_twice_is_one_signal(lite: Chat) -> None:
    (first, _), (second, _) = await shown(lite), await shown(lite)
    await orders_said(lite, first)

    assert "is signal #1 already" in await orders_said(lite, second)


async def test_a_draft_can_be_discarded_and_is_its_writers_and_grows_old(lite: Chat) -> None:
    yes, no = await shown(lite)
    assert "Discarded; nobody got anything." in await orders_said(lite, no)
    assert "used up" in await orders_said(lite, yes)

    yes, _ = await shown(lite)
    assert "not yours" in await orders_said(lite, yes, "2")
    assert "not yours" in await orders_said(lite, "/post yes 9999")
    lite.now += posting.LIFE
    assert "older than ten minutes" in await orders_said(lite, yes)
    assert await rows(lite, Signal) == []


async def test_a_draft_of_another_kind_is_none(lite: Chat) -> None:
    yes, _ = await shown(lite)

    assert "used up" in await orders_said(lite, yes.replace("/post", "/close"))
    assert await rows(lite, Signal) == []


async def test_what_holds_when_it_is_confirmed_counts(lite: Chat) -> None:
    yes, _ = await shown(lite)
    await lite.ask("/pause", person="1")
    assert "are paused" in await orders_said(lite, yes)
    await lite.ask("/resume", person="1")
    await trades(lite, "108")

    assert "more than 5% away from the last price 108.00" in await orders_said(lite, yes)
    assert await rows(lite, Signal) == []


async def test_parts_and_stops_that_move_are_shown_and_kept(lite: Chat) -> None:
    line = "/post btcusdt buy stop 95 targets 105:33.33%:entry 110:33.33%:previous 120:33.34% expires 24"

    said = await lite.said(line, person="1")
    await orders_said(lite, (await shown(lite, line))[0])

    assert "Target 1 105.00 (+5.00 %, +1.00 R): 33.33 % out, stop to 100.00" in said
    (signal,) = await rows(lite, Signal)
    assert [level.stop for level in signal.levels] == [Decimal(100), Decimal(105), None]
    assert [level.share for level in signal.levels] == [Decimal("0.3333"), Decimal("0.3333"), Decimal("0.3334")]
    assert signal.expires - signal.candle == 25 * 3_600_000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/post", "Write it so: /post BTC long 27400 stop 26900 targets 28000 28500 Why"),
        ("/post BTC", "Write it so:"),
        ("/post BTC long", "stop: it is missing."),
        ("/post BTC long 100 95 110", "stop: it is missing."),
        ("/post BTC up stop 95 targets 110", "direction: write long or short."),
        ("/post BTC long stop 95", "targets: "),
        ("/post BTC long stop 95 targets 1.2.3", "targets 1 price: '1.2.3' is no number."),
        ("/post BTC long stop 95 targets 110:50%", "add up to 1"),
        ("/post BTC long stop 95 targets 110 " + "x" * 401, "reason: "),
        ("/post DOGE long stop 95 targets 110", "DOGE is not among the watched markets"),
        ("/post BTC long stop 105 targets 110", "the stop must be below the entry"),
        ("/post ETH long stop 95 targets 110", "No price of ETH/USDT is known yet"),
    ],
)
async def test_what_is_no_signal_is_said_in_one_sentence(lite: Chat, line: str, words: str) -> None:
    assert words in await lite.said(line, person="1")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("BTC long 100 stop 95 target 110 stop hunts", {"entry": "100", "stop": "95", "reason": "stop hunts"}),
        ("BTC long sl 95 tp 110 reason 200 days", {"stop": "95", "reason": "200 days"}),
        ("BTC long Entry: 100 Stop: 95 Targets: 110", {"entry": "100", "stop": "95"}),
        ("BTC long targets 110 stop 95 expires 5 why not", {"stop": "95", "expires_after": "5", "reason": "why not"}),
    ],
)
def test_words_are_taken_where_they_belong(line: str, said: dict[str, str]) -> None:
    found = posting.said(line)

    assert [aim["price"] for aim in found.pop("targets")] == ["110"]
    assert found == {"symbol": "BTC", "direction": "long", **said}


@given(
    st.lists(st.sampled_from(["BTC", "long", "stop", "targets", "entry", "1", "2:50%:1", "x", ":%", "…", "expires"]))
)
def test_any_words_become_an_order_or_a_sentence(words: list[str]) -> None:
    with suppress(errors.RefusedError):
        assert orders.read(posting.said(" ".join(["BTC", "long", *words]))).targets


# --- the end


async def running(chat: Chat) -> int:
    await chat.pays("7")
    await orders_said(chat, (await shown(chat))[0])
    return int((await rows(chat, Signal))[-1].id)


async def test_an_end_is_shown_first_and_then_told_to_who_got_the_opening(chat: Chat) -> None:
    number = await running(chat)
    asked = await chat.ask(f"/close #{number}", person="1")
    said = asked.plain.replace("\u202f", " ").replace("\u2060", "")
    assert f"Close #{number} BTC/USDT long at 100.00?" in said
    assert "Result: −0.30 % (−0.06 R), withdrawn before it was filled" in said
    assert (await rows(chat, Signal))[-1].status == "open"

    yes, _ = labels(asked)
    said = await orders_said(chat, yes)

    assert "◇ Closed by the operator" in said
    assert "used up" in await orders_said(chat, yes)
    assert [(row.kind, row.event) for row in await rows(chat, Delivery)] == [
        ("opening", "opened"),
        ("update", "closed"),
    ]
    noted = [row for row in await rows(chat, Audit) if row.action == "signal_closed"]
    assert [row.details["price"] for row in noted] == ["100.00"]


async def test_an_end_may_have_a_price(lite: Chat) -> None:
    number = await running(lite)
    assert "more than 1% away" in await lite.said(f"/close {number} 102", person="1")

    yes, no = labels(await lite.ask(f"/close {number} 100.5", person="1"))
    assert "Discarded" in await orders_said(lite, no)
    assert "used up" in await orders_said(lite, yes)
    yes, _ = labels(await lite.ask(f"/close {number} 100.5", person="1"))
    await orders_said(lite, yes)

    assert (await rows(lite, Signal))[-1].close_price == Decimal("100.5")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/close", "Write it so: /close ID [PRICE]"),
        ("/close x", "Write it so:"),
        ("/close 1 x", "Write it so:"),
        ("/close 1 2 3", "Write it so:"),
        ("/close 1 0", "That is no price"),
        ("/close 99", "There is no signal #99"),
    ],
)
async def test_what_cannot_be_ended_is_said(lite: Chat, line: str, words: str) -> None:
    assert words in await lite.said(line, person="1")


def test_discord_has_both_among_the_commands_of_operators() -> None:
    admin = next(row for row in registration.table(a_book()) if row["name"] == "admin")
    rows = {row["name"]: [option["name"] for option in row["options"]] for row in admin["options"]}

    assert rows["post"] == ["pair", "direction", "stop", "targets", "entry", "expires", "reason"]
    assert rows["close"] == ["id", "price"]


def test_what_discord_asks_for_is_the_line_that_people_write() -> None:
    from bot.platforms.discord import events

    given_ = {"pair": "BTC/USDT", "direction": "long", "stop": "95", "targets": "105 110", "reason": "so it is"}
    options = [{"name": name, "value": value, "type": 3} for name, value in reversed(given_.items())]

    assert events._line("admin post", options) == "/post BTC/USDT long stop 95 targets 105 110 reason so it is"
    assert commands.BY_NAME["post"].slash == "admin post"
