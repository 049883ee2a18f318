"""Who may not be inside any more is put out without being locked out, and nobody is put out who must not be."""

import asyncio
from datetime import timedelta

import pytest

from bot.platforms.telegram import doors
from core.delivery import recovery
from core.models import State
from tests.bot import stage as stages
from tests.bot.platforms.telegram import venue as venues
from tests.bot.platforms.telegram.conftest import VenueMaker
from tests.bot.platforms.telegram.venue import CHAT, KEY, Venue
from tests.sandbox import telegram

Fault, Kind = telegram.Fault, telegram.Kind
INVITE_ONLY, BOTH = {"can_invite_users"}, {"can_invite_users", "can_restrict_members"}


@pytest.mark.parametrize("kind", ["supergroup", "channel", "group"])
async def test_t20_a_lapsed_member_is_out_and_comes_back_after_paying_again(open_venue: VenueMaker, kind: str) -> None:
    venue = await open_venue(kind=kind)
    user, other = await venue.inside(), await venue.inside()

    await venue.lapses(user)
    await venue.act()
    assert venue.chat.members[user] == "left"
    assert venue.chat.bans == {}
    assert not (await venue.presence(user)).inside

    await venue.pays(user)
    assert await venue.knock(user) == "asked"
    await venue.act()

    assert venue.chat.members[user] == venue.chat.members[other] == "member"
    assert await venue.acts(user) == [("admit", State.SENT), ("remove", State.SENT), ("admit", State.SENT)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.REFUSE, code=500),
        Fault(Kind.REFUSE, code=400, description="Bad Request: something unheard of"),
        Fault(Kind.REFUSE, code=400, description="Bad Request: not enough rights"),
        Fault(Kind.REFUSE, code=403, description="Forbidden: bot was kicked from the supergroup chat"),
        Fault(Kind.DROP),
        Fault(Kind.STORE_THEN_DROP),
        Fault(Kind.STORE_THEN_502),
        Fault(Kind.RETRY_AFTER, retry_after=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_t20_a_ban_that_could_not_be_lifted_is_lifted_at_the_next_attempt(venue: Venue, fault: Fault) -> None:
    user = await venue.inside()
    await venue.lapses(user)
    fault.method, fault.hits = "unbanChatMember", 0
    venue.world.faults.add(fault)

    async with venue.stage.working():
        venue.stage.ring()
        await stages.seen(lambda: fault.hits)
        await venue.stage.settled()

    assert await venue.acts(user) == [("admit", State.SENT), ("remove", State.SENT)]
    assert venue.chat.members[user] == "left"
    assert await venue.knock(user) == "asked"


@pytest.mark.parametrize("kind", [Kind.STORE_THEN_DROP, Kind.STORE_THEN_HTML, Kind.DROP])
async def test_t20_a_ban_of_which_nobody_knows_whether_it_came_about_is_no_end(
    venue: Venue, kind: telegram.Kind
) -> None:
    user = await venue.inside()
    await venue.lapses(user)
    fault = venue.world.faults.add(Fault(kind, "banChatMember"))

    await venue.act()

    assert fault.hits == 1
    assert await venue.acts(user) == [("admit", State.SENT), ("remove", State.SENT)]
    assert venue.chat.members[user] == "left"
    assert venue.chat.bans == {}


async def test_t20_a_crash_between_ban_and_unban_locks_nobody_out(venue: Venue) -> None:
    user = await venue.inside()
    await venue.lapses(user)
    hang = venue.world.faults.add(Fault(Kind.HANG, "unbanChatMember", seconds=20))
    stop = asyncio.Event()
    doomed = venue.stage.worker()
    running = asyncio.create_task(doomed.run(stop))
    venue.stage.ring()
    await stages.seen(lambda: hang.hits)
    for task in [running, *doomed._running]:
        task.cancel()
    await asyncio.gather(running, *doomed._running, return_exceptions=True)
    assert venue.chat.members[user] == "kicked"
    assert (await venue.acts(user))[-1] == ("remove", State.SENDING)

    venue.stage.clock.ahead += timedelta(seconds=venue.stage.held.settings.lease_seconds + 1)
    async with venue.stage.held.db.transaction() as session:
        await recovery.recover(session, now=venue.stage.now())
    await venue.act()

    assert (await venue.acts(user))[-1] == ("remove", State.SENT)
    assert venue.chat.members[user] == "left"
    assert await venue.knock(user) == "asked"


async def test_t20_a_ban_that_we_never_came_back_to_ends_by_itself(venue: Venue) -> None:
    user = await venue.inside()
    await venue.lapses(user)
    venue.world.faults.add(Fault(Kind.REFUSE, "unbanChatMember", code=500, times=None))
    async with venue.stage.working():
        venue.stage.ring()
        await stages.seen(lambda: venue.chat.members[user] == "kicked")
    assert await venue.knock(user) == "banned"
    until = venue.chat.bans[user]
    assert until is not None
    assert until - venue.world.now() > 60

    venue.stage.clock.ahead += doors.BAN + timedelta(seconds=2)

    assert await venue.knock(user) == "asked"


async def test_t20_a_ban_by_an_administrator_stays(venue: Venue) -> None:
    user = await venue.inside()
    await venue.ends(user)
    venue.world.set_member(CHAT, user, "kicked", by=venue.world.people[venues.HOST].json())

    await venue.sweep()
    await venue.act()

    assert venue.chat.members[user] == "kicked"
    assert await venue.knock(user) == "banned"
    assert (await venue.acts(user))[-1] == ("remove", State.SENT)
    assert not (await venue.presence(user)).inside


@pytest.mark.parametrize("status", ["administrator", "creator"])
async def test_t20_owners_and_administrators_are_never_put_out(venue: Venue, status: str) -> None:
    user = await venue.inside()
    venue.chat.members[user] = status  # of which we were not told

    await venue.lapses(user)
    await venue.act()

    assert venue.chat.members[user] == status
    assert (await venue.acts(user))[-1] == ("remove", State.EXPIRED)
    here = await venue.presence(user)
    assert (here.inside, here.kept) == (True, True)
    assert await venue.stage.alarms() == {}
    await venue.sweep()
    assert len(await venue.acts(user)) == 2


async def test_t20_who_is_an_administrator_no_more_is_put_out(venue: Venue) -> None:
    user = venue.stranger(66)
    venue.world.set_member(CHAT, user, "administrator")
    await venue.hear()
    assert await venue.acts(user) == []

    venue.world.set_member(CHAT, user, "member")
    await venue.hear()
    await venue.act()

    assert venue.chat.members[user] == "left"


async def test_t20_a_right_that_is_missing_is_an_alarm_and_the_removal_follows_when_it_is_back(venue: Venue) -> None:
    user = await venue.inside()
    venue.chat.bot_rights = set(INVITE_ONLY)  # of which we were not told
    await venue.lapses(user)
    await venue.act()
    alarms = await venue.stage.alarms()
    assert "“Ban users”" in alarms[f"place:{KEY}"]
    assert "VIP room" in alarms[f"place:{KEY}"]
    assert "“Ban users”" in (await venue.place()).fault
    assert venue.chat.members[user] == "member"

    venue.world.set_bot(CHAT, "administrator", rights=BOTH)
    await venue.hear()
    await venue.act()

    assert venue.chat.members[user] == "left"
    assert (await venue.place()).fault == ""
    assert f"place:{KEY}" not in await venue.stage.alarms()


async def test_t20_nobody_is_put_out_who_pays_again_in_time(venue: Venue) -> None:
    user = await venue.inside()
    await venue.lapses(user)

    await venue.pays(user)
    await venue.act()

    assert venue.chat.members[user] == "member"
    assert (await venue.acts(user))[-1] == ("remove", State.EXPIRED)
    assert [row for row in venue.world.history.of("telegram_member", user_id=user) if row["status"] == "kicked"] == []
