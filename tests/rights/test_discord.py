"""X05, X06 on Discord: every command by every kind of person on servers and in private, and all else one can ask."""

import asyncio

import pytest

from bot import commands
from core import strategies
from tests.rights import conftest, judge, matrix, on_discord, table
from tests.sandbox import discord


@pytest.mark.parametrize("place", table.DISCORD, ids=str)
async def test_x05_x06_everybody_gets_what_the_table_says(open_scene: conftest.SceneMaker, place: table.Place) -> None:
    at = await open_scene(place)

    tried = await matrix.everything(at)

    print(f"{place}: {tried}")
    assert matrix.whole(tried, at) == {}
    assert not tried.faults, tried.sentences()


# --- what is completed while it is typed

PUBLIC = {"BTC/USDT", "ETH/USDT", "all", "Everything", "private", "place", "both", "usual", "release", "1h"}
PUBLIC |= {"new", "revoke", "add", "end", "long", "short", *strategies.names()}
"""What everybody may be offered: pairs, timeframes, plans, strategies, and the words that commands themselves have."""
TYPED = ("", "b", "3")


async def completed(at: on_discord.Scene, actor: str, command: str, option: str, typed: str) -> list[str]:
    """What is offered to the actor who types this into an option, also one that no client completes."""
    row, user = commands.BY_NAME[command], at.cast.now[actor].number
    one = on_discord.typing(at.world, user, row.slash or row.name, option, typed, at.where(user))
    await one.answered()
    assert one.kind_of_ack == discord.Ack.CHOICES
    return sorted(str(choice["value"]) for choice in one.choices or [])


@pytest.mark.parametrize("place", [table.LOBBY, table.DM], ids=str)
async def test_x06_what_is_completed_is_public_and_the_same_for_everybody(
    open_scene: conftest.SceneMaker, place: table.Place
) -> None:
    at = await open_scene(place)
    assert isinstance(at, on_discord.Scene)
    await at.renew()
    asked = [(row.name, option) for row in commands.COMMANDS for option in row.options]
    for command, option in asked:
        for typed in TYPED:
            actors = [actor for actor in table.ACTORS if actor != table.ANONYMOUS]
            offered = await asyncio.gather(*(completed(at, who, command, option.name, typed) for who in actors))
            assert all(one == offered[0] for one in offered), (command, option.name, typed, offered)
            assert set(offered[0]) <= PUBLIC, (command, option.name, offered[0])
            assert not offered[0] or option.kind in {"pair", "plan", "choice", "strategy", "timeframe"}
    assert await completed(at, table.STRANGER, "latest", "pair", "") == ["BTC/USDT", "ETH/USDT"]


# --- preparing a server, which is no command of the table

ORDERS = ("channels", "roles", "check")


@pytest.mark.parametrize("place", [table.LOBBY, table.ELSEWHERE], ids=str)
async def test_x05_only_operators_prepare_a_server(open_scene: conftest.SceneMaker, place: table.Place) -> None:
    at = await open_scene(place)
    assert isinstance(at, on_discord.Scene)
    await at.renew()
    before, known = await at.effects(), await at.known()
    roles = {guild.id: set(guild.roles) for guild in at.world.guilds.values()}
    others = [actor for actor in table.ACTORS if actor not in {table.ANONYMOUS, table.OPERATOR}]
    for verb in ORDERS:
        heard = await at.order(verb, others)
        for actor, one in heard.items():
            assert [shown.words for shown in one.home] == ["Only the operators of this service can set it up."], actor
            assert one.public == []
            assert judge.secrets(one.home[0], known) == set()
    after = await at.effects()
    noted = after.pop("audit")[len(before.pop("audit")) :]
    assert after == before
    assert roles == {guild.id: set(guild.roles) for guild in at.world.guilds.values()}
    assert len(noted) == len(others) * len(ORDERS)
