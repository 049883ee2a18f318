"""/fix: the provider is asked about one member now, and they hear what came of it."""

from typing import Any

from sqlalchemy import select

from core import models
from core.billing import looks
from tests.webhooks.conftest import World
from webhooks import looks as working

DAY = 86_400


async def wish(world: World, member_id: int) -> bool | None:
    async with world.stack.db.transaction() as session:
        return await looks.ask(session, member_id, now=world.now)


async def worked(world: World) -> int:
    return await working.work_off(world.here, world.here.providers[0])


async def told(world: World, member_id: int) -> list[str]:
    """The new notices since the welcome."""
    return (await world.notices(member_id))[1:]


async def test_what_was_missed_is_there_after_a_look_and_told_as_usual(both: World) -> None:
    anna = await both.member()
    session_id = await both.checkout(anna)
    both.stripe.webhook_url = ""  # no event arrives any more
    assert both.stripe.pay(session_id) is not None
    assert await wish(both, anna) is True
    assert await worked(both) == 1
    assert await both.plans_of(anna) == {"signals"}
    assert await both.notices(anna) == ["access_started"]
    assert await worked(both) == 0


async def test_who_misses_nothing_is_told_that_everything_stands(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    assert await wish(world, anna) is True
    assert await wish(world, anna) is False
    assert await worked(world) == 1
    assert await told(world, anna) == ["looked_again"]
    assert await payload(world) == {"name": "looked_again", "changed": False}


async def test_a_renewal_nobody_told_is_said_in_general_words(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    world.stripe.webhook_url = ""
    await world.stripe.advance(32 * DAY)
    await wish(world, anna)
    await worked(world)
    assert await told(world, anna) == ["looked_again"]
    assert (await payload(world))["changed"] is True
    assert (await world.row(anna)).snapshot["period_end"].startswith("2026-03-15")


async def test_provider_that_is_away_is_said_once_and_asked_again(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    await wish(world, anna)
    world.stripe.fault("500", "GET", r"/v1/subscriptions/.*", count=None)
    for _ in range(20):  # more often than an event may break us
        await worked(world)
        await world.stripe.advance(601)
    assert await told(world, anna) == ["look_waits"]
    await world.stripe.calm()
    world.stripe.api.faults.clear()
    await worked(world)
    assert await told(world, anna) == ["look_waits", "looked_again"]


async def test_a_look_that_is_none_or_about_nobody_is_done_with(world: World) -> None:
    async with world.stack.db.transaction() as session:
        moments = {"received_at": world.now, "not_before": world.now, "state": "pending"}
        for number, body in enumerate((b"{}", b"[]", b'{"member_id":99,"subscriptions":[],"sessions":[]}', b"x")):
            row = {"source": looks.source("stripe"), "event_id": str(number), "kind": looks.KIND, "body": body}
            session.add(models.Inbox(**row, **moments))
    assert await worked(world) == 4
    assert {row.state for row in await world.inbox()} == {"done"}


async def payload(world: World) -> dict[str, Any]:
    """What the last notice says."""
    async with world.stack.db.reading() as session:
        rows = await session.scalars(select(models.Delivery).order_by(models.Delivery.id.desc()).limit(1))
        return dict(rows.one().payload or {})
