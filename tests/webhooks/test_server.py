"""The role as a whole: it starts, survives outages, keeps its promises in time, and stops in order."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from core import db, errors, models, stack
from core.billing import plans
from tests.webhooks.conftest import API_KEY, SECRET, World
from tests.webhooks.test_events import event, post, signed
from webhooks import guard, loops, server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(made: stack.Stack) -> Any:
    stop = asyncio.Event()
    task = asyncio.create_task(server.run(made, stop))
    try:
        yield f"http://127.0.0.1:{made.settings.port}"
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def until(true: Any, seconds: float = 15.0) -> None:
    """Returns as soon as the condition holds; fails when it does not in time."""
    end = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.02)


ALONE = {"webhooks.site", "webhooks.stream", "webhooks.hooks"}
"""The parts that run without a payment provider."""


async def beats(database: db.Database) -> set[str]:
    async with database.reading() as session:
        return set(await session.scalars(select(models.Heartbeat.part)))


async def test_member_hears_of_the_payment_while_the_role_runs(worlds: Any) -> None:
    world: World = await worlds(port=free_port(), host="127.0.0.1")
    anna = await world.member()
    async with running(world.stack) as url:
        world.stripe.webhook_url = f"{url}/webhooks/stripe"
        world.stripe.pay(await world.checkout(anna))

        async def told() -> bool:
            return await world.notices(anna) == ["access_started"]

        started = time.monotonic()
        await until(told)
        assert time.monotonic() - started < 5

        async def all_beat() -> bool:
            return await beats(world.stack.db) == {*ALONE, "webhooks.inbox", "webhooks.sweep", "webhooks.reconcile"}

        await until(all_beat)
    assert await beats(world.stack.db) <= {"webhooks.sweep", "webhooks.reconcile"}
    async with world.stack.db.reading() as session:
        offer = await plans.offer(session, world.stack.catalogue, "signals")
        assert offer is not None
        assert (price := offer.price) is not None
        assert (price.amount, price.currency) == (2900, "USD")


async def test_without_stripe_only_the_site_runs(sqlite_database: db.Database, make_stack: Any) -> None:
    made = await make_stack(sqlite_database, port=free_port())
    async with running(made) as url, aiohttp.ClientSession() as http:

        async def alive() -> bool:
            return await beats(sqlite_database) == ALONE

        await until(alive)
        async with http.get(f"{url}/healthz") as answer:
            assert (await answer.json())["alive"] is True
    assert await beats(sqlite_database) == set()


async def test_taken_port_is_one_readable_line(sqlite_database: db.Database, make_stack: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        made = await make_stack(sqlite_database, port=taken.getsockname()[1])
        with pytest.raises(errors.ConfigError, match="HOST and PORT: cannot listen on 127"):
            await server.run(made, asyncio.Event())


async def test_outage_of_the_database_is_survived(own_postgres: Any, make_stack: Any, worlds: Any) -> None:
    from tests import databases

    await databases.create_tables(own_postgres.url)
    database = db.Database(own_postgres.url)
    sandbox: World = await worlds()
    values = {"stripe_api_url": sandbox.stripe.base_url, "stripe_api_key": API_KEY, "stripe_webhook_secret": SECRET}
    made = await make_stack(database, port=free_port(), stripe_price_id="price_x", **values)
    async with running(made) as url, aiohttp.ClientSession() as http:

        async def beaten() -> bool:
            return "webhooks.inbox" in await beats(database)

        await until(beaten)
        own_postgres.stop()
        body = event("evt_outage", "customer.created")
        async with http.post(f"{url}/webhooks/stripe", data=body, headers=signed(body)) as answer:
            assert answer.status == 503  # Stripe will send it again
        own_postgres.start()

        async def kept() -> bool:
            async with http.post(f"{url}/webhooks/stripe", data=body, headers=signed(body)) as answer:
                return answer.status == 200

        await until(kept)

        async def worked_off() -> bool:
            async with database.reading() as session:
                return await session.scalar(select(models.Inbox.state)) == "done"

        await until(worked_off)
    await database.close()


async def test_loop_goes_on_after_faults_and_raises_an_alarm_for_refusals(world: World) -> None:
    stop, turns = asyncio.Event(), []

    async def step() -> bool:
        turns.append(len(turns))
        if len(turns) == 1:
            raise errors.RefusedError("The key is wrong.")
        if len(turns) == 2:
            raise RuntimeError("a fault of ours")
        return len(turns) < 5

    loop = loops.Loop(world.here, stop, "trial", step, every=60, topic="inbox:trial")
    task = asyncio.create_task(loop.run())

    async def refused() -> bool:
        return "webhooks.trial_refused" in await world.alarms()

    async def five() -> bool:
        return len(turns) == 5

    await until(refused)
    await until(five)
    assert "webhooks.trial_refused" not in await world.alarms()
    assert "webhooks.trial" in await beats(world.stack.db)
    world.stack.bell.ring("inbox:trial")

    async def rung() -> bool:
        return len(turns) == 6

    await until(rung)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert await beats(world.stack.db) == set()


async def test_step_that_hangs_does_not_keep_the_stop_waiting(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(server, "_LAST_SECONDS", 0.2)
    monkeypatch.setattr(server, "_answering", asyncio.Event().wait)
    stop = asyncio.Event()
    task = asyncio.create_task(server._work(world.app, stop))
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.wait_for(task, 5)


async def test_fault_of_a_loop_itself_ends_the_role_with_that_fault(world: World, monkeypatch: Any) -> None:
    async def breaks(self: Any) -> None:
        raise RuntimeError("the loop is broken")

    monkeypatch.setattr(loops.Loop, "run", breaks)
    with pytest.raises(RuntimeError, match="the loop is broken"):
        await server._work(world.app, asyncio.Event())


async def test_sender_who_never_finishes_is_cut_off(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(guard, "_BODY_SECONDS", 0.2)
    host, port = world.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_acknowledgement_is_quick_under_load(both: World) -> None:
    """50 a second for two seconds: every answer well within the 300 ms that are promised."""
    taken: list[float] = []

    async def one(number: int) -> None:
        body = event(f"evt_{number}", "customer.created")
        started = time.perf_counter()
        status, _ = await post(both, body, signed(body))
        taken.append(time.perf_counter() - started)
        assert status == 200

    tasks = []
    for number in range(100):
        tasks.append(asyncio.create_task(one(number)))
        await asyncio.sleep(0.02)
    await asyncio.gather(*tasks)
    assert sorted(taken)[98] < 0.3
