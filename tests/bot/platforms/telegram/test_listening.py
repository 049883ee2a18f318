"""Updates reach the inbox whatever happens between Telegram and us."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from bot.platforms.telegram import listening, platform, updates, webhook
from core import health, inbox, leases, models
from core.billing import links
from tests.bot.platforms.telegram.conftest import ANN, GROUP, QUICK, BotMaker, claimed, held
from tests.sandbox import server, telegram

Kind = telegram.Kind


@asynccontextmanager
async def listening_with(*bots: platform.Telegram) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(bot.listen()) for bot in bots]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(true: Callable[[], Awaitable[Any]], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - what is waited for happens in a database
            await asyncio.sleep(0.01)


def count(bot: platform.Telegram, *where: Any, table: Any = models.Inbox) -> Callable[[], Awaitable[int]]:
    async def counted() -> int:
        async with held(bot).db.reading() as session:
            return await session.scalar(select(func.count()).select_from(table).where(*where)) or 0

    return counted


def alarm(bot: platform.Telegram, key: str) -> Callable[[], Awaitable[int]]:
    return count(bot, models.Alarm.key == key, models.Alarm.cleared_at.is_(None), table=models.Alarm)


async def test_t13_what_waited_while_we_were_away_is_kept(world: telegram.Telegram, bot: platform.Telegram) -> None:
    for number in range(50):
        await world.say(ANN, f"/latest {number}")

    async with listening_with(bot):
        await until(count(bot, models.Inbox.kind == "message"))
        assert await held(bot).bell.wait("inbox:telegram", 1)
        await until(lambda: polled(world, 50))

    assert len(await claimed(bot)) == 50
    assert world.history.of("telegram_update_dropped") == []


async def polled(world: telegram.Telegram, number: int) -> bool:
    return len(world.history.of("telegram_update_taken")) >= number


async def test_t11_an_update_is_confirmed_only_after_it_was_kept(
    world: telegram.Telegram, bot: platform.Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, tries = inbox.put, 0

    async def failing(*args: Any, **given: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise OperationalError("INSERT", {}, Exception("database is locked"))
        return await kept(*args, **given)

    monkeypatch.setattr(inbox, "put", failing)
    monkeypatch.setattr("core.db.is_unavailable", lambda error: isinstance(error, OperationalError))
    await world.say(ANN, "/start")

    async with listening_with(bot):
        await until(count(bot))
        await until(lambda: polled(world, 1))

    assert tries == 3
    assert len(await claimed(bot)) == 1


async def test_t11_a_repeated_batch_is_kept_once(world: telegram.Telegram, bot: platform.Telegram) -> None:
    await world.say(ANN, "/start")
    world.faults.add(telegram.Fault(Kind.STORE_THEN_DROP, "getUpdates", times=2))

    async with listening_with(bot):
        await until(lambda: polled(world, 1))

    assert len(await claimed(bot)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        telegram.Fault(Kind.REFUSE, "getUpdates", code=404),
        telegram.Fault(Kind.REFUSE, "getUpdates", code=401),
        telegram.Fault(Kind.REFUSE, "getUpdates", code=500, times=3),
        telegram.Fault(Kind.REFUSE, "deleteWebhook", code=502),
        telegram.Fault(Kind.STORE_THEN_HTML, "getUpdates"),
        telegram.Fault(Kind.RETRY_AFTER, "getUpdates", retry_after=1),
        telegram.Fault(Kind.HANG, "getUpdates", seconds=1),
    ],
)
async def test_t09_no_single_refusal_ends_the_poller(
    world: telegram.Telegram, bot: platform.Telegram, fault: telegram.Fault
) -> None:
    world.faults.add(replace(fault))
    await world.say(ANN, "/start")
    before = bot.last_progress

    async with listening_with(bot):
        await until(count(bot))

    assert bot.last_progress > before
    assert await alarm(bot, "telegram.token")() == 0


async def test_t09_a_revoked_token_is_an_alarm_and_no_progress(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    world.faults.add(telegram.Fault(Kind.REFUSE, code=401, times=None))

    async with listening_with(bot):
        await until(alarm(bot, "telegram.token"))
        before = bot.last_progress
        await asyncio.sleep(0.05)
        assert bot.last_progress == before
        world.faults.clear()
        await until(lambda: away(alarm(bot, "telegram.token")))

    assert bot.last_progress > before


async def away(counted: Callable[[], Awaitable[int]]) -> bool:
    return await counted() == 0


async def test_t09_a_token_that_cannot_be_checked_is_no_alarm(world: telegram.Telegram, bot: platform.Telegram) -> None:
    refused = world.faults.add(telegram.Fault(Kind.REFUSE, "getUpdates", code=401, times=3))
    world.faults.add(telegram.Fault(Kind.DROP, "getMe", times=2))
    await world.say(ANN, "/start")

    async with listening_with(bot):
        await until(count(bot))

    assert refused.hits == 3
    assert await alarm(bot, "telegram.token")() == 0


async def test_t10_a_rival_poller_is_an_alarm_until_it_is_gone(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    world.faults.add(telegram.Fault(Kind.REFUSE, "getUpdates", code=409, times=None))

    async with listening_with(bot):
        await until(alarm(bot, "telegram.conflict"))
        world.faults.clear()
        await until(lambda: away(alarm(bot, "telegram.conflict")))


async def test_t10_two_processes_never_poll_at_once(world: telegram.Telegram, make_bot: BotMaker) -> None:
    one, two = await make_bot(lease_seconds=1.0), await make_bot(lease_seconds=1.0)

    async with listening_with(one):
        await until(count(one, table=models.Heartbeat))
        async with listening_with(two):
            await asyncio.sleep(0.2)
            assert held_by(await lease(one), one)
            assert world.history.of("telegram_refused", code=409) == []
            standing_by = two.last_progress
            await asyncio.sleep(0.5)
            assert two.last_progress > standing_by


def held_by(row: models.Lease | None, bot: platform.Telegram) -> bool:
    return row is not None and row.holder == held(bot).holder


async def lease(bot: platform.Telegram) -> models.Lease | None:
    async with held(bot).db.reading() as session:
        return await session.get(models.Lease, listening.LEASE)


async def test_t10_whoever_stops_hands_over_at_once(world: telegram.Telegram, make_bot: BotMaker) -> None:
    one, two = await make_bot(lease_seconds=600.0), await make_bot(lease_seconds=600.0)
    async with listening_with(one):
        await until(count(one, models.Heartbeat.part == listening.LEASE, table=models.Heartbeat))
    assert await count(one, models.Heartbeat.part == listening.LEASE, table=models.Heartbeat)() == 0

    await world.say(ANN, "/start")
    async with listening_with(two):
        await until(count(two))
        assert held_by(await lease(two), two)


async def test_a04_a_poller_that_slept_writes_nothing(world: telegram.Telegram, bot: platform.Telegram) -> None:
    async with listening_with(bot):
        await until(count(bot, models.Heartbeat.part == listening.LEASE, table=models.Heartbeat))
        async with held(bot).db.transaction() as session:
            now = held(bot).clock() + timedelta(hours=1)
            assert await leases.acquire(session, listening.LEASE, "another", ttl=60, now=now)
        await world.say(ANN, "/start")
        await asyncio.sleep(0.3)

        assert await count(bot)() == 0
        assert world.history.of("telegram_update_taken") == []


async def test_t14_joins_and_leaves_are_asked_for(world: telegram.Telegram, bot: platform.Telegram) -> None:
    async with listening_with(bot):
        await until(lambda: polling(world))
        world.set_member(GROUP, ANN, "left")
        await until(count(bot, models.Inbox.kind == "chat_member"))

    assert set(updates.KINDS) >= {"message", "callback_query", "my_chat_member", "chat_member", "chat_join_request"}


async def polling(world: telegram.Telegram) -> bool:
    return world.updates.polling.is_set()


async def test_an_error_of_our_own_is_not_swallowed(bot: platform.Telegram, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any, **given: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(health, "beat", broken)

    with pytest.raises(RuntimeError, match="ours"):
        await bot.listen()


async def test_a_database_that_is_away_is_waited_for(
    world: telegram.Telegram, bot: platform.Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = leases.acquire
    failures = iter(range(3))

    async def away(*args: Any, **given: Any) -> int | None:
        if next(failures, None) is not None:
            raise ConnectionError
        return await real(*args, **given)

    monkeypatch.setattr(leases, "acquire", away)
    await world.say(ANN, "/start")

    async with listening_with(bot):
        await until(count(bot))

        async def gone(*args: Any, **given: Any) -> None:
            raise ConnectionError

        monkeypatch.setattr(leases, "release", gone)


async def test_a_broken_release_is_not_swallowed(bot: platform.Telegram, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any, **given: Any) -> None:
        raise RuntimeError("ours")

    async with listening_with() as _:
        task = asyncio.create_task(bot.listen())
        await until(count(bot, models.Heartbeat.part == listening.LEASE, table=models.Heartbeat))
        monkeypatch.setattr(leases, "release", broken)
        task.cancel()
        with pytest.raises(RuntimeError, match="ours"):
            await task


def test_t21_pauses_grow_up_to_a_bound_and_differ() -> None:
    timing = listening.Timing()

    pauses = [listening.pause(timing, failed) for failed in range(40)]

    assert 0.25 <= pauses[0] <= 0.5
    assert all(pause <= 30 for pause in pauses)
    assert all(pause >= 15 for pause in pauses[8:])
    assert len(set(pauses[10:])) > 20


@asynccontextmanager
async def public_site(answers: list[int]) -> AsyncIterator[tuple[str, list[Any]]]:
    """Our public address, which answers Telegram with these status codes, then with 200."""
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request.headers.get("X-Telegram-Bot-Api-Secret-Token"), await request.json()))
        return web.Response(status=answers.pop(0) if answers else 200)

    app = web.Application()
    app.router.add_post("/webhooks/telegram", take)
    async with server.serving(app) as base:
        yield base, got


async def test_webhook_mode_points_telegram_at_us_and_drops_nothing(
    world: telegram.Telegram, make_bot: BotMaker
) -> None:
    await world.say(ANN, "/start")
    async with public_site([]) as (base, got):
        bot = await make_bot(telegram_mode="webhook", public_url=base)
        before = bot.last_progress
        async with listening_with(bot):
            await until(lambda: length(got))
            await until(count(bot, models.Heartbeat.part == webhook.PART, table=models.Heartbeat))
            world.updates._webhook["url"] = "http://127.0.0.1:1/elsewhere"
            await until(lambda: pointed(world, base))

        assert got[0][0] == links.telegram_secret(held(bot).settings)
        assert got[0][1]["message"]["text"] == "/start"
        assert bot.last_progress > before
        await world.updates.close()


async def length(got: list[Any]) -> int:
    return len(got)


async def pointed(world: telegram.Telegram, base: str) -> bool:
    return bool(world.updates._webhook["url"] == f"{base}/webhooks/telegram")


async def test_a_webhook_that_fails_is_an_alarm_until_it_works(world: telegram.Telegram, make_bot: BotMaker) -> None:
    await world.say(ANN, "/start")
    answers = [500] * 999
    async with public_site(answers) as (base, _):
        # Telegram says whole seconds, so a failure is seen for at least one.
        bot = await make_bot(telegram_mode="webhook", public_url=base, timing=replace(QUICK, check=0.6))
        async with listening_with(bot):
            await until(alarm(bot, webhook.PART))
            answers.clear()
            await until(lambda: away(alarm(bot, webhook.PART)))
        await world.updates.close()


async def test_t09_the_webhook_is_watched_through_failures(
    world: telegram.Telegram, make_bot: BotMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.faults.add(telegram.Fault(Kind.REFUSE, "getWebhookInfo", code=502, times=2))
    bot = await make_bot(telegram_mode="webhook", public_url="http://127.0.0.1:1")
    async with listening_with(bot):
        await until(count(bot, models.Heartbeat.part == webhook.PART, table=models.Heartbeat))
    await world.updates.close()

    async def broken(*args: Any, **given: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(health, "beat", broken)
    with pytest.raises(RuntimeError, match="ours"):
        await bot.listen()
    await world.updates.close()


async def test_polling_mode_takes_a_webhook_away(world: telegram.Telegram, make_bot: BotMaker) -> None:
    async with public_site([500] * 999) as (base, _):
        bot = await make_bot()
        await bot._bot.call("setWebhook", {"url": f"{base}/webhooks/telegram"})
        await world.say(ANN, "/start")
        async with listening_with(bot):
            await until(count(bot))
            await bot._bot.call("setWebhook", {"url": f"{base}/webhooks/telegram"})
            await world.say(ANN, "/help")
            await until(lambda: polled(world, 2))
    assert world.history.of("telegram_update_dropped") == []
