"""The Discord stand-in's gateway as the real discord.py sees it: sessions, lost connections, silence, limits."""

import asyncio
from typing import Any

import aiohttp
import discord as dpy
import pytest

from tests.sandbox import discord, history
from tests.sandbox.test_discord import (
    ANN,
    CARL,
    GENERAL,
    GUILD,
    client,
    new_world,
    redirected,
    running,
    text_channel,
    until,
)


@pytest.mark.parametrize("code", [1006, 4000])
async def test_a_lost_connection_is_resumed_and_nothing_is_missed(code: int) -> None:
    world = new_world()
    async with redirected(world), running(client()) as bot:
        [guild] = bot.guilds
        dropped = asyncio.ensure_future(world.gateway.drop(code))
        world.join(GUILD, CARL)
        role = world.role(GUILD, "Member")
        await dropped
        await until(lambda: guild.get_member(CARL) and guild.get_role(role.id))
        assert (world.gateway.resumes, world.gateway.identifies, world.gateway.connections) == (1, 1, 2)
        world.leave(GUILD, CARL)
        await until(lambda: guild.get_member(CARL) is None)
    assert [row["resumed"] for row in world.history.of("discord_resume")] == [True]
    assert len(world.history.of("discord_identify")) == 1


async def test_d08_a_silent_gateway_is_left_and_resumed() -> None:
    world = new_world()
    world.gateway.heartbeat_interval = 0.05
    async with redirected(world), running(client(heartbeat_timeout=0.5)) as bot:
        await _beaten(world, 2)
        world.gateway.freeze()
        world.join(GUILD, CARL)
        # The client says goodbye with 4000 and would wait half a minute for an answer from a server that is dead.
        await until(lambda: any(link.farewell == 4000 for link in world.gateway._links))
        assert not bot.is_closed()
        assert bot.get_guild(GUILD).get_member(CARL) is None
        world.gateway.thaw()
        await until(lambda: world.gateway.resumes >= 1 and bot.get_guild(GUILD).get_member(CARL))
    assert world.gateway.identifies == 1


async def _beaten(world: discord.Discord, times: int) -> None:
    """The client has sent so many heartbeats."""
    beats = 0

    def count(link: Any) -> None:
        send = link.send

        def sent(payload: dict[str, Any]) -> None:
            nonlocal beats
            beats += payload.get("op") == 11
            send(payload)

        link.send = sent

    for link in world.gateway._links:
        count(link)
    await until(lambda: beats >= times)


async def test_a_frozen_gateway_takes_connections_and_says_nothing() -> None:
    world = new_world()
    async with redirected(world) as url, aiohttp.ClientSession() as session:
        world.gateway.freeze()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.ws_connect(f"{url}/gateway?v=10&encoding=json")
        assert world.gateway.connections == 1
        world.gateway.thaw()
        async with session.ws_connect(f"{url}/gateway?v=10&encoding=json") as socket:
            assert (await socket.receive_json())["op"] == 10


async def test_a_forgotten_session_is_begun_anew() -> None:
    world = new_world()
    async with redirected(world), running(client()) as bot:
        world.gateway.forget_sessions()
        world.join(GUILD, CARL)
        await until(lambda: bot.get_guild(GUILD).get_member(CARL))  # the connection itself goes on
        await world.gateway.drop(4000)
        await until(lambda: world.gateway.identifies == 2)
        assert await text_channel(bot).send("still here")
    assert [row["resumed"] for row in world.history.of("discord_resume")] == [False]
    assert world.gateway.resumes == 0


async def test_a_request_to_reconnect_is_followed() -> None:
    world = new_world()
    async with redirected(world), running(client()):
        world.gateway.reconnect()
        await until(lambda: world.gateway.resumes == 1)
        assert len(world.gateway.live) == 1


async def test_a_session_left_too_long_ago_is_forgotten() -> None:
    clock = [1_800_000_000.0]
    world = new_world(now=lambda: clock[0])
    async with redirected(world), running(client()):
        session = world.gateway.live[0]
        await world.gateway.drop(1006)
        await until(lambda: session.link is None)
        clock[0] += 301
        await until(lambda: world.gateway.identifies == 2)


async def test_a_wrong_token_is_refused() -> None:
    world = new_world()
    async with redirected(world):
        with pytest.raises(dpy.LoginFailure):
            async with running(client(), token="MTAwMDAx.WRONG.token"):
                pass
    assert (world.invalid_requests, world.gateway.identifies) == (1, 0)


async def test_a_privileged_intent_that_is_switched_off_ends_the_bot() -> None:
    world = new_world()
    world.gateway.privileged = False
    async with redirected(world):
        with pytest.raises(dpy.PrivilegedIntentsRequired):
            async with running(client(members=True)):
                pass
        async with running(client(members=False)) as bot:
            assert not bot.application_flags.gateway_guild_members_limited
    assert [row["code"] for row in world.history.of("discord_identify_refused")] == [4014]


async def test_without_the_intent_no_member_is_told() -> None:
    world = new_world()
    role = world.role(GUILD, "Member")
    async with redirected(world), running(client(members=False)) as bot:
        [guild] = bot.guilds
        world.add_role(GUILD, ANN, role.id)
        world.add_role(GUILD, discord.APPLICATION, role.id)
        await until(lambda: guild.me.get_role(role.id))  # of itself it is told
        assert list(guild.members) == [guild.me]


async def test_d09_the_budget_of_sessions_is_counted() -> None:
    clock = [1_800_000_000.0]
    world = new_world(now=lambda: clock[0])
    async with redirected(world):
        for left in (999, 998):
            async with running(client()) as bot:
                _, _, limit = await bot.http.get_bot_gateway()
                assert (limit["total"], limit["remaining"], limit["max_concurrency"]) == (1000, left, 1)
        world.gateway.session_limit.remaining = 0
        async with aiohttp.ClientSession() as session:
            assert await _identified(world, session) == 4008
            clock[0] += 86_400
            assert await _identified(world, session) == "READY"
    assert world.gateway.session_limit.remaining == 999


async def _identified(world: discord.Discord, session: aiohttp.ClientSession, **more: Any) -> Any:
    """READY, or the close code."""
    url = str(dpy.gateway.DiscordWebSocket.DEFAULT_GATEWAY)
    async with session.ws_connect(f"{url}?v=10&encoding=json") as socket:
        assert (await socket.receive_json())["op"] == 10
        body = {"token": discord.TOKEN, "intents": 1, "properties": {}, **more}
        await socket.send_json({"op": 2, "d": body})
        message = await socket.receive()
        return message.json()["t"] if message.type is aiohttp.WSMsgType.TEXT else socket.close_code


CODES = [
    ({"op": 2, "d": {"token": "wrong", "intents": 1}}, 4004),
    ({"op": 2, "d": {"token": discord.TOKEN, "intents": 1 << 40}}, 4013),
    ({"op": 2, "d": {"token": discord.TOKEN, "intents": 1, "shard": [2, 2]}}, 4010),
    ({"op": 8, "d": {}}, 4003),
    ({"d": {}}, 4002),
]


@pytest.mark.parametrize(("said", "code"), CODES)
async def test_what_makes_no_sense_ends_the_connection(said: dict[str, Any], code: int) -> None:
    world = new_world()
    async with redirected(world) as url, aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{url}/gateway?v=10&encoding=json")
        await socket.receive_json()
        await socket.send_json(said)
        await socket.receive()
        assert socket.close_code == code


async def test_guilds_are_spread_over_shards() -> None:
    world = new_world()
    second = (1 << 22) | 5
    world.guild(second, "Other", owner=ANN)
    async with redirected(world), running(client(shard_count=2)) as bot:
        assert {guild.id: guild.shard_id for guild in bot.guilds} == {GUILD: 0, second: 1}
        assert len(world.gateway.live) == 2


async def test_a_gateway_that_is_down_is_waited_for() -> None:
    world = new_world()
    async with redirected(world) as url, aiohttp.ClientSession() as session:
        world.gateway.down = True
        headers = {"Authorization": f"Bot {discord.TOKEN}"}
        async with session.get(f"{url}/api/v10/gateway/bot", headers=headers) as answer:
            assert answer.status == 503
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{url}/gateway?v=10&encoding=json")
        world.gateway.down = False
        async with running(client()) as bot:
            assert await text_channel(bot).send("back")


async def test_the_same_world_is_served_again_after_discord_was_down() -> None:
    world = discord.Discord(history.History(), limits=discord.Limits.off())
    world.user(ANN, "Ann")
    world.guild(GUILD, "Signals", owner=ANN)
    world.channel(GUILD, GENERAL, "general")
    for number in (1, 2):
        async with redirected(world), running(client()) as bot:
            await text_channel(bot).send(f"number {number}")
    assert [message.content for message in world.messages(GENERAL)] == ["number 1", "number 2"]
