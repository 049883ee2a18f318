"""How messages come into the outbox: each once, in the transaction that caused it."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from core import access, db, members, models
from core.delivery import fanout, outbox, outcomes
from core.models import Delivery, State
from tests.core import people

MESSAGE = {"lines": [["Hello"]]}


class CrashError(Exception):
    pass


async def test_q02_a_rolled_back_signal_leaves_nothing(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await people.payer(session, now)

    async def crash() -> None:
        async with database.transaction() as session:
            signal = await people.publish(session, now)
            await fanout.follow_up(session, signal.id, "target", now=now)
            assert await session.scalar(select(func.count()).select_from(Delivery)) == 2
            raise CrashError

    with pytest.raises(CrashError):
        await crash()
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(models.Signal)) == 0
        assert await session.scalar(select(func.count()).select_from(Delivery)) == 0


async def test_q02_signal_and_deliveries_appear_together(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        payers = [await people.payer(session, now) for _ in range(3)]
        await people.person(session, now)
    async with database.transaction() as session:
        signal = await people.publish(session, now)
        assert await people.deliveries(database) == []
    rows = await people.deliveries(database)
    assert {row.member_id for row in rows} == {who.member_id for who in payers}
    assert {(row.kind, row.event, row.signal_id, row.state) for row in rows} == {
        ("opening", "opened", signal.id, State.PENDING)
    }


async def test_q02_another_process_planning_the_same_signal_adds_nobody_twice(
    database: db.Database, now: datetime
) -> None:
    async with database.transaction() as session:
        for _ in range(20):
            await people.payer(session, now)
        signal = await people.signal(session, now)

    async def plan() -> int:
        async with database.transaction() as session:
            who = await access.recipients(session, people.BOOK, people.BTC, now=now)
            return await fanout.open_up(session, signal.id, who, now=now, expires_at=now + people.HOUR)

    assert sum(await asyncio.gather(*(plan() for _ in range(5)))) == 20
    assert len(await people.deliveries(database)) == 20


async def test_no_member_is_always_last(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        everyone = {(await people.payer(session, now)).member_id for _ in range(12)}
    lasts, orders = set(), set()
    for _ in range(8):
        async with database.transaction() as session:
            signal = await people.publish(session, now)
        order = tuple(row.member_id for row in await people.deliveries(database, Delivery.signal_id == signal.id))
        assert set(order) == everyone
        lasts.add(order[-1])
        orders.add(order)
    assert len(lasts) > 2
    assert len(orders) > 2


async def test_a_reply_is_kept_once_under_its_key(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        assert await outbox.reply(session, "telegram", "7", MESSAGE, key="update:1", now=now)
        assert not await outbox.reply(session, "telegram", "7", MESSAGE, key="update:1", now=now)
        assert await outbox.reply(session, "telegram", "7", MESSAGE, key="update:2", now=now)
        assert await outbox.waiting(session, "telegram", "7") == 2
        assert await outbox.waiting(session, "telegram", "8") == 0
        assert await outbox.waiting(session, "discord", "7") == 0
    [first, _] = await people.claim(database, now)
    assert first.payload == {"message": MESSAGE}
    assert first.reply_to is None


async def test_answers_to_people_go_before_notices_and_signals(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.payer(session, now)
        await people.publish(session, now)
        await outbox.tell(session, who.member_id, "granted", {"plan": "x"}, key="g", now=now)
        await outbox.reply(session, "telegram", who.address, MESSAGE, key="r", now=now)
    assert [parcel.kind for parcel in await people.claim(database, now)] == ["reply", "notice", "opening"]


async def test_a_notice_reaches_each_open_chat_of_the_member_once(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now)
        second = models.Identity(
            member_id=who.member_id, platform="discord", external_id="d1", address="d1", created_at=now
        )
        third = models.Identity(
            member_id=who.member_id, platform="discord", external_id="d2", address="d2", created_at=now, blocked_at=now
        )
        session.add_all([second, third])
        await session.flush()
        key = "k" * 200  # however long: chats stay apart
        facts = {"plan": "x", "name": "no fact decides which notice it is"}
        assert await outbox.tell(session, who.member_id, "granted", facts, key=key, now=now) == 2
        assert await outbox.tell(session, who.member_id, "granted", {"plan": "x"}, key=key, now=now) == 0
    rows = await people.deliveries(database)
    assert [(row.platform, row.identity_id) for row in rows] == [("telegram", who.id), ("discord", second.id)]
    assert rows[0].payload == {"name": "granted", "plan": "x"}


async def test_an_announcement_reaches_every_holder_of_a_plan_once(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        ours = [await people.payer(session, now, plan="bitcoin") for _ in range(3)]
        await members.mute(session, ours[0].member_id, muted=True)
        await people.payer(session, now)
        for expected in (3, 0):
            who = await access.holders(session, people.BITCOIN, now=now)
            added = await fanout.announce(session, who, "late_summary", {"signals": []}, key="late:1", now=now)
            assert added == expected
    rows = await people.deliveries(database)
    assert {row.member_id for row in rows} == {who.member_id for who in ours}
    assert rows[0].payload == {"name": "late_summary", "signals": []}


async def test_an_operator_is_warned_once_under_a_key(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        for new in (True, False):
            facts = {"key": "dead", "text": "A message is dead."}
            assert await outbox.warn(session, "telegram", "1", facts, key="alarm:dead:1", now=now) is new
    [row] = await people.deliveries(database)
    assert (row.kind, row.payload) == ("notice", {"name": "alarm", "key": "dead", "text": "A message is dead."})


async def test_an_update_is_for_those_who_got_the_opening_or_still_may(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        for _ in range(6):
            await people.payer(session, now)
        signal = await people.publish(session, now)
    [waiting, sent, blocked, refused, unsure, sending] = await people.claim(database, now)
    await people.begin(database, [sent, blocked, refused, unsure, sending], now)
    await people.settle(database, sent, outcomes.Sent("1"), now)
    await people.settle(database, blocked, outcomes.Blocked("x"), now)
    for state in (outcomes.Ambiguous("x"), outcomes.Ambiguous("x")):
        await people.settle(database, unsure, state, now)
    await people.settle(database, refused, outcomes.Refused("x"), now)
    [again, unsure_again] = sorted(await people.claim(database, now), key=lambda parcel: not parcel.plain)
    await people.begin(database, [again, unsure_again], now)
    await people.settle(database, again, outcomes.Refused("x"), now)
    await people.settle(database, unsure_again, outcomes.Ambiguous("x"), now)
    async with database.transaction() as session:
        assert await fanout.follow_up(session, signal.id, "target", now=now) == 4
        assert await fanout.follow_up(session, signal.id, "target", now=now) == 0
    updates = await people.deliveries(database, Delivery.kind == "update")
    assert {row.after_id for row in updates} == {waiting.id, sent.id, unsure.id, sending.id}
    assert {row.event for row in updates} == {"target"}


async def test_nothing_is_left_where_json_is_empty(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await people.payer(session, now)
        await people.publish(session, now)
    assert len(await people.deliveries(database, Delivery.payload.is_(None))) == 1


async def test_deliveries_are_counted_by_state(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        for _ in range(3):
            await people.payer(session, now)
        await people.publish(session, now)
        await outbox.reply(session, "telegram", "7", MESSAGE, key="r", now=now)
    [_, first, second, _] = await people.claim(database, now)
    await people.begin(database, [first, second], now)
    await people.settle(database, first, outcomes.Sent("1"), now)
    await people.settle(database, second, outcomes.Ambiguous("x"), now)
    await people.recover(database, now + timedelta(seconds=people.LEASE + 1))
    async with database.reading() as session:
        assert await outbox.counts(session) == {
            ("telegram", "reply", "pending"): 1,
            ("telegram", "opening", "sent"): 1,
            ("telegram", "opening", "pending"): 2,
        }
        assert await outbox.ambiguous(session) == 1
