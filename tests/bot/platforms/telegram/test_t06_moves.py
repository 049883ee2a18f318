"""A basic group that becomes a supergroup keeps its place: everything of it is found under the new number."""

import pytest
from sqlalchemy import update

from bot import platforms
from bot.messages import text
from core import db
from core.delivery import outbox, outcomes
from core.models import Delivery, Presence, State
from tests.bot.platforms.telegram.conftest import VenueMaker
from tests.bot.platforms.telegram.venue import CHAT, KEY, Venue


@pytest.fixture
async def venue(open_venue: VenueMaker) -> Venue:
    """A place that is a basic group."""
    return await open_venue(kind="group")


def lines(venue: Venue, chat: int) -> list[str]:
    return [message.text.splitlines()[0] for message in venue.world.chat(chat) if message.text]


async def test_t06_place_posts_acts_and_ways_follow_in_one_transaction(venue: Venue) -> None:
    lapsing = await venue.inside()
    await venue.lapses(lapsing)
    await venue.publish()
    async with venue.stage.held.db.transaction() as session:
        await db.execute(session, update(Presence).values(link="https://t.me/+old"))
        note = text.message("x").as_dict()
        await outbox.reply(session, "telegram", str(CHAT), note, key="said there", now=venue.stage.now())
    new = venue.world.migrate(CHAT)

    await venue.hear()

    here = await venue.place()
    assert (here.space, here.channel, here.fault) == (str(new), str(new), "")
    waiting = await venue.stage.rows(Delivery.state == State.PENDING)
    assert {row.address for row in waiting if row.address.startswith("-")} == {str(new)}
    assert {(row.payload or {})["space"] for row in waiting if row.kind == "door"} == {str(new)}
    assert (await venue.presence(lapsing)).link == ""

    await venue.act()
    assert venue.world.chats[new].members[lapsing] == "left"
    assert [line for line in lines(venue, new) if line.startswith("▲ Long")]


async def test_t06_a_post_that_meets_the_move_takes_the_place_along(venue: Venue) -> None:
    await venue.publish()
    new = venue.world.migrate(CHAT)

    await venue.deliver()

    assert len([line for line in lines(venue, new) if line.startswith("▲ Long")]) == 1
    assert ((await venue.place()).space, (await venue.place()).channel) == (str(new), str(new))
    assert {row.state for row in await venue.stage.rows(Delivery.place == KEY)} == {State.SENT}


async def test_t06_an_act_that_meets_the_move_is_done_at_the_new_number(venue: Venue) -> None:
    user = await venue.inside()
    await venue.lapses(user)
    new = venue.world.migrate(CHAT)

    await venue.deliver()

    assert venue.world.chats[new].members[user] == "left"
    assert (await venue.acts(user))[-1] == ("remove", State.SENT)
    assert (await venue.place()).space == str(new)


async def test_t06_the_end_of_a_signal_is_told_where_the_group_is_now(venue: Venue) -> None:
    signal = await venue.publish()
    await venue.deliver()
    new = venue.world.migrate(CHAT)
    await venue.hear()

    await venue.stage.end(signal)
    await venue.deliver()

    assert [line for line in lines(venue, new) if line.startswith("✓ Target hit")]
    assert {row.state for row in await venue.stage.rows(Delivery.place == KEY)} == {State.SENT}


async def test_t06_people_go_on_asking_at_the_new_number(venue: Venue) -> None:
    user = await venue.payer()
    new = venue.world.migrate(CHAT)
    await venue.hear()
    asked = {"chat_id": new, "creates_join_request": True}
    link = await venue.stage.bot._bot.call("createChatInviteLink", asked)

    await venue.knock(user, link["invite_link"])
    await venue.act()

    assert venue.world.chats[new].members[user] == "member"


async def test_t06_a_group_that_is_no_place_moves_its_answers_too(venue: Venue) -> None:
    venue.world.group(-55, "Elsewhere", "group")
    new = venue.world.migrate(-55)

    assert await venue.stage.bot.send(platforms.Parcel("-55", text.message("x"))) == outcomes.Moved(str(new))
    await venue.hear()
    assert (await venue.place()).space == str(CHAT)
