"""D06: what Discord asks us to wait for is waited for, and refused requests are counted before they are too many."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from bot import platforms
from bot.messages import text
from bot.platforms.discord import allowance, api, platform, wire
from core.delivery import outcomes
from tests.bot.platforms.discord.conftest import ANN, BOB, GENERAL, GUILD, SIGNALS, BotMaker, alarms, held
from tests.sandbox import discord

Fault, Kind = discord.Fault, discord.Kind
POST = "/channels/{channel_id}/messages"
HELLO = platforms.Parcel(str(GENERAL), text.message("Hello"))
ELSEWHERE = replace(HELLO, address=str(SIGNALS))


@pytest.fixture(autouse=True)
def _second_channel(world: discord.Discord) -> None:
    world.channel(GUILD, SIGNALS, "signals")


def in_pause(world: discord.Discord) -> int:
    return len(world.history.of("discord_request_in_pause"))


async def test_d06_a_full_bucket_pauses_its_channel_alone(world: discord.Discord, bot: platform.Discord) -> None:
    world.faults.add(Fault(Kind.RATE_LIMIT, "POST", POST, retry_after=0.3))

    first = await bot.send(HELLO)
    again = await bot.send(HELLO)

    assert first == outcomes.NotSent("Discord: 429 (user)", after=0.3, pause="chat")
    assert isinstance(again, outcomes.NotSent)
    assert again.after
    assert isinstance(await bot.send(ELSEWHERE), outcomes.Sent)
    await asyncio.sleep(0.35)
    assert isinstance(await bot.send(HELLO), outcomes.Sent)
    assert in_pause(world) == 0


async def test_d06_the_global_limit_pauses_everything(world: discord.Discord, bot: platform.Discord) -> None:
    world.faults.add(Fault(Kind.RATE_LIMIT, "POST", POST, retry_after=0.3, scope="global"))

    assert await bot.send(HELLO) == outcomes.NotSent("Discord: 429 (global)", after=0.3, pause="all")
    for act in ("give", "take"):
        door = await bot.attempt(platforms.Act(act, "lounge", str(GUILD), "1", str(ANN)))
        assert isinstance(door, outcomes.NotSent)
        assert door.pause == "all"
    assert isinstance(await bot.send(ELSEWHERE), outcomes.NotSent)
    await asyncio.sleep(0.35)
    assert isinstance(await bot.send(ELSEWHERE), outcomes.Sent)
    assert in_pause(world) == 0


async def test_d06_cloudflare_pauses_even_answers(world: discord.Discord, bot: platform.Discord) -> None:
    fault = world.faults.add(Fault(Kind.CLOUDFLARE, "POST", POST))

    first = await bot.send(HELLO)

    assert first == outcomes.NotSent("Discord: Cloudflare turns us away", after=60.0, pause="all")
    for parcel in (ELSEWHERE, replace(HELLO, address="!token")):
        outcome = await bot.send(parcel)
        assert isinstance(outcome, outcomes.NotSent)
        assert outcome.pause == "all"
    assert fault.hits == 1


async def test_d06_the_thousandth_refusal_stops_everything_with_an_alarm(
    world: discord.Discord, make_bot: BotMaker
) -> None:
    bot = await make_bot()
    bot._api.allowance._invalid = 20
    world.close_dms(ANN)
    refused = [await bot.send(replace(HELLO, address=f"@{ANN}")) for _ in range(25)]

    assert [type(outcome) for outcome in refused] == [outcomes.Blocked] * 20 + [outcomes.NotSent] * 5
    assert world.invalid_requests == 20
    stopped = await bot.send(HELLO)
    assert isinstance(stopped, outcomes.NotSent)
    assert stopped.after == pytest.approx(600, abs=10)
    assert "discord.refused" in await alarms(bot)
    bot._api.allowance._refused.clear()
    assert isinstance(await bot.send(HELLO), outcomes.Sent)
    assert "discord.refused" not in await alarms(bot)


async def test_a_shared_limit_is_nobodys_fault(world: discord.Discord, bot: platform.Discord) -> None:
    world.faults.add(Fault(Kind.RATE_LIMIT, "POST", POST, retry_after=0.1, scope="shared"))
    assert await bot.send(HELLO) == outcomes.NotSent("Discord: 429 (shared)", after=0.1, pause="chat")
    assert len(bot._api.allowance._refused) == 0
    assert world.invalid_requests == 0


async def test_what_used_up_a_limit_is_known_at_once_and_who_comes_later_is_told_when(
    world: discord.Discord, bot: platform.Discord
) -> None:
    world.limiter.limits = discord.Limits(messages=(2, 5.0))
    async with asyncio.timeout(2):  # the library alone would sleep for five seconds after the second message
        sent = [await bot.send(HELLO) for _ in range(4)]

    assert [type(outcome) for outcome in sent] == [outcomes.Sent] * 2 + [outcomes.NotSent] * 2
    waits = [outcome.after for outcome in sent if isinstance(outcome, outcomes.NotSent) and outcome.after]
    assert waits == pytest.approx([6, 7], abs=0.5)
    assert world.history.of("discord_refused") == []


async def test_many_at_once_never_ask_more_than_was_granted(world: discord.Discord, bot: platform.Discord) -> None:
    world.limiter.limits = discord.Limits(roles=(5, 5.0))
    role = world.role(GUILD, "Member")
    act = platforms.Act("give", "lounge", str(GUILD), str(role.id), str(ANN))
    assert await bot.attempt(act) == outcomes.Sent("")

    done = await asyncio.gather(*(bot.attempt(replace(act, user=str(BOB))) for _ in range(40)))

    assert sum(isinstance(outcome, outcomes.Sent) for outcome in done) == 4
    assert world.history.of("discord_refused") == []
    later = sorted(outcome.after or 0 for outcome in done if isinstance(outcome, outcomes.NotSent))
    assert len(set(map(round, later))) == 36


async def test_what_only_waited_was_not_sent(world: discord.Discord, make_bot: BotMaker) -> None:
    bot = await make_bot(total=0.2)
    client = bot._api._client
    assert client
    client.http._global_over.clear()  # the library waits by itself
    assert await bot.send(HELLO) == outcomes.NotSent("Discord: its turn did not come within 0.2 seconds")
    client.http._global_over.set()
    assert world.messages(GENERAL) == []
    assert isinstance(await bot.send(HELLO), outcomes.Sent)


# --- the account by itself


class Watch:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Iterator[Watch]:
    return Watch()


def test_refusals_are_forgotten_after_ten_minutes(watch: Watch) -> None:
    account = allowance.Allowance(invalid=3, clock=watch)
    for status in (401, 403, 429, 404, 200):
        account.told("x", status, {"Via": "1"}, None)
        watch.now += 100
    with pytest.raises(wire.NotBegunError, match="too many refused") as caught, account.taken("x"):
        pass
    assert caught.value.after == 100
    with account.taken("x", free=True):
        pass
    watch.now += 100
    with account.taken("x"):
        pass


def test_a_new_window_opens_without_being_told(watch: Watch) -> None:
    account = allowance.Allowance(clock=watch)
    headers = {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "5"}
    account.told("x", 200, headers, None)
    with pytest.raises(wire.NotBegunError), account.taken("x"):
        pass
    watch.now += 5
    with ExitStack() as flying:
        flying.enter_context(account.taken("x"))
        flying.enter_context(account.taken("x"))
        with pytest.raises(wire.NotBegunError), account.taken("x"):
            pass
    with account.taken("x"), account.taken("x"):
        pass


def test_what_nobody_uses_is_forgotten(watch: Watch) -> None:
    account = allowance.Allowance(clock=watch)
    for number in range(2500):
        with account.taken(f"POST {number}"):
            pass
    assert len(account._rooms) <= 1001


def test_the_usual_limit_is_a_tenth_of_discords(bot: platform.Discord) -> None:
    assert bot._api.allowance._invalid == allowance.INVALID == 1000
    assert api.TOTAL < 15
    assert held(bot)
