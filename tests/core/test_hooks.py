"""Hooks: with one process at a time, in order, tried again for a day, then disabled with a word and a way back."""

from datetime import datetime, timedelta

import pytest

from core import db, errors, hooks, models
from tests.conftest import make_settings
from tests.core import people
from tests.core.signals import press

URL = "https://tools.example/signals"
MINUTE = timedelta(minutes=1)


async def hook(database: db.Database, now: datetime, *, form: str = hooks.JSON) -> models.Hook:
    async with database.transaction() as session:
        who = await people.payer(session, now)
        return await hooks.make(session, who.member_id, URL, form, now=now)


async def publish(database: db.Database, now: datetime, *numbers: int) -> None:
    async with database.transaction() as session:
        for number in numbers:
            await press.opened(session, number, now=now)


async def claim(database: db.Database, now: datetime, *, limit: int = 10) -> list[hooks.Job]:
    async with database.transaction() as session:
        return await hooks.claim(session, now=now, lease=60, limit=limit)


async def row(database: db.Database, number: int = 1) -> models.Hook:
    async with database.reading() as session:
        return await session.get_one(models.Hook, number)


def test_signatures_are_those_of_standard_webhooks() -> None:
    """The example that its libraries are tested with."""
    secret, name = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = hooks.signature(secret, name, 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_hook_and_version_has_a_secret_of_its_own(sqlite_database: db.Database) -> None:
    conf = make_settings(sqlite_database)
    secrets = {hooks.secret(conf, number, version) for number in (1, 2, 12) for version in (1, 2, 21)}
    assert len(secrets) == 9
    assert hooks.secret(conf, 1, 1) == hooks.secret(conf, 1, 1)
    assert all(one.startswith("whsec_") and len(one) == 50 for one in secrets)


async def test_a_new_hook_is_told_only_of_what_happens_from_then_on(database: db.Database, now: datetime) -> None:
    await publish(database, now, 1, 2)
    made = await hook(database, now)
    assert (made.cursor, made.state) == (2, hooks.ACTIVE)
    assert await claim(database, now) == []
    await publish(database, now, 3)
    async with database.reading() as session:
        assert await hooks.waiting(session, now=now)
    assert [(job.id, job.cursor, job.url) for job in await claim(database, now)] == [(1, 2, URL)]


async def test_a_member_has_three_hooks(database: db.Database, now: datetime) -> None:
    made = await hook(database, now)
    async with database.transaction() as session:
        for _ in range(hooks.MOST - 1):
            await hooks.make(session, made.member_id, URL, hooks.JSON, now=now)
        with pytest.raises(errors.RefusedError, match="delete one of them first"):
            await hooks.make(session, made.member_id, URL, hooks.JSON, now=now)


async def test_a_hook_is_with_one_process_until_its_lease_ends(database: db.Database, now: datetime) -> None:
    await hook(database, now)
    await publish(database, now, 1, 2)
    [first] = await claim(database, now)
    assert await claim(database, now + MINUTE / 2) == []
    [second] = await claim(database, now + 2 * MINUTE)
    async with database.transaction() as session:
        assert not await hooks.advanced(session, first, 1, told_at=now)
        assert await hooks.advanced(session, second, 1, told_at=now)
        assert not await hooks.released(session, first, now=now)
        assert not await hooks.failed(session, first, "late", now=now, final=True)
        assert await hooks.released(session, second, now=now + 2 * MINUTE)
    assert ((await row(database)).cursor, (await row(database)).state) == (1, hooks.ACTIVE)
    assert [job.cursor for job in await claim(database, now + 2 * MINUTE)] == [1]


async def test_those_that_wait_for_longest_come_first(database: db.Database, now: datetime) -> None:
    for minute in (2, 0, 1):
        await hook(database, now + minute * MINUTE)
    await publish(database, now, 1)
    assert [job.id for job in await claim(database, now + 3 * MINUTE, limit=1)] == [2]
    assert [job.id for job in await claim(database, now + 3 * MINUTE, limit=1)] == [3]


async def due_since(database: db.Database, at: datetime) -> datetime | None:
    async with database.reading() as session:
        return await hooks.due_since(session, now=at)


async def test_a_hook_waits_since_something_happened_and_since_it_may_be_tried_again(
    database: db.Database, now: datetime
) -> None:
    await hook(database, now)
    assert await due_since(database, now + 9 * MINUTE) is None
    await publish(database, now + 3 * MINUTE, 1)
    await publish(database, now + 5 * MINUTE, 2)
    assert await due_since(database, now + 9 * MINUTE) == now + 3 * MINUTE
    [job] = await claim(database, now + 9 * MINUTE)
    assert await due_since(database, now + 9 * MINUTE) is None
    async with database.transaction() as session:
        await hooks.failed(session, job, "It answered with 500.", now=now + 9 * MINUTE)
    assert await due_since(database, now + 9 * MINUTE) is None
    assert await due_since(database, now + 10 * MINUTE) == now + timedelta(minutes=9, seconds=5)


async def test_failures_are_a_day_of_growing_pauses_and_then_the_end(database: db.Database, now: datetime) -> None:
    made = await hook(database, now)
    await publish(database, now, 1)
    at, pauses, ended = now, [], False
    while not ended:
        [job] = await claim(database, at)
        async with database.transaction() as session:
            ended = await hooks.failed(session, job, "It answered with 500.", now=at)
        if not ended:
            pauses.append((await row(database)).not_before - at)
            assert await claim(database, at + pauses[-1] - timedelta(seconds=1)) == []
            at += pauses[-1]
    assert [pause.total_seconds() for pause in pauses] == [5, 20, 80, 320, 1280, 5120, 20480, 28800, 28800]
    assert timedelta(hours=23) < at - now < timedelta(hours=24)
    left = await row(database)
    assert (left.state, left.said, left.failures, left.cursor) == (hooks.DISABLED, "It answered with 500.", 10, 0)
    assert await people.notices(database, made.member_id) == [hooks.NOTICE]
    assert await claim(database, at + timedelta(days=9)) == []


async def test_success_forgets_failures(database: db.Database, now: datetime) -> None:
    await hook(database, now)
    await publish(database, now, 1)
    [job] = await claim(database, now)
    async with database.transaction() as session:
        await hooks.failed(session, job, "It answered with 500.", now=now, jitter=0.9)
    assert (await row(database)).not_before == now + timedelta(seconds=4.5)
    [job] = await claim(database, now + MINUTE)
    assert job.failures == 1
    async with database.transaction() as session:
        await hooks.advanced(session, job, 1, told_at=now + MINUTE)
    left = await row(database)
    assert (left.failures, left.said, left.told_at) == (0, "", now + MINUTE)


@pytest.mark.parametrize(("skip", "cursor"), [(False, 0), (True, 2)])
async def test_the_way_back_goes_on_or_skips(database: db.Database, now: datetime, skip: bool, cursor: int) -> None:
    made = await hook(database, now)
    await publish(database, now, 1, 2)
    [job] = await claim(database, now)
    async with database.transaction() as session:
        assert await hooks.failed(session, job, "gone", now=now, final=True)
    async with database.transaction() as session:
        found = await hooks.one(session, made.member_id, 1)
        assert found is not None
        await hooks.resume(session, found, skip=skip, now=now)
        assert await hooks.one(session, made.member_id + 1, 1) is None
    left = await row(database)
    assert (left.state, left.cursor, left.failures) == (hooks.ACTIVE, cursor, 0)
    await publish(database, now, 3)
    assert [job.cursor for job in await claim(database, now)] == [cursor]


async def test_what_was_paused_or_deleted_meanwhile_stays_so(database: db.Database, now: datetime) -> None:
    made = await hook(database, now)
    await publish(database, now, 1)
    [job] = await claim(database, now)
    async with database.transaction() as session:
        (await session.get_one(models.Hook, 1)).state = hooks.PAUSED
    async with database.transaction() as session:
        assert not await hooks.failed(session, job, "gone", now=now, final=True)
        assert await hooks.advanced(session, job, 1, told_at=now)
    assert (await row(database)).state == hooks.PAUSED
    async with database.transaction() as session:
        await session.delete(await session.get_one(models.Hook, 1))
    async with database.transaction() as session:
        assert not await hooks.released(session, job, now=now)
    assert await people.notices(database, made.member_id) == []
