"""Requests to join: whoever is entitled at that moment is let in, everybody else is told why not, whatever the link."""

import asyncio
from datetime import timedelta

import pytest

from bot.platforms.telegram import gate
from core.models import Delivery, State
from tests.bot.platforms.telegram import venue as venues
from tests.bot.platforms.telegram.conftest import VenueMaker
from tests.bot.platforms.telegram.venue import CHAT, Venue
from tests.sandbox import telegram

SLY = 66
AWAY = "VIP room is for subscribers."


@pytest.mark.parametrize("kind", ["supergroup", "channel", "group"])
async def test_t19_who_is_entitled_is_let_in_at_once(open_venue: VenueMaker, kind: str) -> None:
    venue = await open_venue(kind=kind)
    user = await venue.payer()

    assert await venue.knock(user) == "asked"
    await venue.deliver()

    assert venue.chat.members[user] == "member"
    assert await venue.acts(user) == [("admit", State.SENT)]
    await venue.hear()
    here = await venue.presence(user)
    assert (here.inside, here.kept, here.asked_at) == (True, False, None)
    assert AWAY not in venue.told(user)


async def test_t19_an_account_that_nobody_knows_reads_why_and_is_declined_after_that(venue: Venue) -> None:
    venue.stranger(SLY)

    await venue.knock(SLY)
    await venue.act()

    assert venue.told(SLY) == [AWAY]
    assert SLY not in venue.chat.members
    assert venue.chat.requests == {}
    assert await venue.acts(SLY) == [("decline", State.SENT)]
    [words] = venue.world.history.of("telegram_message", chat_id=SLY)
    [declined] = venue.world.history.of("telegram_join_declined", user_id=SLY)
    assert words["n"] < declined["n"]
    [message] = venue.world.chat(SLY)
    assert message.buttons[0][0]["url"].endswith("?start=plans")
    assert (await venue.presence(SLY)).asked_at is None


async def test_t19_an_expired_member_is_declined(venue: Venue) -> None:
    user = await venue.payer()
    await venue.ends(user)

    await venue.knock(user)
    await venue.act()

    assert AWAY in venue.told(user)
    assert user not in venue.chat.members
    assert await venue.acts(user) == [("decline", State.SENT)]


async def test_t19_of_two_people_on_one_link_the_entitled_one_is_let_in(venue: Venue) -> None:
    payer, sly = await venue.payer(), venue.stranger(SLY)

    await asyncio.gather(venue.world.knock(sly, venue.link), venue.world.knock(payer, venue.link))
    await venue.hear()
    await venue.act()

    assert venue.chat.members[payer] == "member"
    assert sly not in venue.chat.members
    assert venue.chat.requests == {}


async def test_t19_a_link_that_was_passed_on_lets_in_who_pays_and_nobody_else(venue: Venue) -> None:
    owner, friend = await venue.payer(), await venue.payer()
    shared = await venue.new_link()

    for user in (owner, friend, venue.stranger(SLY)):
        await venue.knock(user, shared)
    await venue.act()

    assert {user for user, status in venue.chat.members.items() if status == "member"} == {owner, friend}
    assert venue.told(SLY) == [AWAY]


async def test_t19_who_pays_before_the_decline_is_let_in(venue: Venue) -> None:
    user = await venue.payer()
    await venue.ends(user)
    await venue.knock(user)
    await venue.deliver()
    assert await venue.acts(user) == [("decline", State.PENDING)]

    await venue.pays(user)
    await venue.act()

    assert venue.chat.members[user] == "member"
    assert await venue.acts(user) == [("decline", State.EXPIRED), ("admit", State.SENT)]
    assert venue.world.history.of("telegram_join_declined") == []


async def test_t19_who_loses_the_plan_between_request_and_door_is_not_let_in(venue: Venue) -> None:
    user = await venue.payer()
    await venue.knock(user)
    await venue.ends(user)

    await venue.deliver()
    assert await venue.acts(user) == [("admit", State.EXPIRED)]
    await venue.sweep()
    await venue.act()

    assert user not in venue.chat.members
    assert (await venue.acts(user))[1:] == [("decline", State.SENT)]


async def test_t19_somebody_an_administrator_let_in_is_put_out(venue: Venue) -> None:
    venue.stranger(SLY)
    venue.world.set_member(CHAT, SLY, "member", by=venue.world.people[venues.HOST].json())

    await venue.hear()
    await venue.act()

    assert venue.chat.members[SLY] == "left"
    assert venue.chat.bans == {}
    assert await venue.acts(SLY) == [("remove", State.SENT)]


async def test_t19_a_request_that_an_administrator_granted_meanwhile_ends_outside_too(venue: Venue) -> None:
    venue.stranger(SLY)
    await venue.knock(SLY)
    del venue.chat.requests[SLY]
    venue.world.set_member(CHAT, SLY, "member", by=venue.world.people[venues.HOST].json())
    await venue.hear()

    await venue.act()

    assert venue.chat.members[SLY] == "left"
    assert await venue.acts(SLY) == [("decline", State.SENT), ("remove", State.SENT)]


async def test_t19_who_leaves_is_written_down_and_can_come_back(venue: Venue) -> None:
    user = await venue.inside()
    venue.world.set_member(CHAT, user, "left")
    await venue.hear()
    assert not (await venue.presence(user)).inside

    await venue.knock(user)
    await venue.act()

    assert venue.chat.members[user] == "member"
    assert await venue.acts(user) == [("admit", State.SENT), ("admit", State.SENT)]


async def test_t19_a_request_that_was_taken_back_ends_quietly(venue: Venue) -> None:
    user = await venue.payer()
    await venue.knock(user)
    venue.world.take_back(CHAT, user)

    await venue.act()

    assert await venue.acts(user) == [("admit", State.BLOCKED)]
    assert (await venue.presence(user)).asked_at is None
    assert (await venue.stage.identity(user)).blocked_at is None
    assert await venue.stage.alarms() == {}


async def test_t19_after_the_window_a_stranger_is_declined_without_a_word(venue: Venue) -> None:
    venue.stranger(SLY)
    await venue.world.knock(SLY, venue.link)
    venue.stage.clock.ahead += gate.WINDOW + timedelta(seconds=1)  # we were away

    await venue.hear()
    await venue.act()

    assert venue.told(SLY) == []
    assert await venue.acts(SLY) == [("decline", State.SENT)]
    assert not await venue.stage.rows(Delivery.kind == "reply")


async def test_t19_the_words_expire_with_the_window(venue: Venue) -> None:
    venue.stranger(SLY)
    await venue.world.knock(SLY, venue.link)
    venue.stage.clock.ahead += timedelta(minutes=2)

    await venue.hear()

    [words] = await venue.stage.rows(Delivery.kind == "reply")
    assert words.expires_at is not None
    left = words.expires_at - venue.stage.now()
    assert timedelta(minutes=2, seconds=50) < left <= timedelta(minutes=3)


async def test_t19_who_knocks_without_end_is_not_answered_without_end(venue: Venue) -> None:
    venue.stranger(SLY)

    for _ in range(15):
        await venue.knock(SLY)

    assert len(await venue.stage.rows(Delivery.kind == "reply")) == 10
    assert len(await venue.acts(SLY)) == 1


async def test_t19_an_answer_that_was_lost_is_no_second_way_in(venue: Venue) -> None:
    user = await venue.payer()
    lost = telegram.Fault(telegram.Kind.STORE_THEN_DROP, "approveChatJoinRequest")
    venue.world.faults.add(lost)

    await venue.knock(user)
    await venue.act()

    assert lost.hits == 1
    assert await venue.acts(user) == [("admit", State.SENT)]
    assert len(venue.world.history.of("telegram_member", user_id=user, status="member")) == 1
    assert (await venue.presence(user)).inside


async def test_t19_a_payer_is_not_turned_away_while_we_may_not_let_in(venue: Venue) -> None:
    user = await venue.payer()
    venue.world.set_bot(CHAT, "administrator", rights={"can_restrict_members"})
    await venue.hear()
    await venue.knock(user)
    await venue.act()
    assert AWAY not in venue.told(user)
    assert user in venue.chat.requests

    venue.world.set_bot(CHAT, "administrator", rights={"can_restrict_members", "can_invite_users"})
    await venue.hear()
    await venue.act()

    assert venue.chat.members[user] == "member"
    assert await venue.stage.alarms() == {}


async def test_t11_a_request_that_is_worked_on_twice_is_decided_once(venue: Venue) -> None:
    venue.stranger(SLY)
    await venue.world.knock(SLY, venue.link)
    pending = list(venue.world.updates.pending)
    await venue.hear()
    venue.world.updates.pending = pending
    await venue.hear()
    await venue.act()

    assert venue.told(SLY) == [AWAY]
    assert await venue.acts(SLY) == [("decline", State.SENT)]


async def test_what_happens_in_a_chat_that_is_no_place_of_ours_changes_nothing(venue: Venue) -> None:
    other = -1_000_777
    venue.world.group(other, "Elsewhere")
    made = await venue.stage.bot._bot.call("createChatInviteLink", {"chat_id": other, "creates_join_request": True})
    venue.stranger(SLY)
    user = await venue.payer()

    for who in (SLY, user):
        await venue.knock(who, made["invite_link"])
    venue.world.set_member(other, user, "member")
    venue.world.set_bot(other, "member")
    await venue.hear()

    assert await venue.stage.rows(Delivery.kind != "notice") == []
    assert await venue.stage.alarms() == {}
