"""Gifts: bought on a page by one, taken with a code by another, and never worth more than their payment."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from core import access, db, errors
from core.billing import gifts, links
from tests.webhooks import giving
from tests.webhooks.conftest import World, open_world
from webhooks import sweep


@pytest.fixture
async def world(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[World]:
    async with giving.opened(sqlite_database, make_stack, now) as opened:
        yield opened


@pytest.fixture
async def both(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[World]:
    async with giving.opened(database, make_stack, now) as opened:
        yield opened


async def taken(world: World) -> tuple[int, str, str]:
    """The buyer, the session of their gift, and the name of whoever has taken it."""
    anna = await world.member("Anna")
    session = await giving.bought(world, anna)
    assert await giving.redeem(world, "Ben", await giving.code(world, anna)) is not None
    return anna, session, "Ben"


async def test_the_page_shows_what_can_be_given_and_makes_nothing(world: World) -> None:
    anna = await world.member()
    status, text = await giving.get(world, giving.page(world, links.GIFT, anna))
    assert status == 200
    for words in ("29.00 USD", "for one month", "27.00 EUR", "290.00 USD", "for one year", "nothing renews"):
        assert words in text, words
    assert "Team" not in text
    assert world.stripe.account.all("checkout.session") == []


async def test_x02_a_gift_is_one_payment_that_says_what_it_is(world: World) -> None:
    anna = await world.member()
    session = world.stripe.account.get("checkout.session", await giving.gift(world, anna, currency="EUR"))
    assert (session["mode"], session["amount_total"], session["currency"]) == ("payment", 2700, "eur")
    assert session["metadata"]["signalstack_gift"] == "yes"
    assert "A gift for somebody else" in session["custom_text"]["submit"]["message"]
    assert session["allow_promotion_codes"] is None
    assert "/gift/" in session["cancel_url"]
    assert (await giving.get(world, world.local(session["cancel_url"])))[0] == 200


async def test_taxes_are_worked_out_for_gifts_too(sqlite_database: db.Database, make_stack: Any, now: datetime) -> None:
    def taxed(stripe: Any) -> Any:
        stripe.account.tax_active = True
        made = giving.book(stripe)
        return made.model_copy(update={"policy": made.policy.model_copy(update={"tax": True})})

    async with open_world(sqlite_database, make_stack, now, book=taxed) as world:
        session = world.stripe.account.get("checkout.session", await giving.gift(world, await world.member()))
        assert session["automatic_tax"]["enabled"] is True


@pytest.mark.parametrize("said", ["", "signals price_x USD", "team x USD", "signals  EUR"])
async def test_a_form_that_names_nothing_on_offer_shows_the_page_again(world: World, said: str) -> None:
    anna = await world.member()
    status, text, _ = await giving.post(world, giving.page(world, links.GIFT, anna), gift=said)
    assert status == 422
    assert "Please choose one of the gifts below." in text
    assert world.stripe.account.all("checkout.session") == []


async def test_what_was_paid_is_told_and_taken_once(both: World) -> None:
    anna = await both.member("Anna Smith")
    await giving.bought(both, anna)
    assert await both.notices(anna) == ["gift_bought"]
    assert (await giving.facts(both, anna))[0]["period"] == "one month"
    assert await both.plans_of(anna) == set()

    code = await giving.code(both, anna)
    made = await giving.redeem(both, "Ben", code)

    assert made is not None
    ben = made.member_id
    assert await both.plans_of(ben) == {"signals"}
    assert made.until == gifts.after(both.now, "month", 1)
    assert await both.notices(anna) == ["gift_bought", "gift_taken"]
    assert await both.notices(ben) == ["gift_began"]
    assert (await giving.facts(both, ben))[0]["by"] == "Anna"
    with pytest.raises(errors.RefusedError, match="not valid"):
        await giving.redeem(both, "Eve", code)
    await both.settle()
    assert len(await giving.all_grants(both)) == 1


async def test_a_year_lasts_a_year_and_its_end_by_the_clock_is_told_once(world: World) -> None:
    anna = await world.member()
    await giving.bought(world, anna, price=1)
    made = await giving.redeem(world, "Ben", await giving.code(world, anna))
    assert made is not None
    assert made.until == world.now.replace(year=world.now.year + 1)
    await world.stripe.advance(366 * 86_400)
    for _ in range(2):
        async with world.stack.db.transaction() as session:
            for member in await access.lapsed(session, now=world.now):
                await access.reconcile(session, member, world.stack.catalogue, now=world.now)
    assert await world.plans_of(made.member_id) == set()
    assert await world.notices(made.member_id) == ["gift_began", "gift_ended"]


async def test_a_new_link_makes_the_one_before_worthless(world: World) -> None:
    anna = await world.member()
    await giving.bought(world, anna)
    old, new = await giving.code(world, anna), await giving.code(world, anna)
    with pytest.raises(errors.RefusedError, match="not valid"):
        await giving.redeem(world, "Ben", old)
    assert await giving.redeem(world, "Ben", new) is not None


async def test_s19_a_refund_ends_the_gift_and_both_are_told(both: World) -> None:
    anna, session, _ = await taken(both)
    (grant,) = await giving.all_grants(both)
    intent = both.stripe.account.get("checkout.session", session)["payment_intent"]
    both.stripe.refund(intent, 1000)
    await both.settle()
    assert await both.plans_of(grant.member_id) == {"signals"}  # a part of it changes nothing
    both.stripe.refund(intent)
    await both.settle()
    assert await both.plans_of(grant.member_id) == set()
    assert (await both.notices(anna))[-1] == "gift_withdrawn"
    assert await both.notices(grant.member_id) == ["gift_began", "gift_ended"]
    assert (await giving.facts(both, grant.member_id))[-1]["why"] == "refunded"


async def test_s19_a_dispute_takes_the_gift_and_winning_it_gives_it_back_for_the_rest(both: World) -> None:
    anna, session, _ = await taken(both)
    (grant,) = await giving.all_grants(both)
    intent = both.stripe.account.get("checkout.session", session)["payment_intent"]
    for outcome, held in (("inquiry", {"signals"}), ("open", set()), ("won", {"signals"})):
        both.stripe.dispute(intent, outcome)
        await both.stripe.advance(86_400)
        await both.settle()
        assert await both.plans_of(grant.member_id) == held, outcome
    assert (await giving.all_grants(both))[0].until == grant.until
    assert await both.notices(grant.member_id) == ["gift_began", "gift_ended", "gift_began"]
    assert (await both.notices(anna))[-2:] == ["gift_withdrawn", "gift_restored"]


async def test_s19_a_lost_dispute_leaves_nothing_to_take(world: World) -> None:
    anna = await world.member()
    session = await giving.bought(world, anna)
    code = await giving.code(world, anna)
    intent = world.stripe.account.get("checkout.session", session)["payment_intent"]
    world.stripe.dispute(intent, "lost")
    await world.settle()
    with pytest.raises(errors.RefusedError, match="not valid"):
        await giving.redeem(world, "Ben", code)
    assert (await giving.get(world, f"{world.url}/invitation/{code}"))[0] == 404


async def test_s12_a_slow_payment_is_told_as_a_gift(world: World) -> None:
    anna, bob = await world.member("Anna"), await world.member("Bob")
    await giving.bought(world, anna, "sepa")
    await giving.bought(world, bob, "sepa_fails")
    assert await world.notices(anna) == ["gift_payment_pending"]
    await world.stripe.advance(4 * 86_400)
    await world.settle()
    assert await world.notices(anna) == ["gift_payment_pending", "gift_bought"]
    assert await world.notices(bob) == ["gift_payment_pending", "gift_payment_refused"]


async def test_two_gifts_of_one_plan_do_not_overlap(world: World) -> None:
    anna = await world.member()
    await giving.bought(world, anna)
    assert await giving.redeem(world, "Ben", await giving.code(world, anna)) is not None
    await giving.bought(world, anna)
    code = await giving.code(world, anna)
    with pytest.raises(errors.RefusedError, match="as a gift already, until"):
        await giving.redeem(world, "Ben", code, sure=True)
    await world.stripe.advance(32 * 86_400)
    assert await giving.redeem(world, "Ben", code) is not None


async def test_who_pays_already_is_asked_before_a_gift_runs_at_the_same_time(world: World) -> None:
    anna = await world.member("Anna")
    await giving.bought(world, anna)
    code = await giving.code(world, anna)
    await world.subscribe(await world.member("Ben"))
    assert await giving.redeem(world, "Ben", code) is None
    assert await giving.redeem(world, "Ben", code, sure=True) is not None


async def test_the_link_shows_what_it_is_and_takes_nothing(world: World) -> None:
    anna = await world.member("Anna Smith")
    await giving.bought(world, anna)
    code = await giving.code(world, anna)
    status, text = await giving.get(world, f"{world.url}/invitation/{code}")
    assert status == 200
    for words in ("A gift for you, from Anna\n", "Signals", "does not renew", f"/redeem {code}"):
        assert words in re.sub("</p>", "\n", text), words
    assert "Smith" not in text
    assert await giving.all_grants(world) == []
    assert (await giving.get(world, f"{world.url}/invitation/{'x' * 22}"))[0] == 404


async def test_gifts_whose_payment_should_be_asked_after_are_named_once(world: World) -> None:
    anna = await world.member()
    session = await giving.bought(world, anna)
    later = world.now + timedelta(hours=7)
    async with world.stack.db.transaction() as reading:
        assert await gifts.unsettled(reading, "stripe", now=world.now, limit=9) == []
        assert await gifts.unsettled(reading, "other", now=later, limit=9) == []
        assert await gifts.unsettled(reading, "stripe", now=later, limit=9) == [session]
        assert await gifts.unsettled(reading, "stripe", now=later, limit=9) == []


async def test_s21_a_sweep_finds_what_was_bought_and_taken_back_while_no_event_came(world: World) -> None:
    anna = await world.member()
    world.stripe.webhook_url = None
    session = await giving.bought(world, anna)
    await world.stripe.advance(600)
    await sweep.Sweep(world.here, world.here.providers[0]).round()
    assert await world.notices(anna) == ["gift_bought"]
    world.stripe.refund(world.stripe.account.get("checkout.session", session)["payment_intent"])
    await world.stripe.advance(7 * 3600)
    await sweep.Sweep(world.here, world.here.providers[0]).round()
    assert await world.notices(anna) == ["gift_bought", "gift_withdrawn"]


@pytest.mark.parametrize(
    ("start", "interval", "count", "end"),
    [
        ("2026-01-31", "month", 1, "2026-02-28"),
        ("2024-01-31", "month", 1, "2024-02-29"),
        ("2026-11-30", "month", 3, "2027-02-28"),
        ("2024-02-29", "year", 1, "2025-02-28"),
        ("2026-12-31", "month", 1, "2027-01-31"),
        ("2026-01-01", "week", 2, "2026-01-15"),
        ("2026-01-01", "day", 30, "2026-01-31"),
    ],
)
def test_a_period_is_counted_in_calendar_months(start: str, interval: str, count: int, end: str) -> None:
    assert gifts.after(datetime.fromisoformat(start), interval, count) == datetime.fromisoformat(end)
