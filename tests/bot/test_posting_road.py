"""The whole road of a signal by hand: from an order to a picture in a chat, and to the reply that ends it."""

from decimal import Decimal

import pytest

from core import catalogue, clock, models
from core.market import candles, timeframes
from core.signals import closing, lifecycle, orders, outside, publish
from tests.bot import stage as stages
from tests.core import people

BOOK = people.BOOK.model_copy(update={"watches": (catalogue.Watch(symbol=people.BTC),)})
KEY = candles.Key("binance", people.BTC, "1h")
PARTS = [{"price": "102", "share": "0.5", "stop": "entry"}, {"price": "104", "share": "0.5"}]


async def posted(stage: stages.Stage) -> int:
    """The number of a long signal in two parts over a market at 100.00."""
    now = stage.now()
    running = timeframes.floor("1h", clock.to_ms(now))
    async with stage.held.db.transaction() as session:
        await candles.keep(session, KEY, [stages.candle(running - back * stages.HOUR_MS) for back in range(30, 0, -1)])
        await candles.keep_tick(session, *KEY[:2], Decimal("0.01"), now=now)
        said = {"symbol": "BTC", "direction": "long", "stop": "95", "targets": PARTS, "reason": "A level held."}
        taken = await outside.take(session, BOOK, outside.OPERATOR, orders.read(said), at=now, now=now)
    stage.ring()
    return taken.signal


async def seen(stage: stages.Stage, number: int, event: str) -> None:
    """The first part has left, or the operator has ended the rest."""
    async with stage.held.db.transaction() as session:
        if event == "closed":
            await closing.close(session, number, now=stage.now())
        else:
            signal = await session.get_one(models.Signal, number)
            after = signal.candle + stages.HOUR_MS
            candle = candles.Candle(after, *map(Decimal, ("100", "102.5", "99.5", "102", "5")))
            await candles.keep(session, KEY, [candle])
            signal.followed_to = after
            position, changes = lifecycle.step(lifecycle.position(signal), candle)
            await publish.changed(session, signal, position, changes, now=stage.now())
    stage.ring()


@pytest.mark.parametrize("first", [(), ("target1",)])
async def test_what_an_operator_posts_lies_in_the_chat_with_its_picture_and_its_end(
    stage: stages.Stage, first: tuple[str, ...]
) -> None:
    [chat] = await stage.join(1)
    number = await posted(stage)
    await stage.delivered()
    for event in (*first, "closed"):
        if first:
            stage.clock.ahead = people.HOUR
        await seen(stage, number, event)
        await stage.delivered()

    opening, *replies = stage.world.chat(chat)

    assert opening.photo
    assert opening.text.startswith(f"▲ Long BTC/USDT · 1h · #{number}\nEntry 100.00\nTarget 1 102.00")
    assert "A level held." in opening.text
    assert [reply.reply_to is opening for reply in replies] == [True] * (len(first) + 1)
    assert [reply.text.split("·")[0].strip() for reply in replies] == [
        *(["◐ Target 1 of 2 hit"] if first else []),
        "◇ Closed by the operator" + (" after target 1 of 2" if first else ""),
    ]
