"""Seats and gifts in chat: what who pays reads, and what whoever has a code."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from bot import commands, messages
from core import catalogue, db, models, rights
from core.billing import gifts, invitations, links, seats
from tests.bot.desk import GOLD, SERVICE, Chat, a_book, labels

TEAM = catalogue.Plan(key="team", name="Team", price_id="price_3", seats={"least": 2, "most": 9})  # type: ignore[arg-type]
SILVER = catalogue.Plan(key="silver", name="Silver", price_id="price_4", gift=True)
BOOK = a_book(GOLD, TEAM, SILVER)
BEN = {"person": "70", "platform": "discord"}


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    return Chat(database, now, BOOK)


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> Chat:
    return Chat(sqlite_database, now, BOOK)


async def team(chat: Chat, person: str = "7", quantity: int = 3) -> int:
    """The number of the subscription with which this person pays for seats."""
    await chat.pays(person, "team")
    mine = models.Subscription.member_id == await chat.member(person)
    async with chat.db.transaction() as session:
        row = (await session.scalars(select(models.Subscription).where(mine))).one()
        row.quantity = quantity
        return row.id


async def invited(chat: Chat, subscription: int) -> str:
    code = invitations.code()
    async with chat.db.transaction() as session:
        await seats.invite(session, await seats.locked(session, subscription), code, "for Ben", now=chat.now)
    return code


async def bought(chat: Chat, person: str = "7") -> int:
    """The number of a gift of Silver that this person has paid."""
    await chat.replies("/start", person=person)
    member = await chat.member(person)
    async with chat.db.transaction() as session:
        row = {"member_id": member, "plan": "silver", "provider": "stripe", "state": "paid"}
        page = models.Checkout(**row, gift=True, created_at=chat.now, expires_at=chat.now)
        session.add(page)
        await session.flush()
        made = await gifts.bought(
            session, page, ("month", 1), gifts.Payment(f"pi_{page.id}", "paid", 900, "usd"), now=chat.now
        )
        assert made is not None
        return made.id


async def plans(chat: Chat, person: str = "70", platform: str = "discord") -> set[str]:
    member = await chat.member(person, platform)
    async with chat.db.reading() as session:
        return await rights.plans_of(session, member, now=chat.now)


async def test_a_seat_is_taken_with_a_code_and_who_pays_sees_it(chat: Chat) -> None:
    row = await team(chat)
    said = await chat.said(f"/redeem {await invited(chat, row)}", **BEN)
    assert said.startswith("That code is good: you have a seat in Team.")
    assert await plans(chat) == {"team"}
    assert "Team: a seat that Ann pays for until 14 Feb 2026" in await chat.said("/status", **BEN)
    mine = await chat.ask("/seats")
    words = mine.plain.replace("\u2060", "")
    for line in ("Team: 3 seats, 1 free", "Seat 1: you", "Seat 2: Bob (@bob) on Discord (for Ben)"):
        assert line in words, line
    (button,) = mine.buttons[0]
    assert links.read(chat.settings, links.SEATS, button.url.rsplit("/", 1)[-1], now=chat.now).member_id == 1


async def test_a_link_into_the_chat_does_the_same(lite: Chat) -> None:
    row = await team(lite)
    code = await invited(lite, row)
    assert "That code is good" in await lite.said(f"/start redeem_{code}", **BEN)
    assert await plans(lite) == {"team"}
    assert commands.BY_NAME["redeem"].slash == "membership redeem"


async def test_without_a_code_it_is_said_how_it_is_used_and_a_wrong_one_is_refused(lite: Chat) -> None:
    assert "/redeem CODE" in await lite.said("/redeem")
    assert "That code is not valid." in await lite.said(f"/redeem {invitations.code()}")


async def test_who_pays_for_no_seats_is_told_who_does(lite: Chat) -> None:
    assert "You pay for no seats that could be given to others. One of the plans is for teams." in await lite.said(
        "/seats"
    )
    code = await invited(lite, await team(lite))
    await lite.ask(f"/redeem {code}", **BEN)
    assert "You have a seat that Ann pays for" in await lite.said("/seats", **BEN)


async def test_who_has_the_plan_otherwise_is_told_so(lite: Chat) -> None:
    code = await invited(lite, await team(lite))
    await lite.pays("8", "team")
    said = await lite.said(f"/redeem {code}", person="8")
    assert "You also have it otherwise (your own subscription)" in said


async def test_a_gift_is_handed_on_by_a_link_that_is_shown_once(chat: Chat) -> None:
    number = await bought(chat)
    mine = await chat.ask("/gift")
    assert f"/gift link {number}" in labels(mine)
    handed = await chat.said("", data=f"/gift link {number}")
    (code,) = re.findall(r"https://site\.example/invitation/([\w-]{22})", handed)
    assert f"/redeem {code}" in handed
    assert code not in await chat.said("/gift")
    again = await chat.said("", data=f"/gift link {number}")
    assert code not in again
    assert "That code is not valid." in await chat.said(f"/redeem {code}", **BEN)
    (code,) = re.findall(r"/invitation/([\w-]{22})", again)
    assert "you have a gift: Silver" in await chat.said(f"/redeem {code}", **BEN)
    assert "Silver: a gift from Ann until 15 Feb 2026" in await chat.said("/status", **BEN)
    assert "no such gift of yours" in await chat.said(f"/gift link {number}")


async def test_a_gift_of_what_one_has_is_taken_only_after_a_yes(lite: Chat) -> None:
    number = await bought(lite)
    handed = await lite.said(f"/gift link {number}")
    (code,) = re.findall(r"/invitation/([\w-]{22})", handed)
    await lite.pays("8", "silver")
    question = await lite.ask(f"/redeem {code}", person="8")
    assert "You have Silver already." in question.plain
    assert all(len(label) <= 64 for label in labels(question))
    said = await lite.said("", data=labels(question)[0], person="8")
    assert "That code is good" in said


async def test_somebody_elses_gift_cannot_be_handed_on(lite: Chat) -> None:
    number = await bought(lite)
    for line in (f"/gift link {number}", "/gift link 99", "/gift link"):
        assert "invitation/" not in await lite.said(line, **BEN)


@pytest.mark.parametrize("why", ["freed", "fewer seats", "over", ""])
def test_the_end_of_a_seat_is_explained(why: str) -> None:
    facts = {"plan": "Team", "by": "", "why": why}
    message = messages.notices.NOTICES["seat_ended"](facts, SERVICE)
    assert "Your seat in Team has ended." in message.plain
    assert "{by}" not in message.plain
    assert message.plain.splitlines()[1][0].isupper()


async def test_a_seat_goes_on_for_who_pays_no_longer_by_themselves(lite: Chat) -> None:
    """Whoever was given the plan can still subscribe: nothing of theirs is paid twice."""
    code = await invited(lite, await team(lite))
    await lite.ask(f"/redeem {code}", **BEN)
    assert "You already have" not in await lite.said("/subscribe team", **BEN)
    lite.now += timedelta(days=31)
    assert "You have no subscription" in await lite.said("/status", **BEN)
