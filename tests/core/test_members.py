"""Who is who on which chat, and whether the chat lets us speak."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from core import db, errors, members, models
from core.delivery import outbox
from core.models import Delivery, Identity, Member, State
from tests.core import people


async def meet(database: db.Database, now: datetime, number: str = "7", **names: str | None) -> Identity:
    known = {"address": number, "name": "Ann", "username": "ann", **names}
    async with database.transaction() as session:
        return await members.arrive(session, "telegram", number, now=now, **known)  # type: ignore[arg-type]


async def number_of(database: db.Database, table: type[models.Base]) -> int:
    async with database.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_whoever_arrives_is_known_under_the_names_they_have_now(database: db.Database, now: datetime) -> None:
    first = await meet(database, now)
    again = await meet(database, now + timedelta(days=1), address="77", name="Ann " + "x" * 200, username="y" * 70)
    assert (again.id, again.member_id, again.address) == (first.id, first.member_id, "77")
    assert (len(again.name), again.username, again.created_at) == (128, "y" * 64, now)
    nameless = await meet(database, now, username=None)
    assert nameless.username is None
    assert await number_of(database, Member) == 1


async def test_two_processes_that_meet_a_person_at_once_make_one_identity(database: db.Database, now: datetime) -> None:
    met = await asyncio.gather(*(meet(database, now) for _ in range(10)))
    assert len({(one.id, one.member_id) for one in met}) == 1
    assert await number_of(database, Identity) == 1
    assert await number_of(database, Member) == 1


async def test_the_slower_of_two_processes_takes_its_own_member_back(
    postgres_database: db.Database, now: datetime
) -> None:
    async with postgres_database.transaction() as session:
        quick = await members.arrive(session, "telegram", "7", address="7", name="Ann", username=None, now=now)
        slow = asyncio.create_task(meet(postgres_database, now, name="Anne"))
        await people.blocked_on_a_lock(postgres_database, 1)
    met = await slow
    assert (met.id, met.member_id, met.name) == (quick.id, quick.member_id, "Anne")
    assert await number_of(postgres_database, Member) == 1


async def test_the_same_number_on_another_platform_is_somebody_else(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        here = await members.arrive(session, "telegram", "7", address="7", name="A", username=None, now=now)
        there = await members.arrive(session, "discord", "7", address="7", name="B", username=None, now=now)
        assert here.member_id != there.member_id
        assert await members.find(session, "discord", "7") is there
        assert await members.find(session, "discord", "8") is None


async def test_t05_a_blocked_chat_opens_again_when_its_owner_comes_back(database: db.Database, now: datetime) -> None:
    who = await meet(database, now)
    for ways_back in range(2):
        async with database.transaction() as session:
            await members.block(session, "telegram", who.address, now=now)
            await members.block(session, "telegram", who.address, now=now + timedelta(days=1))
        async with database.reading() as session:
            blocked = await members.find(session, "telegram", "7")
            assert blocked is not None
            assert blocked.blocked_at == now  # the first moment stays
            assert await outbox.tell(session, who.member_id, "granted", {}, key="g", now=now) == 0
        if ways_back == 0:
            assert (await meet(database, now)).blocked_at is None
        else:
            async with database.transaction() as session:
                await members.unblock(session, "telegram", who.address)
                back = await members.find(session, "telegram", "7")
                assert back is not None
                assert back.blocked_at is None


async def test_muting_is_remembered_and_taken_back(database: db.Database, now: datetime) -> None:
    who, other = await meet(database, now), await meet(database, now, "8")
    for muted in (True, False):
        async with database.transaction() as session:
            await members.mute(session, who.member_id, muted=muted)
        async with database.reading() as session:
            assert (await session.get_one(Member, who.member_id)).muted is muted
            assert (await session.get_one(Member, other.member_id)).muted is False


async def test_t06_everything_unsent_follows_a_chat_to_its_new_address(database: db.Database, now: datetime) -> None:
    who = await meet(database, now)
    async with database.transaction() as session:
        for number in range(4):
            await outbox.reply(session, "telegram", "7", {}, key=str(number), now=now)
        await outbox.reply(session, "discord", "7", {}, key="elsewhere", now=now)
    parcels = await people.claim(database, now, limit=3)
    await people.begin(database, parcels[:2], now)
    await people.settle(database, parcels[0], people.SENT, now)
    async with database.transaction() as session:
        await members.move(session, "telegram", "7", "-100")
    rows = await people.deliveries(database)
    assert [(row.state, row.address) for row in rows] == [
        (State.SENT, "7"),
        (State.SENDING, "-100"),
        (State.CLAIMED, "-100"),
        (State.PENDING, "-100"),
        (State.PENDING, "7"),
    ]
    async with database.reading() as session:
        [moved] = await members.identities(session, who.member_id)
        assert moved.address == "-100"
        assert await session.scalar(select(func.count()).where(Delivery.platform == "discord")) == 1


async def test_an_operator_names_people_by_number_or_username(database: db.Database, now: datetime) -> None:
    who = await meet(database, now)
    async with database.transaction() as session:
        for name in ("telegram:7", "Telegram:7", "@ann", "ann"):
            assert (await members.named(session, name)).id == who.id
        for name in ("telegram:8", "discord:7", "@bob", "", "@"):
            with pytest.raises(errors.RefusedError, match="Nobody is known"):
                await members.named(session, name)


async def test_the_accounts_of_a_member_are_listed_oldest_first(database: db.Database, now: datetime) -> None:
    who = await meet(database, now)
    async with database.transaction() as session:
        for number in ("d2", "d1"):
            row = {"platform": "discord", "external_id": number, "address": number}
            session.add(Identity(member_id=who.member_id, created_at=now, **row))
            await session.flush()
    async with database.reading() as session:
        found = await members.identities(session, who.member_id)
    assert [one.external_id for one in found] == ["7", "d2", "d1"]
