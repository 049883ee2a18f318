"""The worker's side: who may send what, when, and what a worker that died or slept leaves behind."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from core import access, db, members, models
from core.delivery import claims, fanout, outbox, outcomes
from core.models import Delivery, State
from tests.core import people

SECOND = timedelta(seconds=1)
LATER = timedelta(seconds=people.LEASE + 1)


async def crowd(database: db.Database, now: datetime, size: int) -> models.Signal:
    """A signal on its way to so many payers."""
    async with database.transaction() as session:
        for _ in range(size):
            await people.payer(session, now)
        return await people.publish(session, now)


async def follow(database: db.Database, signal: models.Signal, now: datetime) -> None:
    async with database.transaction() as session:
        await fanout.follow_up(session, signal.id, "target", now=now)


async def test_many_workers_at_once_never_get_the_same_row(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 120)
    batches = await asyncio.gather(*(people.claim(database, now, limit=9) for _ in range(12)))
    got = [parcel.id for batch in batches for parcel in batch]
    assert len(got) == len(set(got)) == 108
    assert max(len(batch) for batch in batches) == 9
    assert len(await people.claim(database, now)) == 12
    assert await people.claim(database, now) == []


async def test_a_worker_does_not_wait_for_the_claim_of_another(postgres_database: db.Database, now: datetime) -> None:
    await crowd(postgres_database, now, 4)
    async with postgres_database.transaction() as session:
        first = await claims.claim(session, "telegram", now=now, lease=30, limit=2, entitled=people.anyone())
        async with asyncio.timeout(5):
            second = await people.claim(postgres_database, now, limit=2)
    assert not {parcel.id for parcel in first} & {parcel.id for parcel in second}
    assert len(first) == len(second) == 2


async def test_q06_the_claim_walks_along_the_index_of_due_rows(postgres_database: db.Database, now: datetime) -> None:
    await crowd(postgres_database, now, 30)
    statement = claims._due("telegram", now, 5, access.entitled(people.BOOK, now=now), urgent=None).select()
    async with postgres_database.transaction() as session:
        compiled = statement.compile(session.bind, compile_kwargs={"literal_binds": True})
        await (connection := await session.connection()).exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = (await connection.exec_driver_sql(f"EXPLAIN {compiled}")).scalars().all()
    assert any("Index Scan using ix_deliveries_due" in line for line in plan)
    assert not any("Sort" in line for line in plan)


async def test_a_platform_gets_its_own_rows_only(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 1)
    assert await people.claim(database, now, platform="discord") == []
    assert len(await people.claim(database, now, platform="telegram")) == 1


async def test_answers_and_everything_else_can_be_claimed_apart(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 1)
    async with database.transaction() as session:
        await outbox.reply(session, "telegram", "7", {}, key="r", now=now)
    assert [parcel.kind for parcel in await people.claim(database, now, urgent=True)] == ["reply"]
    assert await people.claim(database, now, urgent=True) == []
    assert [parcel.kind for parcel in await people.claim(database, now, urgent=False)] == ["opening"]


async def test_q03_only_what_was_begun_is_sending(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 4)
    parcels = await people.claim(database, now)
    assert await people.begin(database, parcels[:1], now) == {parcels[0].id}
    assert await people.states(database) == [State.SENDING, *[State.CLAIMED] * 3]
    assert await people.recover(database, now + LATER) == (3, 1)
    assert [row.ambiguities for row in await people.deliveries(database)] == [1, 0, 0, 0]
    assert await people.states(database) == [State.PENDING] * 4


async def test_a_lease_that_runs_is_left_alone(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 2)
    parcels = await people.claim(database, now)
    await people.begin(database, parcels[:1], now + 20 * SECOND)  # its lease begins anew
    assert await people.recover(database, now + people.LEASE * SECOND) == (0, 0)
    assert await people.recover(database, now + LATER) == (1, 0)


async def test_a_worker_that_stops_gives_its_claims_back(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 3)
    parcels = await people.claim(database, now)
    await people.begin(database, parcels[:1], now)
    async with database.transaction() as session:
        await claims.release(session, parcels, not_before=now + SECOND)
        await claims.release(session, [], not_before=now)
    assert await people.states(database) == [State.SENDING, State.PENDING, State.PENDING]
    assert await people.claim(database, now) == []
    assert [parcel.id for parcel in await people.claim(database, now + SECOND)] == [p.id for p in parcels[1:]]


async def test_nothing_to_begin_or_settle_is_nothing_done(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        assert await claims.begin(session, [], now=now, lease=30) == set()
        await claims.settle(session, [], now=now)


async def test_a04_a_zombie_changes_nothing_once_its_row_was_taken_over(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 1)
    [zombie] = await people.claim(database, now)
    await people.recover(database, now + LATER)
    assert await people.begin(database, [zombie], now + LATER) == set()  # pending again
    [mine] = await people.claim(database, now + LATER)
    assert mine.epoch > zombie.epoch
    assert await people.begin(database, [zombie], now + LATER) == set()
    async with database.transaction() as session:
        await claims.release(session, [zombie], not_before=now)
    assert await people.states(database) == [State.CLAIMED]
    await people.begin(database, [mine], now + LATER)
    await people.settle(database, zombie, outcomes.Sent("of the zombie"), now + LATER)
    assert await people.states(database) == [State.SENDING]
    await people.settle(database, mine, outcomes.Sent("mine"), now + LATER)
    await people.settle(database, zombie, outcomes.Blocked("x"), now + LATER)
    [row] = await people.deliveries(database)
    assert (row.state, row.message_id, row.ambiguities) == (State.SENT, "mine", 0)


async def test_q04_after_two_deaths_in_sending_nobody_sends_it_again(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 1)
    for death in (1, 2):
        at = now + 2 * death * LATER
        parcels = await people.claim(database, at)
        await people.begin(database, parcels, at)
        assert await people.recover(database, at + LATER) == (0, 1)
    [row] = await people.deliveries(database)
    assert (row.state, row.ambiguities) == (State.AMBIGUOUS, 2)
    assert row.reason == "the process ended while it was being sent"
    assert row.settled_at is not None
    assert await people.claim(database, now + 9 * LATER) == []


@pytest.mark.parametrize("kind", ["update", "reply"])
async def test_q04_updates_and_replies_are_not_resent_after_a_death(
    database: db.Database, now: datetime, kind: str
) -> None:
    if kind == "update":
        signal = await crowd(database, now, 1)
        await people.send(database, now)
        await follow(database, signal, now)
    else:
        async with database.transaction() as session:
            await outbox.reply(session, "telegram", "7", {}, key="r", now=now)
    parcels = await people.claim(database, now)
    await people.begin(database, parcels, now)
    await people.recover(database, now + LATER)
    assert await people.states(database, Delivery.kind == kind) == [State.AMBIGUOUS]


async def test_q04_a_poison_row_ends_as_a_dead_letter(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await outbox.reply(session, "telegram", "7", {}, key="r", now=now)
    at = now
    for tries in range(1, outcomes.MAX_ATTEMPTS + 1):
        async with database.transaction() as session:
            await session.execute(update(Delivery).values(expires_at=at + people.HOUR))
        [parcel] = await people.claim(database, at)
        assert parcel.attempts == tries - 1
        await people.begin(database, [parcel], at)
        await people.settle(database, parcel, outcomes.NotSent("no connection"), at)
        [row] = await people.deliveries(database)
        at = max(at, row.not_before)
    assert (row.state, row.attempts) == (State.DEAD, outcomes.MAX_ATTEMPTS)
    assert row.reason.startswith("given up after")
    assert await people.claim(database, at + SECOND) == []


async def test_t06_a_moved_chat_gets_the_same_delivery_at_its_new_address(database: db.Database, now: datetime) -> None:
    for order in ("move first", "settle first"):
        async with database.transaction() as session:
            await outbox.reply(session, "telegram", f"-7 {order}", {}, key=order, now=now)
        [parcel] = await people.claim(database, now)
        await people.begin(database, [parcel], now)
        if order == "settle first":
            await people.settle(database, parcel, outcomes.Moved("-100"), now)
        async with database.transaction() as session:
            await members.move(session, "telegram", parcel.address, "-100")
        if order == "move first":
            await people.settle(database, parcel, outcomes.Moved("-100"), now)
        [again] = await people.send(database, now)
        assert (again.id, again.address) == (parcel.id, "-100")


async def test_q05_an_update_waits_until_its_opening_has_arrived(database: db.Database, now: datetime) -> None:
    signal = await crowd(database, now, 1)
    await follow(database, signal, now)
    [opening] = await people.claim(database, now)
    assert opening.event == "opened"
    await people.begin(database, [opening], now)
    assert await people.claim(database, now) == []
    await people.settle(database, opening, outcomes.NotSent("no connection"), now)
    assert await people.claim(database, now) == []
    [opening] = await people.claim(database, now + SECOND)
    await people.begin(database, [opening], now + SECOND)
    await people.settle(database, opening, outcomes.Sent("m42"), now + SECOND)
    [later] = await people.claim(database, now + SECOND)
    assert (later.kind, later.event, later.after_id, later.reply_to) == ("update", "target", opening.id, "m42")


async def test_q05_an_update_of_an_opening_that_may_have_arrived_is_sent(database: db.Database, now: datetime) -> None:
    signal = await crowd(database, now, 1)
    for _ in range(2):
        await people.send(database, now, outcomes.Ambiguous("no answer"))
    await follow(database, signal, now)
    [later] = await people.claim(database, now)
    assert (later.kind, later.reply_to) == ("update", None)


@pytest.mark.parametrize("fate", [outcomes.Blocked("x"), outcomes.Refused("x"), None])
async def test_q05_an_update_is_dropped_when_its_opening_is_dead(
    database: db.Database, now: datetime, fate: outcomes.Outcome | None
) -> None:
    signal = await crowd(database, now, 1)
    await follow(database, signal, now)
    at = now if fate else now + people.HOUR
    for _ in range(2):
        await people.send(database, at, fate or outcomes.Sent("1"))
    assert await people.claim(database, at) == []
    [row] = await people.deliveries(database, Delivery.kind == "update")
    assert (row.state, row.reason, row.settled_at) == (State.EXPIRED, "its opening never arrived", at)


async def test_q06_only_the_chat_that_must_wait_waits(database: db.Database, now: datetime) -> None:
    signal = await crowd(database, now, 5)
    parcels = await people.claim(database, now)
    await people.begin(database, parcels, now)
    await people.settle(database, parcels[0], outcomes.NotSent("flood", after=600, pause="chat"), now)
    for parcel in parcels[1:]:
        await people.settle(database, parcel, outcomes.Sent("1"), now)
    await follow(database, signal, now)
    updates = await people.claim(database, now)
    assert {parcel.after_id for parcel in updates} == {parcel.id for parcel in parcels[1:]}
    assert await people.claim(database, now + 599 * SECOND) == []
    assert [parcel.id for parcel in await people.claim(database, now + 600 * SECOND)] == [parcels[0].id]


async def test_q07_a_stale_opening_is_recorded_and_not_sent(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 2)
    at = now + people.HOUR
    assert await people.claim(database, at) == []
    for row in await people.deliveries(database):
        assert (row.state, row.reason, row.settled_at) == (State.EXPIRED, "too old to be sent", at)


async def test_q07_what_grew_too_old_in_an_outage_does_not_delay_what_is_fresh(
    database: db.Database, now: datetime
) -> None:
    await crowd(database, now, 40)
    at = now + people.HOUR
    async with database.transaction() as session:
        fresh = await people.publish(session, at)
    parcels = await people.claim(database, at, limit=4)
    assert {parcel.signal_id for parcel in parcels} == {fresh.id}
    assert len(await people.states(database, Delivery.state == State.EXPIRED)) == 40


async def test_q08_who_stopped_paying_while_it_was_queued_is_not_sent_it(database: db.Database, now: datetime) -> None:
    signal = await crowd(database, now, 2)
    leaver, stayer = await people.deliveries(database)
    async with database.transaction() as session:
        ended = update(models.Subscription).where(models.Subscription.member_id == leaver.member_id)
        await session.execute(ended.values(access_until=now))
    assert [parcel.id for parcel in await people.claim(database, now)] == [stayer.id]
    [row] = await people.deliveries(database, Delivery.id == leaver.id)
    assert (row.state, row.reason) == (State.EXPIRED, "not entitled when it was to be sent")
    await follow(database, signal, now)
    assert len(await people.deliveries(database, Delivery.kind == "update")) == 1


async def test_q08_who_got_the_opening_gets_its_end_even_after_leaving(database: db.Database, now: datetime) -> None:
    signal = await crowd(database, now, 1)
    await people.send(database, now)
    async with database.transaction() as session:
        await session.execute(update(models.Subscription).values(access_until=now))
    await follow(database, signal, now)
    assert [parcel.kind for parcel in await people.claim(database, now)] == ["update"]


async def test_t05_nothing_is_sent_to_a_blocked_chat(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 1)
    [row] = await people.deliveries(database)
    async with database.transaction() as session:
        await outbox.tell(session, row.member_id or 0, "granted", {}, key="g", now=now)
        await members.block(session, "telegram", row.address, now=now)
    assert await people.claim(database, now) == []
    assert await people.states(database) == [State.BLOCKED, State.BLOCKED]


async def test_a_retried_parcel_carries_what_happened_before(database: db.Database, now: datetime) -> None:
    await crowd(database, now, 1)
    await people.send(database, now, outcomes.Ambiguous("no answer"))
    await people.send(database, now, outcomes.Refused("can't parse"))
    [parcel] = await people.claim(database, now)
    assert (parcel.attempts, parcel.ambiguities, parcel.plain) == (2, 1, True)


async def test_q05_who_may_have_seen_an_opening_hears_its_end(database: db.Database, now: datetime) -> None:
    signal = await crowd(database, now, 1)
    await people.send(database, now, outcomes.Ambiguous("no answer"))
    later = now + 2 * people.HOUR
    assert await people.claim(database, later) == []  # the repetition is too old by now
    await follow(database, signal, later)
    assert [parcel.kind for parcel in await people.claim(database, later)] == ["update"]
