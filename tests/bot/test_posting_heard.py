"""A signal by an operator's hand, and its end, are heard at once by whoever waits for signals, on any platform."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from bot import messages, platforms
from bot.platforms.discord import events
from bot.platforms.discord import platform as discord
from bot.platforms.telegram import platform as telegram
from core import catalogue, clock, db, inbox, models, stack
from core.market import candles, timeframes
from core.signals import record
from tests import conftest
from tests.bot import stage as stages
from tests.core import people

OPERATOR = 7
TOPICS = ("record", "status", "outbox:telegram", "outbox:discord")
BOOK = people.BOOK.model_copy(update={"watches": (catalogue.Watch(symbol=people.BTC),)})
KEY = candles.Key("binance", people.BTC, "1h")
NOW = datetime(2026, 1, 15, 12, 20, tzinfo=UTC)
SETTINGS = {
    "telegram_bot_token": "123456:canary-token-of-a-test-0123456789",
    "telegram_api_url": "http://127.0.0.1:9",
    "discord_bot_token": "canary.token",
    "discord_api_url": "http://127.0.0.1:9",
}


def on_telegram(number: int, line: str) -> tuple[str, bytes]:
    who = {"id": OPERATOR, "is_bot": False, "first_name": "Olga"}
    chat = {"id": OPERATOR, "type": "private", "first_name": "Olga"}
    message = {"message_id": number, "date": int(NOW.timestamp()), "from": who, "chat": chat, "text": line}
    return "message", orjson.dumps({"update_id": number, "message": message})


def on_discord(number: int, line: str) -> tuple[str, bytes]:
    data = {"component_type": 2, "custom_id": line}
    said = {"id": str(number), "type": 3, "token": f"token{number}", "data": data, "user": {"id": str(OPERATOR)}}
    return events.INTERACTION, events.asked(said, NOW)


PLATFORMS: dict[str, tuple[Any, Any]] = {
    "telegram": (telegram.Telegram, on_telegram),
    "discord": (discord.Discord, on_discord),
}


async def market(held: stack.Stack) -> None:
    """The market stands at 100.00."""
    running = timeframes.floor("1h", clock.to_ms(NOW))
    async with held.db.transaction() as session:
        await candles.keep(session, KEY, [stages.candle(running - back * stages.HOUR_MS) for back in range(30, 0, -1)])
        await candles.keep_tick(session, *KEY[:2], Decimal("0.01"), now=NOW)


async def heard(held: stack.Stack, bot: platforms.Platform, number: int, said: tuple[str, bytes]) -> set[str]:
    """The topics that were rung because of what somebody said."""
    kind, body = said
    async with held.db.transaction() as session:
        await inbox.put(session, bot.name, str(number), kind, body, now=NOW)
        [item] = await inbox.claim(session, bot.name, now=NOW, lease=60, limit=9)
    waits = {topic: asyncio.create_task(held.bell.wait(topic, 30, who="test")) for topic in TOPICS}
    await asyncio.sleep(0)
    await bot.apply(item)
    await asyncio.sleep(0)
    rung = {topic for topic, task in waits.items() if task.done()}
    for task in waits.values():
        task.cancel()
    return rung


@pytest.mark.parametrize("name", PLATFORMS)
async def test_a_signal_by_hand_and_its_end_wake_everybody(
    database: db.Database, make_stack: conftest.StackMaker, name: str
) -> None:
    build, says = PLATFORMS[name]
    held = await make_stack(database, book=BOOK, clock=lambda: NOW, admins=f"{name}:{OPERATOR}", **SETTINGS)
    bot: platforms.Platform = build(held)
    await market(held)
    for number, line in ((1, "/post BTC long stop 95 targets 110"), (3, "/close 1")):
        assert await heard(held, bot, number, says(number, line)) == {f"outbox:{name}"}
        [shown] = await people.deliveries(held.db, models.Delivery.key == f"{name}:{number}:0")
        yes = messages.Message.from_dict((shown.payload or {})["message"]).buttons[0][0].data
        assert await heard(held, bot, number + 1, says(number + 1, yes)) == {*TOPICS}
    async with held.db.reading() as session:
        assert (await record.head(session)).n == 2
        assert not record.grew(session)
