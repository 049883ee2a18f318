"""A backtest from a slash command to its curve, which only the asker sees."""

import asyncio

from bot.platforms.discord import platform, registration
from core import catalogue, strategies
from core.backtest import worker
from tests.bot import stage as stages
from tests.bot.platforms.discord.conftest import ANN, BOB, GENERAL, GUILD, BotMaker, held, listening_to
from tests.bot.platforms.discord.test_road import pays, running, settled
from tests.core import people
from tests.core.backtest import stored
from tests.sandbox import discord

BOOK = catalogue.Catalogue(
    plans=(people.ALL,),
    watches=tuple(catalogue.Watch(symbol=people.BTC, timeframe=name) for name in ("1d", "1h")),
)
OPTIONS = {"pair": "BTC/USDT", "strategy": "mean_reversion", "timeframe": "1h"}


async def computed(bot: platform.Discord) -> None:
    """A scheduler elsewhere has worked off the oldest job."""
    await worker.Worker(held(bot), asyncio.Event()).step()


async def test_a_backtest_is_asked_runs_and_is_answered_with_its_curve_to_the_asker_alone(
    world: discord.Discord, make_bot: BotMaker
) -> None:
    bot = await make_bot(book=BOOK)
    await stored.fill(held(bot).db)
    await pays(bot, ANN)
    async with running(bot):
        await stages.seen(lambda: world.gateway.live)
        asked = await world.slash(ANN, "signals backtest", OPTIONS, guild_id=GUILD)
        said = await asked.answered()
        assert said
        first = said.text
        await computed(bot)
        await settled(bot)
        stranger = await world.slash(BOB, "signals backtest", OPTIONS, guild_id=GUILD)
        refused = await stranger.answered()

    assert "is running" in first
    assert asked.original
    assert asked.original.embeds[0]["title"].startswith("Backtest · BTC/USDT · 1h")
    assert "It promises nothing" in asked.original.embeds[0]["description"]
    assert [file.filename for file in asked.original.files.values()] == ["chart.png"]
    assert asked.original.seen_by == ANN
    assert refused
    assert "Backtests are for subscribers" in refused.text
    assert world.messages(GENERAL) == []
    assert world.dm(ANN) == []


async def test_strategies_and_timeframes_are_choices_and_pairs_are_completed(
    world: discord.Discord, make_bot: BotMaker
) -> None:
    bot = await make_bot(book=BOOK)
    [group] = [one for one in registration.table(BOOK) if one["name"] == "signals"]
    [command] = [one for one in group["options"] if one["name"] == "backtest"]
    pair, strategy, timeframe = command["options"]

    assert pair["autocomplete"]
    assert [choice["value"] for choice in strategy["choices"]] == strategies.names()
    assert [choice["value"] for choice in timeframe["choices"]] == ["1h", "1d"]
    async with listening_to(bot, world):
        typed = await world.autocomplete(ANN, "signals backtest", {}, focused="pair", value="bt", guild_id=GUILD)
        await typed.answered()
    assert [choice["value"] for choice in typed.choices or []] == ["BTC/USDT"]
