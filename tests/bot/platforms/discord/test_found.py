"""D04: a resend after Discord has forgotten the nonce looks first whether the message lies there."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot import platforms
from bot.messages import text
from bot.platforms.discord import platform
from core.delivery import outcomes
from tests.bot.platforms.discord.conftest import ANN, GENERAL, GUILD, Clock
from tests.sandbox import discord
from tests.sandbox import discord_permissions as may

Fault, Kind = discord.Fault, discord.Kind
POST = "/channels/{channel_id}/messages"
MESSAGE = text.message(text.line(text.bold("▲ Long *BTC*")), "Entry 100 - 1. of 2", text.line(text.italic("Risk")))
PARCEL = platforms.Parcel(str(GENERAL), MESSAGE, nonce="N" * 24)


async def resent(world: discord.Discord, bot: platform.Discord, moments: Clock, parcel: platforms.Parcel) -> list[int]:
    """The message was stored, the answer was lost, and after a while it is sent again; what lies in the channel."""
    since = moments() - timedelta(seconds=moments.ahead)
    outcome = await bot.send(replace(parcel, since=since))
    lying = world.dm(ANN) if parcel.address.startswith("@") else world.messages(GENERAL)
    assert isinstance(outcome, outcomes.Sent)
    assert outcome.message_id in {str(message.id) for message in lying}
    return [message.id for message in lying]


@pytest.mark.parametrize("seconds", [60, 130, 600])
@pytest.mark.parametrize("chat", [str(GENERAL), f"@{ANN}"])
@pytest.mark.parametrize("plain", [False, True])
async def test_d04_a_restart_after_any_time_makes_no_second_message(
    world: discord.Discord, bot: platform.Discord, moments: Clock, seconds: int, chat: str, plain: bool
) -> None:
    parcel = replace(PARCEL, address=chat, plain=plain)
    world.faults.add(Fault(Kind.STORE_THEN_DROP, "POST", POST))
    first = await bot.send(parcel)
    assert isinstance(first, outcomes.Ambiguous)
    moments.ahead = seconds
    assert len(await resent(world, bot, moments, parcel)) == 1


@pytest.mark.parametrize("seconds", [60, 600])
async def test_d04_what_never_arrived_is_sent(
    world: discord.Discord, bot: platform.Discord, moments: Clock, seconds: int
) -> None:
    await bot.send(replace(PARCEL, nonce="O" * 24, message=text.message("Other")))
    world.faults.add(Fault(Kind.DROP, "POST", POST))
    await bot.send(PARCEL)
    moments.ahead = seconds
    assert len(await resent(world, bot, moments, PARCEL)) == 2


async def test_d04_it_is_found_among_very_many(world: discord.Discord, bot: platform.Discord, moments: Clock) -> None:
    world.faults.add(Fault(Kind.STORE_THEN_DROP, "POST", POST, skip=120))
    for number in range(120):
        await bot.send(replace(PARCEL, nonce=f"{number:024}", message=text.message(f"No. {number}")))
    await bot.send(PARCEL)
    moments.ahead = 600
    assert len(await resent(world, bot, moments, PARCEL)) == 121


async def test_d04_an_unreadable_history_is_for_nobody_to_tell(
    world: discord.Discord, bot: platform.Discord, moments: Clock
) -> None:
    world.faults.add(Fault(Kind.STORE_THEN_DROP, "POST", POST))
    await bot.send(PARCEL)
    for role in world.guilds[GUILD].roles.values():
        role.permissions &= ~may.READ_MESSAGE_HISTORY
    moments.ahead = 600
    since = moments() - timedelta(seconds=600)

    outcome = await bot.send(replace(PARCEL, since=since))

    assert outcome == outcomes.Ambiguous("it may lie in the channel, whose history we may not read")
    assert len(world.messages(GENERAL)) == 1


async def test_d04_an_outage_while_looking_is_harmless(
    world: discord.Discord, bot: platform.Discord, moments: Clock
) -> None:
    moments.ahead = 600
    world.faults.add(Fault(Kind.SERVER_ERROR, "GET", POST))
    outcome = await bot.send(replace(PARCEL, since=moments() - timedelta(seconds=600)))
    assert outcome == outcomes.Ambiguous("Discord: Discord answered 500", harmless=True)
    assert world.messages(GENERAL) == []
