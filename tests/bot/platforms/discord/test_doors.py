"""D13: roles are given and taken, and what hinders that is said in words that somebody can act on."""

from dataclasses import replace

import discord as library
import pytest
from aiohttp import web

from bot import platforms
from bot.messages import text
from bot.platforms.discord import doors, platform
from core import errors, models, rounds
from core.delivery import outcomes
from tests.bot.platforms.discord.conftest import (
    ANN,
    BOB,
    CARL,
    GENERAL,
    GUILD,
    OWNER,
    PLACE,
    SIGNALS,
    BotMaker,
    held,
)
from tests.core.people import HOUR
from tests.sandbox import discord, server
from tests.sandbox import discord_permissions as may

Fault, Kind = discord.Fault, discord.Kind
ROLE = "/guilds/{guild_id}/members/{user_id}/roles/{role_id}"
DONE = outcomes.Sent("")


@pytest.fixture
def role(world: discord.Discord) -> discord.Role:
    made = world.role(GUILD, "Member")
    world.channel(GUILD, SIGNALS, "signals", private_to=[made.id])
    return made


@pytest.fixture
def give(role: discord.Role) -> platforms.Act:
    return platforms.Act("give", PLACE, str(GUILD), str(role.id), str(ANN))


@pytest.fixture
def take(give: platforms.Act) -> platforms.Act:
    return replace(give, act="take")


@pytest.fixture
def place(role: discord.Role) -> models.Place:
    return models.Place(key=PLACE, space=str(GUILD), role=str(role.id), channel=str(SIGNALS), name="Lounge")


async def test_a_role_is_given_and_taken_however_often(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act, take: platforms.Act
) -> None:
    assert [await bot.attempt(give), await bot.attempt(give)] == [DONE, DONE]
    assert world.members_with(GUILD, int(give.role)) == {ANN}
    assert [await bot.attempt(take), await bot.attempt(take)] == [DONE, DONE]
    assert world.members_with(GUILD, int(give.role)) == set()
    changes = world.history.of("discord_member", role_id=int(give.role))
    assert [(row["has"], row["by"]) for row in changes] == [(True, "bot"), (False, "bot")]


async def test_d13_a_role_above_ours_names_both(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act, place: models.Place
) -> None:
    world.move_role(GUILD, int(give.role), 2)
    barred = outcomes.Barred("Drag the bot's role “SignalStack” above the role “Member” in Server Settings → Roles.")
    assert await bot.attempt(give) == barred
    assert list(await bot.inspect(place)) == [barred.reason]
    world.move_role(GUILD, int(give.role), 1)
    assert await bot.attempt(give) == DONE
    assert list(await bot.inspect(place)) == []


async def test_d13_a_deleted_role_is_said(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act, take: platforms.Act, place: models.Place
) -> None:
    world.add_role(GUILD, ANN, int(give.role))
    world.delete_role(GUILD, int(give.role))
    gone = await bot.attempt(give)
    assert isinstance(gone, outcomes.Barred)
    assert "/setup roles" in gone.reason
    assert await bot.attempt(take) == DONE  # nobody has a role that is not there
    assert gone.reason in await bot.inspect(place)
    assert isinstance(await bot.attempt(replace(give, role="")), outcomes.Barred)


async def test_d13_who_left_is_blocked_and_needs_no_taking(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act, take: platforms.Act
) -> None:
    stranger = replace(give, user=str(CARL))
    assert isinstance(await bot.attempt(stranger), outcomes.Blocked)
    assert isinstance(await bot.attempt(replace(give, user="4711")), outcomes.Blocked)
    assert await bot.attempt(replace(take, user=str(CARL))) == DONE


async def test_d13_a_missing_right_is_named(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act, place: models.Place
) -> None:
    world.allow_bot(GUILD, may.BOT & ~may.MANAGE_ROLES)
    lacking = await bot.attempt(give)
    assert isinstance(lacking, outcomes.Barred)
    assert "“Manage Roles”" in lacking.reason
    assert list(await bot.inspect(place)) == [lacking.reason]


async def test_d13_a_server_without_us_is_said_with_the_invitation(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act, place: models.Place
) -> None:
    world.kick_bot(GUILD)
    absent = await bot.attempt(give)
    assert isinstance(absent, outcomes.Barred)
    assert f"client_id={discord.APPLICATION}&" in absent.reason
    assert list(await bot.inspect(place)) == [absent.reason]


# On a connection that was idle, aiohttp itself repeats a PUT once.
@pytest.mark.parametrize(
    ("kind", "times"), [(Kind.SERVER_ERROR, 1), (Kind.STORE_THEN_ERROR, 1), (Kind.STORE_THEN_DROP, 2)]
)
async def test_d13_an_outage_is_never_counted_as_given(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act, kind: Kind, times: int
) -> None:
    world.faults.add(Fault(kind, "PUT", ROLE, times=times))
    first = await bot.attempt(give)
    assert isinstance(first, outcomes.Ambiguous)
    assert first.harmless
    assert await bot.attempt(give) == DONE
    assert world.members_with(GUILD, int(give.role)) == {ANN}


async def test_owners_administrators_and_bots_keep_the_role(
    world: discord.Discord, bot: platform.Discord, take: platforms.Act
) -> None:
    world.user(7777, "Other bot", bot=True)
    world.join(GUILD, 7777)
    chief = world.role(GUILD, "Chief", permissions=may.ADMINISTRATOR)
    world.add_role(GUILD, BOB, chief.id)
    for user in (OWNER, BOB, 7777):
        world.add_role(GUILD, user, int(take.role))
        assert isinstance(await bot.attempt(replace(take, user=str(user))), outcomes.Kept)
    assert world.members_with(GUILD, int(take.role)) == {OWNER, BOB, 7777}


async def test_a_wrong_token_and_unknown_acts(
    world: discord.Discord, bot: platform.Discord, give: platforms.Act
) -> None:
    assert isinstance(await bot.attempt(replace(give, act="admit")), outcomes.Refused)
    world.faults.add(Fault(Kind.REFUSE, "PUT", ROLE, status=403, code=60003))
    assert "two-factor" in str(await bot.attempt(give))
    world.token = "another"
    assert isinstance(await bot.attempt(give), outcomes.Fatal)


async def test_the_roster_is_everybody_in_pages(
    world: discord.Discord, bot: platform.Discord, place: models.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "PAGE", 10)
    for number in range(8000, 8037):
        world.user(number, f"N{number}")
        world.join(GUILD, number)
    for number in (OWNER, BOB, 8003, 8030):
        world.add_role(GUILD, number, int(place.role))
    before = held(bot).clock()

    roster = await bot.roster(place, [])

    everybody = {str(user) for user in world.guilds[GUILD].members}
    assert roster == rounds.Roster(
        at=roster.at,
        inside={str(OWNER): True, str(BOB): False, "8003": False, "8030": False},
        reachable=frozenset(everybody),
        whole=True,
        count=4,
        requests=6,
    )
    assert before <= roster.at <= held(bot).clock()


async def test_a_roster_that_cannot_be_had_is_no_empty_one(
    world: discord.Discord, make_bot: BotMaker, place: models.Place
) -> None:
    bot = await make_bot(total=0.5)
    world.gateway.privileged = False
    with pytest.raises(errors.UnreachableError, match="Server Members Intent"):
        await bot.roster(place, [])
    world.gateway.privileged = True
    world.faults.add(Fault(Kind.SERVER_ERROR, "GET", "/guilds/{guild_id}/members", times=None))
    with pytest.raises(errors.UnreachableError, match="does not answer"):
        await bot.roster(place, [])
    world.faults.add(Fault(Kind.DROP, "GET", times=None))
    with pytest.raises(errors.UnreachableError):
        await bot.inspect(place)


async def test_a_place_is_inspected_as_a_whole(
    world: discord.Discord, bot: platform.Discord, place: models.Place
) -> None:
    assert await bot.inspect(place) == []
    own = next(role for role in world.guilds[GUILD].roles.values() if role.bot_id)
    channel = world.channels[SIGNALS]
    channel.overwrites[own.id].allow = 0
    channel.overwrites[int(place.role)].deny, channel.overwrites[int(place.role)].allow = may.VIEW_CHANNEL, 0
    found = " ".join(await bot.inspect(place))
    assert "“View Channel” and “Send Messages”" in found
    assert "Members with the role “Member” cannot see #signals" in found

    place.channel = str(GENERAL)
    [public] = await bot.inspect(place)
    assert public.startswith("Everybody on the server can read #general without paying")

    place.role, place.channel = "", ""
    assert [sentence.split(":")[0] for sentence in await bot.inspect(place)] == [
        "No role is chosen for this place yet",
        "No channel is chosen for this place yet",
    ]
    place.role, place.channel = str(own.id), "4711"
    assert [sentence.split(":")[0] for sentence in await bot.inspect(place)] == [
        "The role “SignalStack” cannot be given to anybody",
        "The channel of this place was deleted",
    ]
    world.allow_bot(GUILD, may.ADMINISTRATOR)
    place.role, place.channel = str(world.role(GUILD, "x").id), str(SIGNALS)
    assert "cannot see #signals" in " ".join(await bot.inspect(place))


@pytest.mark.parametrize("answer", ["{}", "[]", "null", '"x"', "[{}]", '{"roles": 1}'])
async def test_answers_without_the_documented_shape_are_no_answers(
    bot: platform.Discord, take: platforms.Act, place: models.Place, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(_request: web.Request) -> web.Response:
        return web.Response(text=answer, content_type="application/json", charset=None)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", odd)
    async with server.serving(app) as base:
        monkeypatch.setattr(library.http.Route, "BASE", base)
        hello = platforms.Parcel(str(GENERAL), text.message("Hello"))
        for parcel in (hello, replace(hello, address="!token"), replace(hello, since=held(bot).clock() - HOUR)):
            sent = await bot.send(parcel)
            assert isinstance(sent, outcomes.Ambiguous)
            assert sent.harmless
        assert not isinstance(await bot.send(replace(hello, address=f"@{ANN}")), outcomes.Sent)
        assert isinstance(await bot.attempt(take), outcomes.Ambiguous)
        for look in (bot.inspect(place), bot.roster(place, [])):
            with pytest.raises(errors.UnreachableError):
                await look
