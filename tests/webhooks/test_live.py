"""The status page as it changes: one stream for everybody who looks, told at once, and cut off in good order."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from core import db, health
from tests.sandbox.server import serving
from tests.webhooks import filled
from tests.webhooks.conftest import World, Worlds
from tests.webhooks.test_server import until
from tests.webhooks.test_status import get
from webhooks import glance, live, server


async def block(answer: aiohttp.ClientResponse) -> str:
    """The next block of the stream, without the empty line that ends it."""
    async with asyncio.timeout(10):
        return (await answer.content.readuntil(b"\n\n")).decode().strip()


async def event(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next event; comments are left out."""
    while not (said := await block(answer)).startswith("data: "):
        pass
    told: dict[str, Any] = json.loads(said.removeprefix("data: "))
    return told


async def test_what_is_told_is_what_the_page_shows(world: World) -> None:
    await filled.fill(world)
    _, page = await get(world, "/")
    async with world.http.get(world.url + "/live") as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == (
            "no-store, no-transform",
            "no",
        )
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert await block(answer) == "retry: 5000"
        told = await event(answer)
    assert f'data-shape="{told["shape"]}"' in page
    for name, shown in told["texts"].items():
        assert f'data-text="{name}">{shown}<' in page.replace("&#39;", "'")
    for name, tone in told["tones"].items():
        assert f'data-tone="{name}"' in page
        assert tone in ("good", "wait", "bad")
    assert len(json.dumps(told)) < 4000


async def test_a_change_is_told_at_once_when_the_bell_rings(both: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glance, "_FRESH", 0.0)
    monkeypatch.setattr(glance, "_REST", 0)
    monkeypatch.setattr(live, "_AGAIN", 0.0)
    async with both.http.get(both.url + "/live") as one, both.http.get(both.url + "/live") as other:
        before = await event(one)
        assert before == await event(other)
        assert before["texts"]["state"] == "Starting up"
        async with both.stack.db.transaction() as session:
            await health.beat(session, "scheduler.scan", limit=90, now=both.now)
            session.add(filled.signal(both, symbol="SECRET/USDT"))
        both.stack.deliver()
        after = await event(one)
        assert after == await event(other)
    assert after["texts"]["state"] == "Everything is working"
    assert after["shape"] != before["shape"]
    assert after["texts"]["sent.1"] == "no readers"
    assert "SECRET" not in json.dumps(after)


def test_after_a_slow_answer_an_open_page_still_hears_of_what_the_bell_told() -> None:
    assert [glance.rest(took) for took in (0.001, 0.1, 0.2, 1.2, 60.0)] == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert glance.rest(60.0) + live._SOON <= live._AGAIN


async def test_a_look_that_fails_ends_no_stream(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glance, "_FRESH", 0.0)
    monkeypatch.setattr(glance, "_REST", 0)
    monkeypatch.setattr(live, "_EVERY", 0.1)
    monkeypatch.setattr(live, "_AGAIN", 0.0)

    async def rename(old: str, new: str) -> None:
        async with world.stack.db.transaction() as session:
            await session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    async with world.http.get(world.url + "/live") as answer:
        await event(answer)
        await rename("heartbeats", "gone")
        world.stack.bell.ring(live.TOPIC)
        while await block(answer) != ": still here":
            pass
        await rename("gone", "heartbeats")
        await world.stripe.advance(60)
        assert (await event(answer))["texts"]["at"].startswith("15 Jan 2026, 12:01:0")


async def test_nobody_looks_when_nobody_listens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_EVERY", 0.05)

    def looking() -> bool:
        return any(task.get_name() == "live" for task in asyncio.all_tasks())

    async def resting() -> bool:
        return not looking()

    async with world.http.get(world.url + "/live") as answer:
        await event(answer)
        assert looking()
        answer.close()
    await until(resting)


async def test_no_more_listen_than_the_site_can_bear(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await worlds()
    monkeypatch.setattr(live, "_EACH", 1)
    async with world.http.get(world.url + "/live") as answer:
        await event(answer)
        assert (await get(world, "/live"))[0] == 503
    monkeypatch.setattr(live, "_MOST", 0)
    assert (await get(await worlds(), "/live"))[0] == 503


async def test_a_site_that_stops_ends_its_streams(sqlite_database: db.Database, make_stack: Any) -> None:
    made = await make_stack(sqlite_database)
    async with aiohttp.ClientSession() as http:
        async with serving(server.build(made)) as url:
            answer = await http.get(f"{url}/live")
            await event(answer)
        async with asyncio.timeout(5):
            while await answer.content.readany():
                pass


async def test_a_look_of_a_machine_at_the_stream_ends(world: World) -> None:
    async with world.http.head(world.url + "/live") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
