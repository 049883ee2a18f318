"""The page on which seats are given, from the first invitation to a seat that is free again."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import access, db, errors, grants, models
from core.billing import links, seats
from tests.webhooks import giving
from tests.webhooks.conftest import World


@pytest.fixture
async def world(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[World]:
    async with giving.opened(sqlite_database, make_stack, now) as opened:
        yield opened


@pytest.fixture
async def both(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[World]:
    async with giving.opened(database, make_stack, now) as opened:
        yield opened


async def invited(world: World, payer: int, note: str = "", mark: str = "mark-of-a-form") -> str:
    """The code that the page has made."""
    row = await world.row(payer)
    form = {"act": "invite", "team": row.id, "note": note, "mark": mark}
    status, text, place = await giving.post(world, giving.page(world, links.SEATS, payer), **form)
    assert status == 303, text
    _, text = await giving.get(world, world.url + place)
    (code,) = re.findall(r"/invitation/([\w-]{22})", text)
    return str(code)


async def seated(world: World, payer: int, *names: str) -> list[models.Grant]:
    """The seats that these people have taken."""
    made = [await giving.redeem(world, name, await invited(world, payer, name, f"for-{name:_<8}")) for name in names]
    return [one for one in made if one is not None]


async def valid(world: World) -> list[models.Grant]:
    return [one for one in await giving.all_grants(world) if one.revoked_at is None]


async def test_a_seat_is_given_by_a_link_and_lasts_as_long_as_it_is_paid(both: World) -> None:
    anna = await both.member("Anna Smith")
    sub = await giving.team(both, anna)
    (seat,) = await seated(both, anna, "Ben")
    ben, row = seat.member_id, await both.row(anna)
    assert (seat.seat, seat.until, seat.subscription_id) == (2, row.access_until, row.id)
    assert await both.plans_of(ben) == {"team"}
    assert await both.notices(ben) == ["seat_began"]
    assert (await both.notices(anna))[-1] == "seat_taken"
    assert (await giving.facts(both, ben))[0]["by"] == "Anna"

    await both.stripe.advance(40 * 86_400)  # renewed
    await both.settle()
    (seat,) = await giving.all_grants(both)
    renewed = await both.row(anna)
    assert seat.until == renewed.access_until
    assert seat.until > row.access_until  # type: ignore[operator]
    assert await both.notices(ben) == ["seat_began"]

    both.stripe.cancel(sub, at_period_end=False)
    await both.settle()
    assert await both.plans_of(ben) == set()
    assert await both.notices(ben) == ["seat_began", "seat_ended"]


async def test_a_form_that_is_sent_twice_makes_one_invitation_which_is_shown_until_it_is_used(world: World) -> None:
    anna = await world.member()
    await giving.team(world, anna)
    code = await invited(world, anna, "Ben")
    assert await invited(world, anna, "Ben") == code
    _, text = await giving.get(world, giving.page(world, links.SEATS, anna))
    assert text.count("the link works until") == 1
    assert code not in text
    assert await giving.redeem(world, "Ben", code) is not None
    _, text = await giving.get(world, giving.page(world, links.SEATS, anna) + "?made=mark-of-a-form")
    assert code not in text


async def test_no_more_are_invited_than_seats_are_free(world: World) -> None:
    anna = await world.member()
    await giving.team(world, anna, 3)
    for number in range(2):
        await invited(world, anna, mark=f"form-number-{number}")
    form = {"act": "invite", "team": (await world.row(anna)).id, "mark": "form-number-3"}
    status, text, _ = await giving.post(world, giving.page(world, links.SEATS, anna), **form)
    assert status == 409
    assert "All 3 seats are taken or promised." in text


async def test_an_invitation_that_is_withdrawn_is_worth_nothing(world: World) -> None:
    anna = await world.member()
    await giving.team(world, anna)
    code = await invited(world, anna)
    form = {"act": "withdraw", "team": (await world.row(anna)).id, "id": 1}
    url = giving.page(world, links.SEATS, anna)
    assert (await giving.post(world, url, **form))[2].endswith("?said=withdrawn")
    assert (await giving.post(world, url, **form))[2].endswith("?said=gone")
    with pytest.raises(errors.RefusedError, match="not valid"):
        await giving.redeem(world, "Ben", code)


async def test_a_freed_seat_ends_at_once_and_can_be_given_again(both: World) -> None:
    anna = await both.member()
    await giving.team(both, anna, 2)
    (seat,) = await seated(both, anna, "Ben")
    form = {"act": "free", "team": (await both.row(anna)).id, "id": seat.id}
    _, _, place = await giving.post(both, giving.page(both, links.SEATS, anna), **form)
    assert "The seat is free again." in (await giving.get(both, both.url + place))[1]
    assert await both.plans_of(seat.member_id) == set()
    assert (await giving.facts(both, seat.member_id))[-1]["why"] == "freed"
    (again,) = await seated(both, anna, "Carl")
    assert again.seat == 2


async def test_seats_of_others_are_out_of_reach(world: World) -> None:
    anna, eve = await world.member("Anna"), await world.member("Eve")
    await giving.team(world, anna)
    await giving.team(world, eve)
    (seat,) = await seated(world, anna, "Ben")
    url, row = giving.page(world, links.SEATS, eve), await world.row(anna)
    for form in (
        {"act": "free", "team": row.id, "id": seat.id},
        {"act": "free", "team": (await world.row(eve)).id, "id": seat.id},
        {"act": "invite", "team": row.id, "mark": "x" * 12},
        {"act": "free", "team": "1e9", "id": "-1"},
        {"act": "other", "team": (await world.row(eve)).id},
    ):
        await giving.post(world, url, **form)
    assert len(await valid(world)) == 1
    assert "Ben" not in (await giving.get(world, url))[1]
    assert (await giving.get(world, f"{world.url}/seats/forged"))[0] == 403


async def test_fewer_seats_end_the_last_ones_and_invitations_and_free_numbers_are_filled_first(both: World) -> None:
    anna = await both.member()
    sub = await giving.team(both, anna, 5)
    two, three, four, _ = await seated(both, anna, "Ben", "Carl", "Dora", "Emil")
    async with both.stack.db.transaction() as session:
        row = await seats.locked(session, two.subscription_id or 0)
        assert await grants.free(session, row, two.id, both.stack.catalogue, now=both.now)
    await invited(both, anna)
    await quantity(both, sub, 3)
    left = {one.id: one.seat for one in await valid(both)}
    assert left == {three.id: 3, four.id: 2}
    async with both.stack.db.reading() as session:
        assert all(one.withdrawn_at or one.used_at for one in await session.scalars(select(models.Invitation)))


async def quantity(world: World, sub: str, wanted: int) -> None:
    """The subscription has so many seats at Stripe, and we have heard of it."""
    row = world.stripe.subscription(sub)
    with world.stripe.account.changing(row, "customer.subscription.updated"):
        row["items"]["data"][0]["quantity"] = wanted
    await world.settle()


async def test_a_hold_lets_seats_rest_and_they_come_back(both: World) -> None:
    anna = await both.member()
    sub = await giving.team(both, anna)
    (seat,) = await seated(both, anna, "Ben")
    for outcome, held in (("open", set()), ("won", {"team"})):
        both.stripe.dispute(sub, outcome)
        await both.stripe.advance(3600)
        await both.settle()
        assert await both.plans_of(seat.member_id) == held
    assert await both.notices(seat.member_id) == ["seat_began", "seat_ended", "seat_began"]
    assert (await valid(both))[0].until == (await both.row(anna)).access_until


async def test_the_payer_and_who_has_a_seat_cannot_take_another(world: World) -> None:
    anna = await world.member("Anna")
    await giving.team(world, anna, 4)
    await seated(world, anna, "Ben")
    code = await invited(world, anna)
    with pytest.raises(errors.RefusedError, match="first seat already"):
        await giving.redeem(world, "Anna", code)
    with pytest.raises(errors.RefusedError, match="have a seat of this membership already"):
        await giving.redeem(world, "Ben", code)
    assert await giving.redeem(world, "Carl", code) is not None  # it was not used up


async def test_one_code_that_many_try_at_once_gives_one_seat(both: World) -> None:
    anna = await both.member()
    await giving.team(both, anna, 9)
    code = await invited(both, anna)
    names = ["Ben", "Carl", "Dora", "Emil"]
    for name in names:
        await both.member(name)
    tried = await asyncio.gather(*(giving.redeem(both, name, code) for name in names), return_exceptions=True)
    assert sum(isinstance(one, models.Grant) for one in tried) == 1
    assert sum(isinstance(one, errors.RefusedError) for one in tried) == 3
    assert len(await valid(both)) == 1


async def test_tabs_that_invite_at_once_never_promise_more_than_is_free(both: World) -> None:
    anna = await both.member()
    await giving.team(both, anna, 3)
    url, row = giving.page(both, links.SEATS, anna), await both.row(anna)
    forms = [{"act": "invite", "team": row.id, "mark": f"tab-number-{number}"} for number in range(6)]
    answers = await asyncio.gather(*(giving.post(both, url, **form) for form in forms))
    assert sorted(status for status, _, _ in answers) == [303, 303, 409, 409, 409, 409]


async def test_an_end_that_two_see_at_once_is_told_once(both: World) -> None:
    anna = await both.member()
    await giving.team(both, anna)
    (seat,) = await seated(both, anna, "Ben")
    async with both.stack.db.transaction() as session:
        (await session.get_one(models.Grant, seat.id)).until = both.now

    async def look() -> None:
        async with both.stack.db.transaction() as session:
            await access.reconcile(session, seat.member_id, both.stack.catalogue, now=both.now)

    await asyncio.gather(*(look() for _ in range(4)))
    assert await both.notices(seat.member_id) == ["seat_began", "seat_ended"]


async def test_an_end_by_the_clock_is_told_once(world: World) -> None:
    anna = await world.member()
    sub = await giving.team(world, anna)
    (seat,) = await seated(world, anna, "Ben")
    world.stripe.cancel(sub)
    await world.settle()
    world.stripe.webhook_url = None  # the news of the end is lost
    await world.stripe.advance(32 * 86_400)
    for _ in range(2):
        async with world.stack.db.transaction() as session:
            for member in await access.lapsed(session, now=world.now):
                await access.reconcile(session, member, world.stack.catalogue, now=world.now)
    assert await world.notices(seat.member_id) == ["seat_began", "seat_ended"]


async def test_a_link_to_the_page_works_for_an_hour(world: World) -> None:
    anna = await world.member()
    await giving.team(world, anna)
    url = giving.page(world, links.SEATS, anna)
    assert (await giving.get(world, url))[0] == 200
    await world.stripe.advance(timedelta(hours=1, seconds=1).total_seconds())
    status, text = await giving.get(world, url)
    assert status == 403
    assert "Send /seats to the bot" in text
