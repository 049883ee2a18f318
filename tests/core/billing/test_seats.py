"""Seats and gifts when people become one member with others, or leave."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from core import db, errors, grants, linking, models
from core.billing import gifts, invitations, seats
from core.models import Delivery, Grant, Identity, Invitation
from core.privacy import removal
from tests.core import people

DAY = timedelta(days=1)


async def team(database: db.Database, now: datetime, quantity: int = 3) -> tuple[Identity, int]:
    """Somebody who pays for so many seats, and the number of the subscription."""
    async with database.transaction() as session:
        who = await people.person(session, now)
        row = await people.subscription(session, who.member_id, now + 30 * DAY, quantity=quantity)
        return who, row.id


async def invite(database: db.Database, subscription_id: int, now: datetime, note: str = "") -> str:
    code = invitations.code()
    async with database.transaction() as session:
        row = await seats.locked(session, subscription_id)
        await seats.invite(session, row, code, note, now=now)
    return code


async def take(database: db.Database, who: Identity, code: str, now: datetime) -> Grant:
    async with database.transaction() as session:
        _, made = await grants.redeem(session, who, code, people.BOOK, now=now)
    assert made is not None
    return made


async def person(database: db.Database, now: datetime, platform: str = "telegram") -> Identity:
    async with database.transaction() as session:
        return await people.person(session, now, platform=platform)


async def link(database: db.Database, one: Identity, other: Identity, now: datetime) -> None:
    async with database.transaction() as session:
        pair = await linking.use(session, other, await linking.offer(session, one, now=now), now=now)
        for side in (one, other):
            await linking.answer(session, side, pair.request.id, people.BOOK, yes=True, now=now)


async def valid(database: db.Database) -> list[tuple[int, int | None]]:
    """Who has which seat."""
    async with database.reading() as session:
        rows = await session.scalars(select(Grant).where(Grant.revoked_at.is_(None)).order_by(Grant.seat))
        return [(row.member_id, row.seat) for row in rows]


async def test_who_had_two_seats_of_one_team_has_one_after_linking(database: db.Database, now: datetime) -> None:
    _, row = await team(database, now)
    ben, bens = await person(database, now), await person(database, now, "discord")
    first = await take(database, ben, await invite(database, row, now), now)
    await take(database, bens, await invite(database, row, now), now)
    await link(database, ben, bens, now)
    assert await valid(database) == [(first.member_id, 2)]
    assert await people.notices(database, first.member_id) == ["seat_began", "seat_began"]  # no end was told


async def test_a_payer_who_had_a_seat_of_their_own_team_frees_it_by_linking(
    database: db.Database, now: datetime
) -> None:
    payer, row = await team(database, now)
    mine = await person(database, now, "discord")
    await take(database, mine, await invite(database, row, now), now)
    await link(database, payer, mine, now)
    assert await valid(database) == []
    async with database.reading() as session:
        found = await seats.team(session, await session.get_one(models.Subscription, row), now=now)
    assert found.free == 2


async def test_who_gave_is_found_after_they_became_another_member(database: db.Database, now: datetime) -> None:
    payer, row = await team(database, now)
    other = await person(database, now, "discord")
    async with database.transaction() as session:  # worth more, so the payer's member goes into this one
        await people.subscription(session, other.member_id, now + 90 * DAY, plan="bitcoin")
    made = await take(database, await person(database, now), await invite(database, row, now), now)
    await link(database, payer, other, now)
    async with database.reading() as session:
        seat = await session.get_one(Grant, made.id)
        who = await session.get_one(Identity, payer.id)
    assert seat.granted_by == f"member:{who.member_id}"


async def test_x10_who_leaves_frees_the_seat_and_is_named_nowhere(database: db.Database, now: datetime) -> None:
    payer, row = await team(database, now)
    ben = await person(database, now)
    await take(database, ben, await invite(database, row, now, "my friend Benedict"), now)
    async with database.transaction() as session:
        await removal.remove(session, ben.member_id, now=now)
    assert await valid(database) == []
    async with database.reading() as session:
        assert list(await session.scalars(select(Invitation.note))) == [""]
        told = await session.scalars(select(Delivery).where(Delivery.member_id == payer.member_id))
        assert [row.payload["who"] for row in told if row.payload and row.payload["name"] == "seat_taken"] == [""]
    await take(database, await person(database, now), await invite(database, row, now), now)
    assert [seat for _, seat in await valid(database)] == [2]


async def test_x10_a_gift_outlives_its_buyer(database: db.Database, now: datetime) -> None:
    anna, ben = await person(database, now), await person(database, now)
    code = invitations.code()
    async with database.transaction() as session:
        page = models.Checkout(
            member_id=anna.member_id, plan="all", provider="stripe", state="paid", gift=True, created_at=now,
            expires_at=now,
        )  # fmt: skip
        session.add(page)
        await session.flush()
        paid = gifts.Payment("pi_1", "paid", 2900, "usd")
        made = await gifts.bought(session, page, ("month", 1), paid, now=now)
        assert made is not None
        await gifts.invite(session, anna.member_id, made.id, code, now=now)
        await removal.remove(session, anna.member_id, now=now)
    grant = await take(database, ben, code, now)
    assert (grant.source, grant.until) == ("gift", gifts.after(now, "month", 1))


async def test_x04_codes_are_kept_as_hashes_and_are_short_enough_for_a_link(
    database: db.Database, now: datetime
) -> None:
    _, row = await team(database, now)
    code = await invite(database, row, now)
    assert len(f"redeem_{code}") <= 64
    async with database.reading() as session:
        (kept,) = await session.scalars(select(Invitation))
    assert code not in str(vars(kept))


async def test_guessing_is_slowed_and_every_fault_says_the_same(database: db.Database, now: datetime) -> None:
    _, row = await team(database, now)
    used, old = await invite(database, row, now), await invite(database, row, now)
    await take(database, await person(database, now), used, now)
    eve, said = await person(database, now), set()
    at = now + 8 * DAY
    for code in ("nothing", used, old, "x" * 22, "y" * 22):
        async with database.transaction() as session:
            with pytest.raises(errors.RefusedError) as refused:
                await grants.redeem(session, eve, code, people.BOOK, now=at)
            said.add(str(refused.value))
    assert len(said) == 1
    good = await invite(database, row, at)
    async with database.transaction() as session:
        with pytest.raises(errors.RefusedError, match="Too many codes"):
            await grants.redeem(session, eve, good, people.BOOK, now=at)
    await take(database, eve, good, at + timedelta(hours=2))
