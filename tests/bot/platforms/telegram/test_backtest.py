"""A backtest from a question in the private chat to its curve there."""

import asyncio
from datetime import timedelta

import pytest

from bot import platforms, runner
from core import catalogue, members
from core.backtest import worker
from tests.bot import stage as stages
from tests.bot.platforms.telegram.conftest import ANN, GROUP, BotMaker, held
from tests.core import people
from tests.core.backtest import stored
from tests.sandbox import telegram

BOOK = catalogue.Catalogue(plans=(people.ALL,), watches=(catalogue.Watch(symbol=people.BTC),))


async def test_a_backtest_asked_in_a_group_is_answered_in_private_with_its_curve(
    world: telegram.Telegram, make_bot: BotMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = await make_bot(book=BOOK, lease_seconds=30.0, total=5.0)
    await stored.fill(held(bot).db)
    now = held(bot).clock()
    async with held(bot).db.transaction() as session:
        who = await members.arrive(session, "telegram", str(ANN), address=str(ANN), name="", username="ann", now=now)
        await people.subscription(session, who.member_id, now + timedelta(days=30))
    monkeypatch.setattr(platforms, "enabled", lambda _: [bot])
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(runner.run(held(bot), stop)),
        asyncio.create_task(_until(stop, worker.Worker(held(bot), stop))),
    ]

    await world.say(ANN, "/backtest btc mean_reversion", chat_id=GROUP)
    await stages.seen(lambda: len(answers(world)) == 2)
    stop.set()
    await asyncio.gather(*tasks)

    runs, result = answers(world)
    assert "is running" in runs.text
    assert result.text.startswith("Backtest · BTC/USDT · 1h")
    assert result.photo
    assert result.reply_to
    assert result.reply_to.id == runs.id
    assert [message.text for message in world.chat(GROUP)][1:] == ["I've sent it to you privately."]


def answers(world: telegram.Telegram) -> list[telegram.Message]:
    return [message for message in world.chat(ANN) if message.text.startswith(("The backtest", "Backtest"))]


async def _until(stop: asyncio.Event, works: worker.Worker) -> None:
    while not stop.is_set():
        await works.step()
