"""What members are told about payments before it is too late: at its moment, once, and only while it is true."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from core import catalogue, columns, db, models
from core.billing import dunning
from tests.core import people

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PLAN = catalogue.Plan(key="all", name="Everything", price_id="price_1")
BOOK = catalogue.Catalogue(plans=(PLAN,))
GRACE = 3


async def running(database: db.Database, now: datetime, *, ends: datetime, said: Any = None, **values: Any) -> int:
    """A member whose paid period ends then; gives the id of the subscription."""
    status = values.get("status", "active")
    moments = {"period_start": (ends - 30 * DAY).isoformat(), "period_end": ends.isoformat()}
    moments |= {"trial_end": ends.isoformat()} if status == "trialing" else {}
    priced = {"amount": 2900, "currency": "USD", "interval": "month", "told": "on"}
    row = priced | {"created_at": ends - 30 * DAY, "snapshot": moments | {"card": "Visa 4242"} | (said or {})} | values
    until = ends + GRACE * DAY if status != "past_due" else ends
    async with database.transaction() as session:
        who = await people.person(session, now)
        return (await people.subscription(session, who.member_id, until, **row)).id


async def told(database: db.Database, now: datetime) -> list[dict[str, Any]]:
    """The notices that are new at this moment."""
    async with database.transaction() as session:
        known = await session.scalar(select(func.max(models.Delivery.id))) or 0
        await dunning.plan(session, BOOK, grace_days=GRACE, now=now)
        await session.flush()
        rows = await session.scalars(
            select(models.Delivery).where(models.Delivery.id > known).order_by(models.Delivery.id)
        )
        return [dict(row.payload or {}) | {"expires": row.expires_at} for row in rows]


async def test_free_days_end_is_told_two_days_before_with_what_is_charged(database: db.Database, now: datetime) -> None:
    ends = now + 5 * DAY
    await running(database, now, ends=ends, status="trialing")
    assert await told(database, ends - 2 * DAY - HOUR) == []
    (notice,) = await told(database, ends - 2 * DAY)
    assert (notice["name"], notice["amount"], notice["at"]) == ("trial_ends", "29.00 USD", ends.isoformat())
    assert notice["expires"] == ends
    assert await told(database, ends - DAY) == []


async def test_free_days_of_two_days_are_not_announced_again(sqlite_database: db.Database, now: datetime) -> None:
    await running(sqlite_database, now, ends=now + 2 * DAY, status="trialing", created_at=now)
    assert await told(sqlite_database, now + HOUR) == []


async def test_yearly_renewal_is_announced_before_and_each_year_anew(database: db.Database, now: datetime) -> None:
    ends = now + 30 * DAY
    number = await running(database, now, ends=ends, interval="year", amount=29000)
    monthly = await running(database, now, ends=ends)
    assert number != monthly
    assert await told(database, ends - 8 * DAY) == []
    (notice,) = await told(database, ends - 7 * DAY)
    assert (notice["name"], notice["amount"], notice["card"]) == ("renewal_ahead", "290.00 USD", "Visa 4242")
    assert await told(database, ends - 6 * DAY) == []
    later = ends + 365 * DAY
    async with database.transaction() as session:
        row = await session.get_one(models.Subscription, number)
        row.snapshot = row.snapshot | {"period_end": later.isoformat()}
        row.access_until = later + GRACE * DAY
    assert [one["name"] for one in await told(database, later - 7 * DAY)] == ["renewal_ahead"]


async def test_nobody_is_told_what_stopped_being_true(sqlite_database: db.Database, now: datetime) -> None:
    ends = now + 3 * DAY
    await running(sqlite_database, now, ends=ends, interval="year", cancels_at=ends)
    await running(sqlite_database, now, ends=ends, status="trialing", cancels_at=ends)
    await running(sqlite_database, now, ends=ends, status="canceled", interval="year")
    await running(sqlite_database, now, ends=ends, interval="year", said={"collection_paused": True})
    await running(sqlite_database, now, ends=now - HOUR, interval="year")  # renewed, and the news of it is late
    assert await told(sqlite_database, now + DAY) == []


async def test_end_of_grace_is_told_one_day_before(database: db.Database, now: datetime) -> None:
    until = now + 3 * DAY
    await running(database, now, ends=until, status="past_due")
    assert await told(database, now) == []
    (notice,) = await told(database, until - DAY)
    assert (notice["name"], notice["until"], notice["expires"]) == ("grace_ends", until.isoformat(), until)
    assert await told(database, until - HOUR) == []


async def test_a_payment_that_the_bank_wants_confirmed_is_told_once(database: db.Database, now: datetime) -> None:
    await running(database, now, ends=now + 3 * DAY, status="past_due", said={"action_required": True})
    assert [one["name"] for one in await told(database, now)] == ["payment_action"]
    assert await told(database, now + HOUR) == []


@pytest.mark.parametrize(
    ("expires", "names"), [("2026-01", ["card_expires"]), ("2026-02", []), ("2025-11", ["card_expires"]), ("", [])]
)
async def test_card_that_is_too_old_for_the_next_charge_is_told_two_weeks_before(
    database: db.Database, expires: str, names: list[str]
) -> None:
    ends = datetime.fromisoformat("2026-02-10T12:00:00+00:00")
    await running(database, ends - 30 * DAY, ends=ends, said={"card_expires": expires})
    assert await told(database, ends - 15 * DAY) == []
    found = await told(database, ends - 14 * DAY)
    assert [one["name"] for one in found] == names
    assert await told(database, ends - 13 * DAY) == []


async def test_what_json_says_is_found_in_sql(database: db.Database, now: datetime) -> None:
    await running(database, now, ends=now, said={"card": "Visa 1"})
    async with database.reading() as session:
        row = models.Subscription
        assert await session.scalar(select(columns.said(row.snapshot, "card"))) == "Visa 1"
        assert await session.scalar(select(columns.said(row.snapshot, "nothing"))) is None
