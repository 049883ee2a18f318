"""Faults and limits of the Discord stand-in, as the real discord.py and a bare HTTP client see them."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import discord as dpy
import pytest

from tests.sandbox import discord
from tests.sandbox.test_discord import (
    ANN,
    GENERAL,
    GUILD,
    SIGNALS,
    client,
    new_world,
    redirected,
    running,
    text_channel,
    until,
)

Fault = discord.Fault
Kind = discord.Kind
Limits = discord.Limits
POST = {"method": "POST", "route": "/messages"}


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def world() -> discord.Discord:
    return new_world()


@pytest.fixture
async def bot(world: discord.Discord) -> AsyncIterator[dpy.AutoShardedClient]:
    async with redirected(world), running(client()) as bot:
        yield bot
    assert world.violations == []


@asynccontextmanager
async def bare(world: discord.Discord) -> AsyncIterator[Any]:
    """Sends a message to #general and returns status, body and headers; knows no limit and tries nothing twice."""
    async with redirected(world) as url, aiohttp.ClientSession() as session:

        async def send(content: str = "x", channel: int = GENERAL, token: str = discord.TOKEN) -> Any:
            address = f"{url}/api/v10/channels/{channel}/messages"
            headers = {"Authorization": f"Bot {token}"}
            async with session.post(address, json={"content": content}, headers=headers) as answer:
                body = await answer.json() if answer.content_type == "application/json" else await answer.text()
                return answer.status, body, answer.headers

        yield send


LOST = [
    (Fault(Kind.STORE_THEN_DROP, **POST), aiohttp.ServerDisconnectedError),
    (Fault(Kind.STORE_THEN_RESET, **POST), aiohttp.ClientOSError),
    (Fault(Kind.STORE_THEN_NOT_JSON, **POST), TypeError),
    (Fault(Kind.STORE_THEN_ERROR, status=503, **POST), dpy.DiscordServerError),
    (Fault(Kind.STORE_THEN_HANG, seconds=5, **POST), TimeoutError),
]


@pytest.mark.parametrize(("fault", "raised"), LOST, ids=lambda value: getattr(value, "kind", None))
async def test_d01_d02_d07_what_was_stored_but_not_answered_is_sent_once_more_with_its_nonce(
    world: discord.Discord, bot: dpy.AutoShardedClient, fault: discord.Fault, raised: type[Exception]
) -> None:
    channel = text_channel(bot)
    fault = world.faults.add(replace(fault))
    with pytest.raises(raised) as caught:
        async with asyncio.timeout(0.5 if "hang" in fault.kind else 10):
            await channel.send("once", nonce="delivery-1")
    # discord.py itself tries again after the reset codes of BSD and Windows only; this is Linux.
    assert fault.kind is not Kind.STORE_THEN_RESET or caught.value.errno == errno.ECONNRESET  # type: ignore[attr-defined]
    [stored] = world.messages(GENERAL)
    again = await channel.send("once", nonce="delivery-1")
    assert (fault.hits, again.id, len(world.messages(GENERAL))) == (1, stored.id, 1)
    assert len(world.history.of("discord_message")) == 1


async def test_d02_discord_py_itself_tries_again_after_a_502(
    world: discord.Discord, bot: dpy.AutoShardedClient
) -> None:
    world.faults.add(Fault(Kind.STORE_THEN_ERROR, **POST))
    assert (await text_channel(bot).send("once")).id == world.messages(GENERAL)[0].id
    assert len(world.messages(GENERAL)) == 1


async def test_d05_a_follow_up_has_no_nonce_and_is_doubled(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    tree = dpy.app_commands.CommandTree(bot)

    @tree.command(description="Answers twice")
    async def twice(interaction: dpy.Interaction) -> None:
        await interaction.response.send_message("first", ephemeral=True)
        await interaction.followup.send("second", ephemeral=True)

    await tree.sync()
    world.faults.add(Fault(Kind.STORE_THEN_ERROR, method="POST", route=f"/webhooks/{discord.APPLICATION}"))
    await world.slash(ANN, "twice", guild_id=GUILD)
    await until(lambda: len(world.whispers(ANN)) == 3)
    assert [message.text for message in world.whispers(ANN)] == ["first", "second", "second"]


NOTHING_STORED = [
    (Fault(Kind.SERVER_ERROR, status=503, **POST), dpy.DiscordServerError),
    (Fault(Kind.DROP, **POST), aiohttp.ServerDisconnectedError),
    (Fault(Kind.HANG, seconds=5, **POST), TimeoutError),
    (Fault(Kind.REFUSE, code=50278, **POST), dpy.Forbidden),
    (Fault(Kind.REFUSE, status=400, code=99999, message="Something new", **POST), dpy.HTTPException),
    (Fault(Kind.CLOUDFLARE, **POST), dpy.HTTPException),
]


@pytest.mark.parametrize(("fault", "raised"), NOTHING_STORED)
async def test_what_failed_before_it_was_stored(
    world: discord.Discord, bot: dpy.AutoShardedClient, fault: discord.Fault, raised: type[Exception]
) -> None:
    fault = world.faults.add(replace(fault))
    with pytest.raises(raised):
        async with asyncio.timeout(0.5 if "hang" in fault.kind else 10):
            await text_channel(bot).send("never")
    assert (fault.hits, world.messages(GENERAL)) == (1, [])


async def test_a_slow_answer_is_an_answer(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    world.faults.add(Fault(Kind.DELAY, seconds=0.2, **POST))
    began = time.monotonic()
    assert await text_channel(bot).send("late")
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("scope", ["user", "global", "shared"])
async def test_d06_a_429_is_waited_for(world: discord.Discord, bot: dpy.AutoShardedClient, scope: str) -> None:
    world.faults.add(Fault(Kind.RATE_LIMIT, retry_after=0.2, scope=scope, **POST))
    began = time.monotonic()
    await text_channel(bot).send("one")
    assert time.monotonic() - began >= 0.2
    assert len(world.history.of("discord_refused", status=429)) == 1
    assert world.history.of("discord_request_in_pause") == []
    assert world.invalid_requests == (0 if scope == "shared" else 1)


async def test_d06_who_does_not_wait_is_seen() -> None:
    world = new_world()
    world.faults.add(Fault(Kind.RATE_LIMIT, retry_after=60, scope="global"))
    async with bare(world) as send:
        assert (await send())[1] == {
            "message": "You are being rate limited.",
            "code": 0,
            "retry_after": 60.0,
            "global": True,
        }
        status, body, headers = await send()
        assert (status, body["global"], headers["Via"], headers["X-RateLimit-Global"]) == (
            429,
            True,
            "1.1 google",
            "true",
        )
    [event] = world.history.of("discord_request_in_pause")
    assert (event["scope"], event["route"]) == ("global", "/channels/{channel_id}/messages")
    assert (world.messages(GENERAL), world.invalid_requests) == ([], 2)


async def test_d06_one_channel_takes_five_messages_in_five_seconds() -> None:
    clock = Clock()
    world = new_world(Limits(clock=clock))
    world.channel(GUILD, SIGNALS, "signals")
    async with bare(world) as send:
        answers = [await send() for _ in range(5)]
        assert [headers["X-RateLimit-Remaining"] for _, _, headers in answers] == ["4", "3", "2", "1", "0"]
        clock.seconds += 2
        status, body, headers = await send()
        assert (status, body["retry_after"], headers["X-RateLimit-Scope"]) == (429, 3.0, "user")
        assert (await send(channel=SIGNALS))[0] == 200
        clock.seconds += body["retry_after"]
        assert (await send())[0] == 200
    assert len(world.messages(GENERAL)) == 6


async def test_d06_all_routes_together_take_fifty_requests_a_second() -> None:
    clock = Clock()
    world = new_world(Limits(messages=None, clock=clock))
    async with bare(world) as send:
        assert [(await send())[0] for _ in range(50)] == [200] * 50
        status, body, _ = await send()
        assert (status, body["global"]) == (429, True)
        clock.seconds += body["retry_after"]
        assert (await send())[0] == 200


async def test_discord_py_keeps_the_limits_it_is_told() -> None:
    world = new_world(Limits(messages=(2, 0.3), others=None))
    async with redirected(world), running(client()) as bot:
        began = time.monotonic()
        channel = text_channel(bot)
        await asyncio.gather(*(channel.send(str(number)) for number in range(5)))
        assert time.monotonic() - began >= 0.6
    assert len(world.messages(GENERAL)) == 5
    assert world.history.of("discord_refused") == []


async def test_faults_are_aimed_counted_and_seeded() -> None:
    hits = []
    for _ in range(2):
        world = new_world(seed=7)
        fault = world.faults.add(Fault(Kind.REFUSE, route=rf"^/channels/{GENERAL}/", times=None, probability=0.5))
        async with bare(world) as send:
            hits.append([(await send())[0] for _ in range(20)])
        assert fault.hits == hits[-1].count(403)
    assert hits[0] == hits[1]
    assert 0 < hits[0].count(403) < 20
    world = new_world()
    world.channel(GUILD, SIGNALS, "signals")
    world.faults.add(Fault(Kind.REFUSE, route=f"/channels/{GENERAL}", skip=1))
    async with bare(world) as send:
        assert [(await send(channel=channel))[0] for channel in (SIGNALS, GENERAL, GENERAL, GENERAL)] == [
            200,
            200,
            403,
            200,
        ]
        world.faults.add(Fault(Kind.REFUSE, times=None))
        world.faults.clear()
        assert (await send())[0] == 200


async def test_a_wrong_token_and_an_unknown_route_are_refused() -> None:
    world = new_world()
    async with bare(world) as send:
        assert (await send(token="wrong"))[:2] == (401, {"message": "401: Unauthorized", "code": 0})
    assert world.invalid_requests == 1
    assert world.violations == []
    async with redirected(world) as url, aiohttp.ClientSession() as session:
        answer = await session.get(f"{url}/api/v10/nothing/here")
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")
        answer.release()
    assert world.violations == ["GET /nothing/here: the stand-in has no such route"]
