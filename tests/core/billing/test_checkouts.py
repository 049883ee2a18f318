"""Reservations: one attempt to pay at a time, whatever happens in between."""

import asyncio
from datetime import datetime, timedelta

import pytest

from core import catalogue, db, errors, members, models
from core.billing import checkouts

PRO = catalogue.Plan(key="pro", name="Pro", price_id="price_1")
BASIC = catalogue.Plan(key="basic", name="Basic", price_id="price_2")
HOUR = timedelta(hours=1)


@pytest.fixture
async def anna(database: db.Database, now: datetime) -> int:
    async with database.transaction() as session:
        who = await members.arrive(session, "telegram", "7", address="7", name="Anna", username=None, now=now)
        return who.member_id


async def reserve(database: db.Database, member: int, now: datetime, plan: catalogue.Plan = PRO) -> models.Checkout:
    async with database.transaction() as session:
        choice = checkouts.Choice(plan)
        return await checkouts.reserve(session, member, choice, provider="stripe", now=now)


async def opened(database: db.Database, row: models.Checkout, now: datetime, name: str = "cs_1") -> None:
    async with database.transaction() as session:
        await checkouts.opened(session, row.id, session_id=name, url="https://pay", expires_at=now + 23 * HOUR)


async def close(database: db.Database, state: str, name: str = "cs_1") -> bool:
    async with database.transaction() as session:
        return await checkouts.closed(session, name, state=state)


async def test_s13_ten_tabs_share_one_reservation(database: db.Database, anna: int, now: datetime) -> None:
    rows = await asyncio.gather(*(reserve(database, anna, now) for _ in range(10)))
    assert len({row.id for row in rows}) == 1
    assert (await reserve(database, anna, now, BASIC)).id != rows[0].id


async def test_s23_key_is_that_of_the_row_and_stays(database: db.Database, anna: int, now: datetime) -> None:
    first, second = await reserve(database, anna, now), await reserve(database, anna, now + HOUR)
    assert checkouts.idempotency_key(first) == checkouts.idempotency_key(second) == f"checkout-{first.id}"
    assert first.expires_at == second.expires_at


async def test_page_that_was_shown_makes_place_only_once_its_provider_has_closed_it(
    database: db.Database, anna: int, now: datetime
) -> None:
    row = await reserve(database, anna, now)
    await opened(database, row, now)
    for hours in (22.9, 23, 50):  # it may have been paid in its last minute, and nobody has told us
        assert (await reserve(database, anna, now + hours * HOUR)).id == row.id
    async with database.transaction() as session:
        await checkouts.withdrawn(session, row.id)
    fresh = await reserve(database, anna, now + 50 * HOUR)
    assert (fresh.id != row.id, fresh.url) == (True, None)


async def test_reservation_without_page_is_replaced_before_its_end_is_too_near(
    database: db.Database, anna: int, now: datetime
) -> None:
    row = await reserve(database, anna, now)
    assert (await reserve(database, anna, now + 22 * HOUR)).id == row.id
    assert (await reserve(database, anna, now + 22.5 * HOUR)).id != row.id


async def test_given_up_makes_place_but_not_for_one_that_has_a_page(
    database: db.Database, anna: int, now: datetime
) -> None:
    row = await reserve(database, anna, now)
    async with database.transaction() as session:
        await checkouts.given_up(session, row.id)
    second = await reserve(database, anna, now)
    assert second.id != row.id
    await opened(database, second, now)
    async with database.transaction() as session:
        await checkouts.given_up(session, second.id)
    assert (await reserve(database, anna, now)).id == second.id


async def test_s12_pending_blocks_a_second_payment_and_may_still_be_paid(
    database: db.Database, anna: int, now: datetime
) -> None:
    await opened(database, await reserve(database, anna, now), now)
    assert await close(database, "pending")
    assert not await close(database, "pending")
    with pytest.raises(errors.RefusedError, match="still on its way"):
        await reserve(database, anna, now + 24 * HOUR)
    assert await close(database, "failed")
    assert not await close(database, "pending")
    assert await close(database, "paid")
    assert not await close(database, "failed")
    assert not await close(database, "expired")


async def test_pending_for_two_weeks_no_longer_blocks(database: db.Database, anna: int, now: datetime) -> None:
    await opened(database, await reserve(database, anna, now), now)
    await close(database, "pending")
    assert await reserve(database, anna, now + timedelta(days=14))


async def test_session_of_somebody_else_is_nothing_to_close(database: db.Database, anna: int, now: datetime) -> None:
    assert not await close(database, "paid", "cs_other")
    async with database.reading() as session:
        assert await checkouts.of_session(session, "cs_other") is None


async def test_unfinished_are_opened_checkouts_that_nobody_closed(
    database: db.Database, anna: int, now: datetime
) -> None:
    row = await reserve(database, anna, now)

    async def names(at: datetime) -> list[str | None]:
        async with database.reading() as session:
            found = await checkouts.unfinished(session, "stripe", now=at, limit=10)
            return [each.session_id for each in found]

    assert await names(now + HOUR) == []
    await opened(database, row, now)
    assert await names(now) == []
    assert await names(now + HOUR) == ["cs_1"]
    assert await names(now + timedelta(days=4)) == []
    await close(database, "pending")
    assert await names(now + timedelta(days=4)) == ["cs_1"]
    await close(database, "paid")
    assert await names(now + HOUR) == []
