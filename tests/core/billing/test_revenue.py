"""The figures of the business, from what is stored."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core import db, models
from core.billing import revenue
from tests.core import people

DAY = timedelta(days=1)
MONTHLY = {"amount": 2900, "currency": "USD", "interval": "month", "told": "on"}


async def sold(database: db.Database, now: datetime, **values: Any) -> tuple[int, int]:
    """A running subscription to one seat for 29 dollars a month, or what is said else: (its id, the member's)."""
    row = {**MONTHLY, "created_at": now - 60 * DAY, "until": now + 20 * DAY} | values
    partner, until = row.pop("partner", None), row.pop("until")
    async with database.transaction() as session:
        who = await people.person(session, now)
        (await session.get_one(models.Member, who.member_id)).partner_id = partner
        return (await people.subscription(session, who.member_id, until, **row)).id, who.member_id


async def taken(database: db.Database, now: datetime) -> revenue.Revenue:
    async with database.reading() as session:
        return await revenue.take(session, now=now)


async def test_monthly_revenue_brings_every_period_and_seat_to_a_month_in_each_currency(
    database: db.Database, now: datetime
) -> None:
    await sold(database, now)
    await sold(database, now, amount=29_000, interval="year")
    await sold(database, now, amount=8_000, interval_count=3)
    await sold(database, now, amount=1_000, currency="EUR", quantity=5)
    await sold(database, now, amount=3_000, currency="JPY", status="past_due")
    await sold(database, now, amount=None)
    for nothing in (
        {"status": "trialing"},
        {"until": None},  # refunded: the provider still says active
        {"until": now},
        {"status": "canceled"},
        {"plan": ""},
    ):
        await sold(database, now, **nothing)

    found = await taken(database, now)

    assert found.monthly == {"EUR": 5_000, "JPY": 3_000, "USD": 2_900 + round(29_000 / 12 + 8_000 / 3)}
    assert (found.paid, found.unpriced, found.trials, found.past_due) == (6, 1, 1, 1)


async def test_churn_is_who_ended_of_those_who_were_paid_thirty_days_ago(database: db.Database, now: datetime) -> None:
    await sold(database, now)
    await sold(database, now)
    await sold(database, now, ended_at=now - 2 * DAY, status="canceled")
    await sold(database, now, ended_at=now - 29 * DAY, status="canceled")
    for aside in (
        {"ended_at": now - 31 * DAY, "status": "canceled"},  # before
        {"created_at": now - 3 * DAY},  # after
        {"created_at": now - 3 * DAY, "ended_at": now - DAY, "status": "canceled"},
        {"status": "canceled"},  # nobody knows when
        {"told": "", "status": "incomplete_expired", "ended_at": now - 5 * DAY},  # never paid
        {"snapshot": {"trial_end": (now - 25 * DAY).isoformat()}, "ended_at": now - 25 * DAY, "status": "canceled"},
    ):
        await sold(database, now, **aside)

    found = await taken(database, now)

    assert (found.began, found.ended, found.churn) == (4, 2, Decimal("0.5"))


async def test_seats_gifts_partners_and_ends_are_counted(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        partner = models.Partner(code="ANN", name="Ann", created_by="telegram:1", created_at=now)
        session.add(partner)
        await session.flush()
        number = partner.id
    team, payer = await sold(database, now, quantity=5, partner=number)
    await sold(database, now, cancels_at=now + DAY)
    async with database.transaction() as session:
        seat = {"plan": "all", "granted_by": "telegram:9", "created_at": now, "source": "seat", "subscription_id": team}
        other = await people.person(session, now)
        session.add(models.Grant(member_id=other.member_id, seat=2, until=now + DAY, **seat))
        session.add(models.Grant(member_id=payer, seat=3, until=now, **seat))
        for index, status in enumerate(("paid", "refunded")):
            bought = {"member_id": payer, "plan": "all", "created_at": now}
            checkout = models.Checkout(
                **bought, provider="stripe", state="paid", expires_at=now, gift=True, session_id=f"cs_{index}"
            )
            session.add(checkout)
            await session.flush()
            money = {"interval": "month", "interval_count": 1, "amount": 2900, "currency": "USD", "read_at": now}
            session.add(
                models.Gift(**bought, **money, checkout_id=checkout.id, payment_id=f"pi_{index}", status=status)
            )

    found = await taken(database, now)

    assert (found.seats, found.taken) == (5, 2)
    assert (found.gifts, found.opened) == (1, 0)
    assert (found.brought, found.by_partners, found.ending) == (1, Decimal("0.5"), 1)


async def test_a_beginning_without_anything_has_figures_too(database: db.Database, now: datetime) -> None:
    found = await taken(database, now)
    assert (found.monthly, found.paid, found.churn, found.by_partners) == ({}, 0, None, None)
