"""Rounds through places on Telegram: what events did not tell is found and mended; what nobody can know is counted."""

import pytest
from sqlalchemy import select

from bot import doorkeeper
from core import models
from core.models import State
from tests.bot.platforms.telegram.conftest import VenueMaker
from tests.bot.platforms.telegram.venue import CHAT, HOST, KEY, Venue
from tests.core import people
from tests.sandbox import telegram

Fault, Kind = telegram.Fault, telegram.Kind


async def made(venue: Venue) -> models.Round:
    """The account of a round that was made now."""
    await doorkeeper.Doorkeeper(venue.stage.held, venue.stage.bot).round()
    async with venue.stage.held.db.reading() as session:
        return (await session.scalars(select(models.Round).order_by(models.Round.id.desc()).limit(1))).one()


async def known(venue: Venue) -> int:
    """Somebody who has written to the bot and never paid."""
    async with venue.stage.held.db.transaction() as session:
        who = await people.person(session, venue.stage.now())
    venue.world.person(int(who.address), "Nosy", started=True)
    return int(who.address)


def let_in_unheard(venue: Venue, user: int) -> None:
    """They are inside, and no update told us."""
    venue.chat.members[user] = "member"


@pytest.mark.parametrize("kind", ["supergroup", "channel"])
async def test_t19_somebody_inside_of_whom_nobody_told_us_is_put_out(open_venue: VenueMaker, kind: str) -> None:
    venue = await open_venue(kind=kind)
    payer, nosy = await venue.inside(), await known(venue)
    let_in_unheard(venue, nosy)

    await made(venue)  # from now on they are asked about
    account = await made(venue)
    await venue.act()

    assert venue.chat.members[nosy] == "left"
    assert venue.chat.members[payer] == "member"
    assert venue.chat.members[HOST] == "creator"
    assert (account.facts[KEY]["inside"], account.held) == (2 + 1, 0)  # as it was found: with the host


async def test_t13_who_left_while_we_were_away_is_written_down(venue: Venue) -> None:
    user = await venue.inside()
    del venue.chat.members[user]

    await made(venue)

    assert not (await venue.presence(user)).inside
    assert venue.stage.world.history.of("telegram_member", status="kicked") == []


async def test_t13_who_lapsed_while_we_were_away_is_put_out(venue: Venue) -> None:
    user = await venue.inside()
    await venue.ends(user)

    await made(venue)
    await venue.act()

    assert venue.chat.members[user] == "left"
    assert (await venue.acts(user))[-1] == ("remove", State.SENT)


async def test_t19_complete_strangers_cannot_be_listed_and_are_counted(venue: Venue) -> None:
    await venue.inside()
    let_in_unheard(venue, venue.stranger(66))

    account = await made(venue)

    assert account.facts[KEY]["unknown"] == 1
    assert venue.chat.members[66] == "member"


async def test_t14_a_round_finds_that_we_lost_a_right_and_that_it_is_back(venue: Venue) -> None:
    user = await venue.payer()
    venue.chat.bot_rights = {"can_invite_users"}
    account = await made(venue)
    assert "“Ban users”" in account.facts[KEY]["fault"]
    assert f"place:{KEY}" in await venue.stage.alarms()
    await venue.knock(user)
    await venue.act()
    assert venue.chat.members[user] == "member"  # nobody paid stands outside because nobody can be put out

    await venue.ends(user)
    assert venue.chat.members[user] == "member"

    venue.chat.bot_rights = {"can_invite_users", "can_restrict_members"}
    await made(venue)
    await venue.act()

    assert venue.chat.members[user] == "left"
    assert await venue.stage.alarms() == {}


@pytest.mark.parametrize("method", ["getChat", "getChatAdministrators", "getChatMember"])
async def test_an_outage_is_no_finding_and_nobody_is_put_out(venue: Venue, method: str) -> None:
    user = await venue.inside()
    venue.world.faults.add(Fault(Kind.DROP, method, times=None))

    account = await made(venue)
    await venue.act()

    assert account.facts[KEY]["fault"]
    assert venue.chat.members[user] == "member"
    assert await venue.stage.alarms() == {}


async def test_t20_an_administrator_is_found_and_kept(venue: Venue) -> None:
    user = await venue.inside()
    venue.chat.members[user] = "administrator"
    await venue.ends(user)

    await made(venue)
    await venue.act()

    assert venue.chat.members[user] == "administrator"
    assert (await venue.presence(user)).kept
    assert len(venue.world.history.of("telegram_member", chat_id=CHAT, user_id=user)) == 1


async def test_what_the_brake_held_back_goes_when_an_operator_lets_go(venue: Venue) -> None:
    crowd = [await known(venue) for _ in range(21)]
    for user in crowd:
        let_in_unheard(venue, user)
    keeper = doorkeeper.Doorkeeper(venue.stage.held, venue.stage.bot)
    assert await keeper._due()

    held = await made(venue)
    await venue.act()

    assert held.held == 21
    assert all(venue.chat.members[user] == "member" for user in crowd)
    assert f"brake:{KEY}" in await venue.stage.alarms()
    keeper._asked = False
    assert not await keeper._due()

    async with venue.stage.held.db.transaction() as session:
        (await session.get_one(models.Round, held.id)).released_by = "telegram:1"
    assert await keeper._due()
    await made(venue)
    await venue.act()

    assert all(venue.chat.members[user] == "left" for user in crowd)
    assert await venue.stage.alarms() == {}
