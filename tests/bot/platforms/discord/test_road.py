"""The whole role on Discord: questions, signals in the place and in private, doors, outages on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot import platforms, runner
from bot.platforms.discord import platform
from core import access, members, models, places
from core.delivery import fanout
from core.models import Delivery, State
from tests.bot import stage as stages
from tests.bot.platforms.discord.conftest import (
    ANN,
    BOB,
    GUILD,
    PLACE,
    SIGNALS,
    BotMaker,
    Clock,
    alarms,
    held,
    open_place,
    rows,
)
from tests.core import people
from tests.sandbox import discord

Fault, Kind = discord.Fault, discord.Kind
POST = "/channels/{channel_id}/messages"


@asynccontextmanager
async def running(bot: platform.Discord) -> AsyncIterator[None]:
    """The role runs until the block ends; then it stops in good order."""
    stop = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platforms, "enabled", lambda _: [bot])
        task = asyncio.create_task(runner.run(held(bot), stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=25)
    task.result()


@pytest.fixture
async def role(world: discord.Discord, bot: platform.Discord) -> discord.Role:
    made = world.role(GUILD, "Member")
    world.channel(GUILD, SIGNALS, "signals", private_to=[made.id])
    await open_place(bot, made.id, SIGNALS)
    return made


async def pays(bot: platform.Discord, user: int, *, route: str = "") -> models.Identity:
    now = held(bot).clock()
    async with held(bot).db.transaction() as session:
        who = await members.arrive(
            session, "discord", str(user), address=f"@{user}", name="", username=None, now=now, reachable=False
        )
        who.route = route
        await people.subscription(session, who.member_id, now + timedelta(days=30))
        await places.settle(session, who.member_id, now=now)
    held(bot).deliver()
    return who


async def published(bot: platform.Discord) -> models.Signal:
    """A signal is on its way to the place and to everybody who reads it in private."""
    now, book = held(bot).clock(), held(bot).catalogue
    async with held(bot).db.transaction() as session:
        signal = await people.signal(session, now)
        who = await access.recipients(session, book, signal.symbol, now=now)
        until = now + people.HOUR
        await fanout.open_up(session, signal.id, who, now=now, expires_at=until)
        found = await places.carrying(session, signal.symbol)
        await fanout.post(session, signal.id, found, now=now, expires_at=until)
    held(bot).deliver()
    return signal


async def ended(bot: platform.Discord, signal: models.Signal) -> None:
    """The signal has hit its target, and its update is on its way."""
    now = held(bot).clock()
    async with held(bot).db.transaction() as session:
        row = await session.get_one(models.Signal, signal.id)
        row.status, row.close_price = models.SignalStatus.TARGET, row.target
        row.close_candle, row.closed_at = row.candle + 3 * stages.HOUR_MS, now
        await session.flush()
        await fanout.follow_up(session, signal.id, "target", now=now)
    held(bot).deliver()


async def settled(bot: platform.Discord) -> None:
    async def none() -> bool:
        return not await rows(bot, Delivery.state.in_(stages.UNSETTLED))

    await stages.until(none)


async def test_a_subscriber_asks_enters_and_reads_a_signal_and_its_end(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    async with running(bot):
        await stages.seen(lambda: world.gateway.live)
        asked = await world.slash(BOB, "start", guild_id=GUILD)
        assert await asked.answered()
        await pays(bot, ANN)
        await stages.seen(lambda: world.members_with(GUILD, role.id) == {ANN})
        await pays(bot, BOB, route="private")
        signal = await published(bot)
        await settled(bot)
        await ended(bot, signal)
        await settled(bot)

    for lying in (world.messages(SIGNALS), world.dm(BOB)):
        opening, update = lying
        assert opening.embeds[0]["title"].startswith("▲ Long BTC/USDT")
        assert update.embeds[0]["title"].startswith("✓ Target hit")
        assert update.reply_to == opening.id
        assert opening.nonce
        assert opening.nonce != update.nonce
    assert world.dm(ANN) == []
    assert world.messages(SIGNALS)[0].components == []
    assert {row["public"] for row in world.history.of("discord_message")} == {False}


@pytest.mark.parametrize("kind", [Kind.STORE_THEN_ERROR, Kind.STORE_THEN_DROP, Kind.STORE_THEN_NOT_JSON])
async def test_d01_a_doubtful_opening_is_one_message_and_not_marked(
    world: discord.Discord, bot: platform.Discord, role: discord.Role, kind: Kind
) -> None:
    world.faults.add(Fault(kind, "POST", POST, times=2))
    async with running(bot):
        await stages.seen(lambda: world.gateway.live)
        await published(bot)
        await settled(bot)
    [message] = world.messages(SIGNALS)
    assert "(repeat)" not in message.text
    [row] = await rows(bot)
    assert (State(row.state), row.message_id, row.ambiguities) == (State.SENT, str(message.id), 2)


async def test_d04_a_long_outage_after_a_doubtful_opening_is_one_message(
    world: discord.Discord, bot: platform.Discord, role: discord.Role, moments: Clock
) -> None:
    fault = world.faults.add(Fault(Kind.STORE_THEN_ERROR, "POST", POST, times=None))
    async with running(bot):
        await stages.seen(lambda: world.gateway.live)
        await published(bot)
        await stages.seen(lambda: fault.hits >= 1)
        moments.ahead = 600
        world.faults.clear()
        await settled(bot)
    assert len(world.messages(SIGNALS)) == 1


async def test_d12_who_takes_no_private_messages_still_reads_the_place(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    world.close_dms(ANN)
    async with running(bot):
        await pays(bot, ANN, route="private")
        await stages.seen(lambda: world.members_with(GUILD, role.id) == {ANN})
        await published(bot)
        await settled(bot)
    assert world.dm(ANN) == []
    assert len(world.messages(SIGNALS)) == 1
    async with held(bot).db.reading() as session:
        identity = (await session.scalars(select(models.Identity))).one()
    assert identity.blocked_at is not None


async def test_d13_a_role_that_cannot_be_given_is_an_alarm_and_nobody_counts_as_inside(
    world: discord.Discord, bot: platform.Discord, role: discord.Role
) -> None:
    world.move_role(GUILD, role.id, 2)
    async with running(bot):
        await stages.seen(lambda: world.gateway.live)
        await pays(bot, ANN)

        async def alarmed() -> bool:
            return f"place:{PLACE}" in await alarms(bot)

        async def calm() -> bool:
            return not await alarmed()

        await stages.until(alarmed)
        async with held(bot).db.reading() as session:
            inside = select(models.Presence.inside).where(models.Presence.external_id == str(ANN))
            assert not await session.scalar(inside)
        world.move_role(GUILD, role.id, 1)  # the owner has read the alarm
        await stages.seen(lambda: world.members_with(GUILD, role.id) == {ANN})
        await stages.until(calm)


async def test_a_thousand_doors_do_not_hold_up_a_signal(
    world: discord.Discord, make_bot: BotMaker, bot: platform.Discord, role: discord.Role
) -> None:
    world.limiter.limits = discord.Limits()  # ten roles in ten seconds, and all the others
    for number in range(8000, 8060):
        world.user(number, f"N{number}")
        world.join(GUILD, number)
    async with running(bot):
        await stages.seen(lambda: world.gateway.live)
        for number in range(8000, 8060):
            await pays(bot, number)
        await asyncio.sleep(0.5)
        await published(bot)
        await stages.seen(lambda: world.messages(SIGNALS), 4)
        assert len(world.members_with(GUILD, role.id)) < 60
    assert world.history.of("discord_refused") == []
