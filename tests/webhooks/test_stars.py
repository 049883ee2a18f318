"""Telegram Stars from the invoice to access and back, through the real bot, against Telegram's stand-in."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import db, errors, models
from core.billing import errands, passed, questions
from tests.sandbox import telegram, telegram_call
from tests.webhooks import stars
from tests.webhooks.stars import ANN, BOB, PERIOD, Shop
from webhooks import sweep

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.fixture
async def shop(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Shop]:
    async with stars.opened(sqlite_database, make_stack, now) as opened:
        yield opened


@pytest.fixture
async def both(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Shop]:
    async with stars.opened(database, make_stack, now) as opened:
        yield opened


async def ask(shop: Shop, member: int, act: errands.Act, target: str) -> None:
    async with shop.world.stack.db.transaction() as session:
        await errands.ask(session, "stars", act, target, why="test", now=shop.world.now, member_id=member)
    await shop.run_errands()


async def test_paying_in_stars_opens_the_plan(both: Shop) -> None:
    ann = await both.member()
    assert await both.world.plans_of(ann) == set()
    charge = await both.subscribe(ann)
    assert await both.world.plans_of(ann) == {"signals"}
    row = await both.world.row(ann)
    assert (row.provider, row.external_id, row.plan, row.status) == ("stars", charge, "signals", "active")
    assert (row.amount, row.currency, row.interval, row.interval_count) == (500, "XTR", "day", 30)
    assert row.access_until == both.world.now.replace(microsecond=0) + PERIOD + 3 * DAY
    assert await both.world.notices(ann) == ["access_started"]


async def test_a_payment_that_is_told_twice_counts_once(shop: Shop) -> None:
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    [told] = [row for row in await shop.world.inbox() if row.kind == "successful_payment"]
    await shop.world.here.tray.put(passed.PAID, "another update", told.kind, told.body or b"")
    await shop.world.here.tray.put(passed.PAID, told.event_id, told.kind, told.body or b"")
    await shop.settle()
    async with shop.world.stack.db.reading() as session:
        rows = (await session.scalars(select(models.Subscription))).all()
    assert [row.external_id for row in rows] == [charge]
    assert await shop.world.notices(ann) == ["access_started"]


async def test_each_renewal_extends_access(shop: Shop) -> None:
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    first = (await shop.world.row(ann)).access_until
    assert first
    for number in (1, 2):
        await shop.advance(PERIOD)
        row = await shop.world.row(ann)
        assert (row.external_id, row.status, row.access_until) == (charge, "active", first + number * PERIOD)
    assert len(shop.telegram.stars.payments) == 3
    assert await shop.world.notices(ann) == ["access_started"]


async def test_who_cancels_in_telegram_has_access_to_the_paid_end_and_not_longer(both: Shop) -> None:
    ann = await both.member()
    charge = await both.subscribe(ann)
    end = both.world.now.replace(microsecond=0) + PERIOD
    both.telegram.stars.cancel(charge)
    await both.settle()
    row = await both.world.row(ann)
    assert (row.cancels_at, row.access_until) == (end, end)
    # Telegram's list does not say it again; it is remembered.
    await sweep.Sweep(both.world.here, both.provider).round()
    assert (await both.world.row(ann)).access_until == end
    await both.advance(PERIOD - DAY)
    assert await both.world.plans_of(ann) == {"signals"}
    await both.advance(DAY + SECOND)
    assert await both.world.plans_of(ann) == set()
    assert await both.world.notices(ann) == ["access_started", "cancel_planned"]


async def test_who_resumes_before_the_end_goes_on(shop: Shop) -> None:
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    shop.telegram.stars.cancel(charge)
    await shop.settle()
    shop.telegram.stars.resume(charge)
    await shop.settle()
    assert (await shop.world.row(ann)).cancels_at is None
    await shop.advance(PERIOD + SECOND)
    assert (await shop.world.row(ann)).status == "active"


async def test_of_cancelled_and_resumed_at_once_the_last_word_counts(shop: Shop) -> None:
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    for _ in range(3):
        shop.telegram.stars.cancel(charge)
        shop.telegram.stars.resume(charge)
    shop.telegram.stars.cancel(charge)
    await shop.settle()
    assert (await shop.world.row(ann)).cancels_at is not None


async def test_where_telegram_tells_no_changes_access_ends_after_the_grace(shop: Shop) -> None:
    shop.telegram.stars.tells_changes = False
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    shop.telegram.stars.cancel(charge)
    await shop.advance(PERIOD + DAY)
    await sweep.Sweep(shop.world.here, shop.provider).round()
    assert (await shop.world.row(ann)).status == "past_due"
    assert await shop.world.plans_of(ann) == {"signals"}
    await shop.advance(2 * DAY + SECOND)
    assert await shop.world.plans_of(ann) == set()


async def test_a_renewal_without_stars_has_days_of_grace(shop: Shop) -> None:
    shop.telegram.stars.balance[ANN] = 700
    ann = await shop.member()
    await shop.subscribe(ann)
    await shop.advance(PERIOD + SECOND)
    assert (await shop.world.row(ann)).status == "past_due"
    assert await shop.world.notices(ann) == ["access_started", "payment_failed"]
    await shop.advance(3 * DAY)
    assert await shop.world.plans_of(ann) == set()


async def test_who_gets_new_stars_in_those_days_pays_with_the_old_invoice_and_goes_on(shop: Shop) -> None:
    shop.telegram.stars.balance[ANN] = 700
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    await shop.advance(PERIOD + DAY)
    shop.telegram.stars.balance[ANN] = 700
    [link] = shop.telegram.stars.invoices
    assert await shop.telegram.stars.pay(ANN, link) == "paid"
    await shop.settle()
    row = await shop.world.row(ann)
    assert (row.external_id, row.status) == (charge, "active")
    assert await shop.world.notices(ann) == ["access_started", "payment_failed"]
    await ask(shop, ann, "cancel", charge)  # Telegram knows it by its new first payment
    assert list(shop.telegram.stars.subscriptions.values())[-1].by_bot


async def test_a_refund_ends_access(both: Shop) -> None:
    ann = await both.member()
    charge = await both.subscribe(ann)
    await ask(both, ann, "refund", charge)
    assert both.telegram.stars.payments[charge].refunded
    row = await both.world.row(ann)
    assert (row.access_until, row.snapshot["hold"], row.claims) == (None, "refunded", [charge])
    assert await both.world.plans_of(ann) == set()
    assert await both.world.notices(ann) == ["access_started", "access_ended"]


async def test_a_refund_that_somebody_else_made_ends_access_too(shop: Shop) -> None:
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    given = {"user_id": ANN, "telegram_payment_charge_id": charge}
    shop.telegram.stars.refund(telegram_call.Call("refundStarPayment", given))
    await shop.settle()
    assert await shop.world.plans_of(ann) == set()


async def test_errands_are_done_once_however_often(shop: Shop) -> None:
    ann = await shop.member()
    charge = await shop.subscribe(ann)
    await ask(shop, ann, "cancel", charge)
    row = await shop.world.row(ann)
    assert shop.telegram.stars.subscriptions[charge].by_bot
    assert (row.status, row.cancels_at) == ("active", shop.world.now.replace(microsecond=0) + PERIOD)
    await ask(shop, ann, "refund", charge)
    row = await shop.world.row(ann)
    assert (row.status, row.access_until) == ("canceled", None)
    for act in ("cancel", "refund", "end_trial", "expire"):
        await shop.provider.do(errands.Errand(1, "stars", act, charge, ann, 1, 1))
    assert len(shop.telegram.history.of("telegram_stars_refunded")) == 1
    with pytest.raises(errors.RefusedError):
        await shop.provider.do(errands.Errand(1, "stars", "refund", "stxUnknown", ann, 1, 1))


async def test_x02_an_invoice_of_somebody_else_is_refused(shop: Shop) -> None:
    ann, bob = await shop.member(), await shop.member(BOB, "Bob")
    link = await shop.invoice(ann)
    assert await shop.telegram.stars.pay(BOB, link) == questions.ANOTHERS
    assert shop.telegram.stars.payments == {}
    assert await shop.world.plans_of(bob) == set()
    assert await shop.telegram.stars.pay(ANN, link) == "paid"


async def test_s13_what_is_paid_already_is_not_paid_again(shop: Shop) -> None:
    ann = await shop.member()
    link = await shop.invoice(ann)
    assert await shop.telegram.stars.pay(ANN, link) == "paid"
    await shop.settle()
    assert await shop.telegram.stars.pay(ANN, link) == questions.RUNNING
    await shop.advance(PERIOD)
    assert await shop.telegram.stars.pay(ANN, link) == questions.RUNNING


async def test_s13_two_phones_at_once_are_two_subscriptions_and_one_is_given_back(shop: Shop) -> None:
    ann = await shop.member()
    link = await shop.invoice(ann)
    shop.telegram.stars._charge(ANN, shop.telegram.stars.invoices[link], int(shop.world.now.timestamp()))
    await shop.advance(SECOND)
    shop.telegram.stars._charge(ANN, shop.telegram.stars.invoices[link], int(shop.world.now.timestamp()))
    await shop.settle()
    first, second = shop.telegram.stars.subscriptions
    await shop.run_errands()
    assert shop.telegram.stars.payments[second].refunded
    assert shop.telegram.stars.subscriptions[second].by_bot
    assert not shop.telegram.stars.payments[first].refunded
    assert await shop.world.plans_of(ann) == {"signals"}
    assert not [key for key in await shop.world.alarms() if key.startswith("second_subscription")]


async def test_after_its_end_a_subscription_is_begun_again_with_the_old_invoice(shop: Shop) -> None:
    ann = await shop.member()
    link = await shop.invoice(ann)
    assert await shop.telegram.stars.pay(ANN, link) == "paid"
    await shop.settle()
    [old] = shop.telegram.stars.subscriptions
    shop.telegram.stars.cancel(old)
    await shop.settle()
    await shop.advance(PERIOD + 10 * DAY)
    await sweep.Sweep(shop.world.here, shop.provider).round()
    assert await shop.telegram.stars.pay(ANN, link) == "paid"
    await shop.settle()
    row = await shop.world.row(ann)
    assert row.external_id != old
    assert await shop.world.plans_of(ann) == {"signals"}


async def test_an_invoice_that_has_run_out_or_was_replaced_is_refused(shop: Shop) -> None:
    ann = await shop.member()
    link = await shop.invoice(ann)
    await shop.world.checkout(ann)  # the same plan, by card
    assert await shop.telegram.stars.pay(ANN, link) == questions.OVER
    other = await shop.invoice(ann, "more")
    await shop.advance(DAY)
    assert await shop.telegram.stars.pay(ANN, other) == questions.OVER


async def test_a_gift_is_paid_once_and_handed_on(shop: Shop) -> None:
    ann = await shop.member()
    link = await shop.invoice(ann, gift=True)
    assert shop.telegram.stars.invoices[link].period == 0
    assert await shop.telegram.stars.pay(ANN, link) == "paid"
    await shop.settle()
    async with shop.world.stack.db.reading() as session:
        gift = (await session.scalars(select(models.Gift))).one()
    assert (gift.status, gift.amount, gift.currency, gift.interval_count) == ("paid", 500, "XTR", 30)
    await shop.provider.do(errands.Errand(1, "stars", "refund", gift.payment_id, ann, 1, 1))
    await shop.settle()
    async with shop.world.stack.db.reading() as session:
        assert (await session.scalars(select(models.Gift.status))).one() == "refunded"


async def test_while_telegram_is_away_payments_wait(shop: Shop) -> None:
    ann = await shop.member()
    link = await shop.invoice(ann)
    faults = shop.telegram.faults
    faults.add(telegram.Fault(telegram.Kind.STORE_THEN_502, method="getStarTransactions", times=None))
    assert await shop.telegram.stars.pay(ANN, link) == "paid"
    await shop.settle()
    assert await shop.world.plans_of(ann) == set()
    faults.clear()
    await shop.advance(timedelta(minutes=1))
    assert await shop.world.plans_of(ann) == {"signals"}
