"""The gateway: one listener at a time, silence and lost connections, endings for good, and counted sign-ins."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bot import runner
from bot.platforms.discord import listening, platform
from core import errors, health, leases, models, work
from tests.bot import stage as stages
from tests.bot.platforms.discord.conftest import (
    ANN,
    GUILD,
    QUICK,
    BotMaker,
    Clock,
    alarms,
    applied,
    held,
    listening_to,
    open_place,
)
from tests.sandbox import discord


async def counted(bot: platform.Discord) -> int:
    async with held(bot).db.reading() as session:
        return await session.scalar(select(func.count()).select_from(models.Identify)) or 0


async def sign_ins(bot: platform.Discord, number: int, *, ago: timedelta) -> None:
    """So many sign-ins were made then."""
    async with held(bot).db.transaction() as session:
        at = held(bot).clock() - ago
        session.add_all(models.Identify(platform="discord", at=at) for _ in range(number))


async def test_it_signs_in_once_and_shows_signs_of_life(world: discord.Discord, make_bot: BotMaker) -> None:
    world.gateway.heartbeat_interval = 0.05
    bot = await make_bot(lease_seconds=1.0)
    began = bot.last_progress
    async with listening_to(bot, world):
        await stages.seen(lambda: bot.last_progress > began)
        [session] = world.gateway.live
        assert session.intents == 1 << 0 | 1 << 1

        async def beaten() -> Any:
            async with held(bot).db.reading() as reading:
                return await reading.get(models.Heartbeat, listening.LEASE)

        await stages.until(beaten)
    assert (world.gateway.identifies, await counted(bot)) == (1, 1)
    async with held(bot).db.reading() as session_after:
        assert await session_after.get(models.Heartbeat, listening.LEASE) is None
        assert (await session_after.get_one(models.Lease, listening.LEASE)).holder == ""


@pytest.mark.parametrize("code", [1006, 4000, 1001])
async def test_a_lost_connection_is_resumed_and_nothing_is_missed(
    world: discord.Discord, bot: platform.Discord, code: int
) -> None:
    role = world.role(GUILD, "Member")
    await open_place(bot, role.id, 0)
    async with listening_to(bot, world):
        await applied(bot)  # the look at the server after signing in
        dropping = asyncio.ensure_future(world.gateway.drop(code))
        world.add_role(GUILD, ANN, role.id)
        await dropping
        await applied(bot)
        assert await present(bot) == {str(ANN): True}
    assert (world.gateway.resumes, world.gateway.identifies, await counted(bot)) == (1, 1, 1)


async def present(bot: platform.Discord) -> dict[str, bool]:
    async with held(bot).db.reading() as session:
        rows = await session.scalars(select(models.Presence))
        return {row.external_id: row.inside for row in rows}


async def test_a_wish_to_reconnect_is_granted(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world):
        world.gateway.reconnect()
        await stages.seen(lambda: world.gateway.resumes == 1)
    assert world.gateway.identifies == 1


async def test_a_forgotten_session_is_begun_anew_and_counted(world: discord.Discord, bot: platform.Discord) -> None:
    async with listening_to(bot, world):
        world.gateway.forget_sessions()
        await world.gateway.drop(4000)
        await stages.seen(lambda: world.gateway.identifies == 2 and world.gateway.live)
    assert await counted(bot) == 2


@pytest.mark.parametrize("beat", [0.05, 0.35])
async def test_d08_a_silent_gateway_is_left_and_the_session_resumed(
    world: discord.Discord, make_bot: BotMaker, beat: float
) -> None:
    """The library notices by its heartbeats, or by having heard nothing; either way it waits for no farewell."""
    world.gateway.heartbeat_interval = beat
    bot = await make_bot(timing=listening.Timing(**{**vars_of(QUICK), "heartbeat": 0.5}))
    async with listening_to(bot, world):
        world.gateway.freeze()
        await asyncio.sleep(0.2)
        silent = bot.last_progress
        await stages.seen(lambda: world.gateway.connections >= 2, 5)
        world.gateway.thaw()
        await stages.seen(lambda: world.gateway.resumes and bot.last_progress > silent)
    assert world.gateway.identifies == 1


def vars_of(timing: listening.Timing) -> dict[str, Any]:
    return {name: getattr(timing, name) for name in timing.__slots__}


async def test_d08_a_gateway_that_stays_silent_ends_the_process_with_one_clear_line(
    world: discord.Discord, make_bot: BotMaker
) -> None:
    world.gateway.heartbeat_interval = 0.05
    bot = await make_bot(timing=listening.Timing(**{**vars_of(QUICK), "heartbeat": 0.3}))
    pulse = runner._Listening(held(bot), bot)
    assert pulse.limit == 90
    pulse.limit = 1.0
    async with listening_to(bot, world):
        watching = asyncio.create_task(work.watch([pulse], asyncio.Event()))
        await asyncio.sleep(1.5)
        assert not watching.done()
        world.gateway.freeze()
        with pytest.raises(errors.UnreachableError, match=r"discord\.poller has made no progress"):
            await asyncio.wait_for(watching, 5)
        began = time.monotonic()
    assert time.monotonic() - began < 3  # it stops all the same
    world.gateway.thaw()


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (4004, errors.ConfigError, "DISCORD_BOT_TOKEN is refused"),
        (4013, errors.ConfigError, "Server Members Intent"),
        (4014, errors.ConfigError, "Server Members Intent"),
        (4010, errors.UnreachableError, "the code 4010"),
        (4011, errors.UnreachableError, "the code 4011"),
        (4012, errors.UnreachableError, "the code 4012"),
    ],
)
async def test_what_cannot_get_better_ends_with_one_clear_line(
    world: discord.Discord, bot: platform.Discord, code: int, error: type[Exception], words: str
) -> None:
    async with listening_to(bot, world) as task:
        await world.gateway.drop(code)
        await asyncio.wait({task}, timeout=5)
        with pytest.raises(error, match=words):
            task.result()
    assert world.gateway.identifies == 1


async def test_a_switched_off_intent_is_said(world: discord.Discord, bot: platform.Discord) -> None:
    world.gateway.privileged = False
    with pytest.raises(errors.ConfigError, match="Bot page in the Developer Portal"):
        await asyncio.wait_for(bot.listen(), 5)


async def test_a_token_that_was_exchanged_is_said(world: discord.Discord, bot: platform.Discord) -> None:
    world.token = "another"
    with pytest.raises(errors.ConfigError, match="DISCORD_BOT_TOKEN"):
        await asyncio.wait_for(bot.listen(), 5)


async def test_an_outage_of_the_gateway_is_outlasted(world: discord.Discord, bot: platform.Discord) -> None:
    world.gateway.down = True
    task = asyncio.create_task(bot.listen())
    await asyncio.sleep(0.3)
    assert not task.done()
    assert await counted(bot) == 0
    world.gateway.down = False
    await stages.seen(lambda: world.gateway.live)
    task.cancel()
    await asyncio.wait({task})


async def test_one_process_listens_and_the_next_takes_over(world: discord.Discord, make_bot: BotMaker) -> None:
    first, second = await make_bot(lease_seconds=1.0), await make_bot(lease_seconds=1.0)
    async with listening_to(first, world) as leader:
        waiting = asyncio.create_task(second.listen())
        await asyncio.sleep(1.5)
        assert (world.gateway.identifies, len(world.gateway.live)) == (1, 1)
        assert time.monotonic() - second.last_progress < 1
        leader.cancel()
        await asyncio.wait({leader})
        await stages.seen(lambda: world.gateway.identifies == 2 and len(world.gateway.live) == 1)
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_who_was_asleep_too_long_leaves_the_gateway_to_the_other(
    world: discord.Discord, make_bot: BotMaker
) -> None:
    bot = await make_bot(lease_seconds=1.0)
    async with listening_to(bot, world):
        async with held(bot).db.transaction() as session:
            lease = await session.get_one(models.Lease, listening.LEASE)
            now = held(bot).clock()
            lease.holder, lease.epoch, lease.until = "another", lease.epoch + 1, now + timedelta(seconds=60)
        await stages.seen(lambda: not world.gateway.live)
        assert world.gateway.identifies == 1
        async with held(bot).db.transaction() as session:
            await leases.release(session, listening.LEASE, lease.epoch, now=held(bot).clock())
        await stages.seen(lambda: world.gateway.live)


async def test_d09_the_days_sign_ins_are_counted_and_the_two_hundredth_is_the_last(
    world: discord.Discord, bot: platform.Discord, moments: Clock
) -> None:
    await sign_ins(bot, 200, ago=timedelta(hours=20))
    bot.last_progress = 0
    task = asyncio.create_task(bot.listen())

    async def alarmed() -> bool:
        return listening.SIGN_INS in await alarms(bot)

    await stages.until(alarmed)
    assert "take the bot's token away" in (await alarms(bot))[listening.SIGN_INS]
    assert (world.gateway.connections, await counted(bot)) == (0, 200)
    assert time.monotonic() - bot.last_progress < 5  # ending the process would change nothing
    moments.ahead = 5 * 3600
    await stages.seen(lambda: world.gateway.live)
    assert await counted(bot) == 201
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task})


async def test_d09_the_alarm_ends_with_the_next_session(
    world: discord.Discord, make_bot: BotMaker, moments: Clock
) -> None:
    bot = await make_bot(lease_seconds=0.3 * 10)
    async with held(bot).db.transaction() as session:
        await health.alarm(session, listening.SIGN_INS, "of an earlier process", now=held(bot).clock())
    async with listening_to(bot, world):

        async def silent() -> bool:
            return listening.SIGN_INS not in await alarms(bot)

        await stages.until(silent)


async def test_d09_a_crash_loop_is_slowed_down(world: discord.Discord, make_bot: BotMaker, moments: Clock) -> None:
    for _ in range(5):
        bot = await make_bot()
        async with listening_to(bot, world):
            pass
    sixth = await make_bot()
    task = asyncio.create_task(sixth.listen())
    await asyncio.sleep(0.3)
    assert world.gateway.identifies == 5
    moments.ahead = 6
    await stages.seen(lambda: world.gateway.identifies == 6)
    task.cancel()
    await asyncio.wait({task})


async def test_d09_what_discord_itself_has_left_is_respected(world: discord.Discord, bot: platform.Discord) -> None:
    world.gateway.session_limit.remaining = 0
    task = asyncio.create_task(bot.listen())

    async def alarmed() -> bool:
        return listening.SIGN_INS in await alarms(bot)

    await stages.until(alarmed)
    assert world.gateway.connections == 0
    world.gateway.session_limit.remaining = 10
    await stages.seen(lambda: world.gateway.live)
    task.cancel()
    await asyncio.wait({task})


async def test_d14_fifty_reconnects_tell_no_commands(world: discord.Discord, make_bot: BotMaker) -> None:
    bot = await make_bot(fresh=True)
    async with listening_to(bot, world):
        for number in range(50):
            await world.gateway.drop(4000)
            await stages.seen(lambda number=number: world.gateway.resumes == number + 1 and world.gateway.live)
    assert len(world.history.of("discord_commands_put")) == 1
    assert world.gateway.identifies == 1
