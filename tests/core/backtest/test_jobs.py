"""Jobs of backtests: one for one question, few for one member, one worker at a time, an answer at the end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import db, errors, models
from core.backtest import jobs
from core.delivery import outbox
from core.models import Backtest
from tests.core import people

LEASE = 30.0
RESULT = {"symbol": "BTC/USDT", "summary": {"trades": 2}, "equity": [[0, 1.0]], "trades": [1]}


async def member(database: db.Database, now: datetime) -> int:
    async with database.transaction() as session:
        return (await people.payer(session, now)).member_id


def question(member_id: int, symbol: str = "BTC/USDT", **given: Any) -> jobs.Question:
    values = {"platform": "telegram", "address": "7", "home": "7"} | given
    return jobs.Question(member_id, symbol, "mean_reversion", "1h", **values)


async def ask(database: db.Database, asked: jobs.Question, now: datetime) -> tuple[Backtest, bool]:
    async with database.transaction() as session:
        return await jobs.ask(session, asked, now=now)


async def claim(database: db.Database, now: datetime) -> jobs.Job | None:
    async with database.transaction() as session:
        return await jobs.claim(session, now=now, lease=LEASE)


async def finish(database: db.Database, job: jobs.Job | None, now: datetime) -> bool:
    assert job is not None
    async with database.transaction() as session:
        return await jobs.finish(session, job, RESULT, now=now)


async def rows(database: db.Database) -> Sequence[Backtest]:
    async with database.reading() as session:
        return (await session.scalars(select(Backtest).order_by(Backtest.id))).all()


async def test_the_same_question_is_one_job_until_an_hour_is_over(database: db.Database, now: datetime) -> None:
    who = await member(database, now)
    asked = question(who)

    first, new = await ask(database, asked, now)
    again, twice = await ask(database, asked, now + timedelta(minutes=1))
    await finish(database, await claim(database, now), now)
    done, thrice = await ask(database, asked, now + timedelta(minutes=2))
    later, fresh = await ask(database, asked, now + timedelta(hours=1))

    assert (new, twice, thrice, fresh) == (True, False, False, True)
    assert first.id == again.id == done.id != later.id
    assert done.result == RESULT


async def test_a_member_has_one_job_at_a_time_and_six_a_day(database: db.Database, now: datetime) -> None:
    who, other = await member(database, now), await member(database, now)
    for number in range(6):
        at = now + timedelta(minutes=number)
        await ask(database, question(who, f"A{number}/USDT"), at)
        with pytest.raises(errors.RefusedError, match=rf"Your backtest of A{number}/USDT .* is still on its way"):
            await ask(database, question(who, "ETH/USDT"), at)
        await finish(database, await claim(database, at), at)

    with pytest.raises(errors.RefusedError, match="6 backtests within a day; the next can be at 12:00 UTC tomorrow"):
        await ask(database, question(who, "ETH/USDT"), now + timedelta(minutes=9))
    assert (await ask(database, question(other, "ETH/USDT"), now))[1]
    assert (await ask(database, question(who, "ETH/USDT"), now + timedelta(days=1, seconds=1)))[1]


async def test_a_job_belongs_to_one_worker_until_its_lease_is_over(database: db.Database, now: datetime) -> None:
    await ask(database, question(await member(database, now)), now)
    async with database.reading() as session:
        assert await jobs.due(session, now=now)

    first = await claim(database, now)
    assert await claim(database, now + timedelta(seconds=LEASE)) is None
    async with database.transaction() as session:
        assert first is not None
        assert await jobs.extend(session, first, now=now + timedelta(seconds=20), lease=LEASE)
    assert await claim(database, now + timedelta(seconds=45)) is None

    second = await claim(database, now + timedelta(seconds=51))

    assert second is not None
    assert (second.id, second.attempts) == (first.id, 2)
    assert not await finish(database, first, now)
    async with database.transaction() as session:
        assert not await jobs.extend(session, first, now=now, lease=LEASE)
        assert not await jobs.fail(session, first, "too late", now=now)
    assert await people.deliveries(database) == []
    assert await finish(database, second, now)
    assert len(await people.deliveries(database)) == 1


async def test_a_job_that_is_given_back_was_no_attempt(database: db.Database, now: datetime) -> None:
    await ask(database, question(await member(database, now)), now)
    job = await claim(database, now)
    assert job is not None
    async with database.transaction() as session:
        await jobs.release(session, job)

    again = await claim(database, now)

    assert again is not None
    assert again.attempts == 1


async def test_the_answer_has_the_figures_and_the_row_the_curve_too(database: db.Database, now: datetime) -> None:
    await ask(database, question(await member(database, now), address="!token", until=now + timedelta(minutes=13)), now)
    await finish(database, await claim(database, now), now)

    [delivery] = await people.deliveries(database)
    [row] = await rows(database)

    assert delivery.payload == {"backtest": {"id": row.id, "symbol": "BTC/USDT", "summary": {"trades": 2}}}
    assert (delivery.platform, delivery.address, delivery.priority) == ("telegram", "!token", outbox.REPLY)
    assert delivery.expires_at == now + timedelta(minutes=13)
    assert (row.state, row.result, row.address, row.finished_at) == ("done", RESULT, "", now)


async def test_an_answer_that_comes_late_comes_to_the_private_chat(database: db.Database, now: datetime) -> None:
    asked = question(await member(database, now), address="!token", home="@7", until=now + timedelta(minutes=13))
    await ask(database, asked, now)
    later = now + timedelta(minutes=14)
    await finish(database, await claim(database, later), later)

    [delivery] = await people.deliveries(database)

    assert (delivery.address, delivery.expires_at) == ("@7", later + timedelta(hours=1))


async def test_the_answer_waits_for_the_word_that_it_runs(database: db.Database, now: datetime) -> None:
    await ask(database, question(await member(database, now)), now)
    async with database.transaction() as session:
        await outbox.reply(session, "telegram", "7", {"lines": []}, key="an earlier one", now=now - timedelta(hours=1))
        await outbox.reply(session, "telegram", "7", {"lines": []}, key="it runs", now=now)
        await outbox.reply(session, "telegram", "7", {"lines": []}, key="another one", now=now + timedelta(seconds=1))
    await finish(database, await claim(database, now), now)

    found = {row.key: row for row in await people.deliveries(database)}

    assert found["backtest:1"].after_id == found["it runs"].id


async def test_what_failed_is_said_and_may_be_asked_again(database: db.Database, now: datetime) -> None:
    asked = question(await member(database, now))
    await ask(database, asked, now)
    job = await claim(database, now)
    assert job is not None
    async with database.transaction() as session:
        assert await jobs.fail(session, job, "There are no stored candles.", now=now)

    again, new = await ask(database, asked, now)

    [delivery] = await people.deliveries(database)
    assert delivery.payload == {"backtest": {"id": job.id, **asked.subject, "error": "There are no stored candles."}}
    assert new
    assert [row.state for row in await rows(database)] == ["failed", "pending"]
    assert again.id != job.id


async def test_a_job_of_a_member_who_is_gone_has_no_answer(database: db.Database, now: datetime) -> None:
    await ask(database, question(await member(database, now)), now)
    job = await claim(database, now)
    async with database.transaction() as session:
        await session.delete(await session.get_one(models.Backtest, 1))

    assert not await finish(database, job, now)
    assert await people.deliveries(database) == []


async def test_a_job_that_nobody_waits_for_in_a_chat_has_no_answer_there(database: db.Database, now: datetime) -> None:
    await ask(database, question(await member(database, now), platform="", address=""), now)

    assert await finish(database, await claim(database, now), now)

    assert await people.deliveries(database) == []


async def test_old_jobs_are_forgotten_and_those_that_wait_are_not(database: db.Database, now: datetime) -> None:
    who = await member(database, now)
    await ask(database, question(who), now)
    await finish(database, await claim(database, now), now)
    await ask(database, question(who, "ETH/USDT"), now)

    async with database.transaction() as session:
        assert await jobs.forget(session, before=now) == 0
        assert await jobs.forget(session, before=now + timedelta(seconds=1)) == 1
    assert [row.request["symbol"] for row in await rows(database)] == ["ETH/USDT"]
