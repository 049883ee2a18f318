"""Buttons that lead into places: everybody has a way of their own, over which they ask, and it works when pressed."""

import asyncio
from typing import Any

import pytest

from bot import platforms
from bot.messages import text
from bot.platforms.telegram import hindrances
from core import catalogue, places
from core.delivery import outcomes
from core.models import Place, State
from tests.bot.platforms.telegram.venue import BOOK, CHAT, HOST, KEY, Venue
from tests.sandbox import telegram

Fault, Kind = telegram.Fault, telegram.Kind
ENTER = text.message("Come in", buttons=[[text.Button("Enter", place=KEY)]])


async def sent(venue: Venue, user: int, message: Any = ENTER, **given: Any) -> outcomes.Outcome:
    return await venue.stage.bot.send(platforms.Parcel(str(user), message, **given))


def ways(venue: Venue, user: int) -> list[str]:
    """The ways into places that lie in the person's chat, oldest first."""
    buttons = [button for message in venue.world.chat(user) for row in message.buttons for button in row]
    return [button["url"] for button in buttons if button.get("url", "").startswith("https://t.me/+")]


async def test_t19_each_person_has_a_way_of_their_own_over_which_they_ask(venue: Venue) -> None:
    one, two = await venue.payer(), await venue.payer()

    for user in (one, two, one):
        assert isinstance(await sent(venue, user), outcomes.Sent)

    mine, again = ways(venue, one)
    [other] = ways(venue, two)
    assert mine == again != other
    assert (await venue.presence(one)).link == mine
    made = venue.chat.links[mine]
    assert (made.name, made.asks, made.member_limit, made.expires) == (
        f"member {await venue.member_id(one)}",
        True,
        None,
        None,
    )
    assert len(made.name or "") <= 32
    assert len(venue.chat.links) == 3  # and the venue's own


async def test_t19_the_way_leads_in(venue: Venue) -> None:
    user = await venue.payer()
    await sent(venue, user)

    await venue.knock(user, ways(venue, user)[0])
    await venue.act()

    assert venue.chat.members[user] == "member"
    assert (await venue.presence(user)).link == ways(venue, user)[0]


async def test_a_way_that_an_administrator_revoked_is_made_anew(venue: Venue) -> None:
    user = await venue.payer()
    await sent(venue, user)
    venue.world.revoke(ways(venue, user)[0])

    await sent(venue, user)

    old, new = ways(venue, user)
    assert old != new
    assert (await venue.presence(user)).link == new
    assert await venue.knock(user, new) == "asked"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.DROP),
        Fault(Kind.REFUSE, code=500),
        Fault(Kind.REFUSE, code=400, description="Bad Request: CHAT_NOT_MODIFIED"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_a_way_of_which_nobody_knows_better_is_used(venue: Venue, fault: telegram.Fault) -> None:
    user = await venue.payer()
    await sent(venue, user)
    fault.method, fault.hits = "editChatInviteLink", 0
    venue.world.faults.add(fault)

    assert isinstance(await sent(venue, user), outcomes.Sent)

    assert fault.hits == 1
    assert len(set(ways(venue, user))) == 1


async def test_t07_a_flood_at_the_look_at_a_way_is_a_pause_for_all(venue: Venue) -> None:
    user = await venue.payer()
    await sent(venue, user)
    venue.world.faults.add(Fault(Kind.RETRY_AFTER, "editChatInviteLink", retry_after=5))

    outcome = await sent(venue, user)

    assert isinstance(outcome, outcomes.NotSent)
    assert (outcome.after, outcome.pause) == (5, "all")
    assert venue.world.history.of("telegram_request_in_pause") == []


async def test_in_bare_words_the_way_stands_as_an_address(venue: Venue) -> None:
    user = await venue.payer()

    await sent(venue, user, plain=True)

    [message] = venue.world.chat(user)
    assert message.text.startswith("Come in\nEnter: https://t.me/+sandbox")


async def test_t20_without_the_right_to_invite_the_button_is_left_out_and_the_place_has_its_alarm(venue: Venue) -> None:
    user = await venue.payer()
    venue.chat.bot_rights = {"can_restrict_members"}

    assert isinstance(await sent(venue, user), outcomes.Sent)

    [message] = venue.world.chat(user)
    assert (message.text, message.buttons) == ("Come in", [])
    assert f"“{hindrances.INVITE}”" in (await venue.stage.alarms())[f"place:{KEY}"]
    assert "“Invite" in (await venue.place()).fault


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(Kind.DROP), outcomes.NotSent),
        (Fault(Kind.STORE_THEN_DROP), outcomes.NotSent),
        (Fault(Kind.STORE_THEN_HTML), outcomes.NotSent),
        (Fault(Kind.RETRY_AFTER, retry_after=5), outcomes.NotSent),
        (Fault(Kind.REFUSE, code=500), outcomes.NotSent),
        (Fault(Kind.REFUSE, code=400, description="Bad Request: something unheard of"), outcomes.NotSent),
        (Fault(Kind.REFUSE, code=401), outcomes.Fatal),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_message_whose_way_is_not_known_yet_waits(venue: Venue, fault: telegram.Fault, outcome: type) -> None:
    user = await venue.payer()
    fault.method, fault.hits = "createChatInviteLink", 0
    venue.world.faults.add(fault)

    assert isinstance(await sent(venue, user), outcome)
    assert venue.world.chat(user) == []

    venue.world.limiter._pauses.clear()
    assert isinstance(await sent(venue, user), outcomes.Sent)
    assert len(ways(venue, user)) == 1


async def test_two_messages_at_once_lead_the_same_way(venue: Venue) -> None:
    user = await venue.payer()

    await asyncio.gather(*(sent(venue, user) for _ in range(4)))

    assert set(ways(venue, user)) == {(await venue.presence(user)).link}
    assert len(ways(venue, user)) == 4


async def test_there_is_no_way_for_whom_or_where_there_is_none(venue: Venue) -> None:
    user, host = await venue.payer(), HOST
    async with venue.stage.held.db.transaction() as session:
        now = venue.stage.now()
        session.add(Place(key="hall", platform="discord", space="9", role="8", channel="7", name="H", created_at=now))
        session.add(Place(key="old", platform="telegram", space="-9", name="Old", created_at=now, retired_at=now))
    buttons = [[text.Button(key, place=key) for key in ("hall", "old", "nowhere")]]

    await sent(venue, user, text.message("x", buttons=buttons))
    await sent(venue, host)  # who never spoke with the bot has no number
    await sent(venue, CHAT)  # nor has a group

    for chat in (user, host, CHAT):
        assert [message.buttons for message in venue.world.chat(chat)] == [[]]
    assert await venue.stage.alarms() == {}


async def test_t06_a_way_into_a_group_that_moved_leads_where_it_is(venue: Venue) -> None:
    user = await venue.payer()
    venue.world.group(-55, "Old", "group")
    async with venue.stage.held.db.transaction() as session:
        here = await session.get_one(Place, KEY)
        here.space = here.channel = "-55"
    new = venue.world.migrate(-55)

    assert isinstance(await sent(venue, user), outcomes.NotSent)
    assert isinstance(await sent(venue, user), outcomes.Sent)

    assert (await venue.place()).space == str(new)
    assert ways(venue, user)[0] in venue.world.chats[new].links


async def test_a_place_that_is_another_chat_now_has_new_ways(venue: Venue) -> None:
    """`signalstack.toml` names another chat under the same key."""
    user = await venue.payer()
    await sent(venue, user)
    venue.world.group(-1_000_999, "VIP 2")
    other = catalogue.Place(key=KEY, name="VIP room", platform="telegram", chat="-1000999")
    async with venue.stage.held.db.transaction() as session:
        await places.sync(session, BOOK.model_copy(update={"places": (other,)}), now=venue.stage.now())

    await sent(venue, user)

    assert ways(venue, user)[-1] in venue.world.chats[-1_000_999].links


async def test_who_asks_how_to_join_is_led_in(venue: Venue) -> None:
    user = await venue.payer()

    await venue.world.say(user, "/join")
    await venue.hear()
    await venue.deliver()
    [way] = ways(venue, user)
    await venue.knock(user, way)
    await venue.act()

    assert venue.chat.members[user] == "member"
    assert {row.state for row in await venue.stage.rows()} == {State.SENT}
