"""What is counted of members' own tools: streams, messages to hooks, and how long the oldest of these waits."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core import db
from tests import servers
from tests.webhooks import streaming, test_hooks, test_stream
from tests.webhooks.streaming import Scene
from webhooks import server
from webhooks.api import stream as door


@pytest.fixture
async def scene(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    here = {"hooks_anywhere": True, "public_url": "http://localhost:8080"}
    async with streaming.open_scene(sqlite_database, make_stack, now, **here) as opened:
        yield opened


async def shown(scene: Scene, name: str, url: str = "") -> dict[str, float]:
    """The figures of this name above nought, by their only label."""
    async with scene.http.get(f"{url or scene.url}/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    samples = [one for family in families for one in family.samples if one.name == f"signalstack_{name}"]
    assert samples, name
    return {next(iter(one.labels.values()), ""): one.value for one in samples if one.value}


async def test_open_streams_and_what_was_sent_over_them_are_counted(scene: Scene) -> None:
    _, key = await scene.payer()
    await scene.publish(1, 2)
    first, second = [await scene.listen(key, after) for after in (0, 1)]
    await test_stream.attached(scene, 2)
    await scene.publish(3)
    await scene.hub.step()
    assert await streaming.numbers(first, 3) == [1, 2, 3]
    assert await streaming.numbers(second, 2) == [2, 3]
    assert await shown(scene, "streams_open") == {"": 2}
    assert await shown(scene, "stream_events_total") == {"": 5}
    assert await shown(scene, "streams_dropped_total") == {}
    await scene.hub.close()
    await streaming.ended(first)
    assert await shown(scene, "streams_dropped_total") == {}  # who is asked to come back after a restart was not slow


async def test_streams_that_are_ended_are_counted_by_why(scene: Scene) -> None:
    _, key = await scene.payer()
    scene.hub.queue = 3
    slow = await scene.listen(key)
    await test_stream.attached(scene)
    await scene.publish(*range(1, 6))
    await scene.hub.step()
    await streaming.ended(slow)
    loud = await scene.listen(key)
    for _ in range(door._FRAMES + 1):
        await loud.send_str("hello?")
    await streaming.ended(loud)
    assert await shown(scene, "streams_dropped_total") == {"slow": 1, "flood": 1}


async def test_messages_to_tools_are_counted_by_what_became_of_them(scene: Scene) -> None:
    async with test_hooks.tool() as there:
        _, key = await scene.payer()
        await test_hooks.made(scene, there, key)
        await scene.publish(1)
        scene.clock.skip(seconds=90)
        assert await shown(scene, "hook_due_age_seconds") == {"": 90}
        there.answers = [500, 302, 200, 410]
        await scene.publish(2)
        for _ in range(4):
            await test_hooks.tell(scene)
            scene.clock.skip(minutes=10)
    assert await shown(scene, "hook_attempts_total") == {"refused": 1, "redirected": 1, "taken": 1, "gone": 1}
    assert await shown(scene, "hooks_disabled_total") == {"": 1}
    assert await shown(scene, "hook_due_age_seconds") == {}


async def test_a_tool_that_is_not_there_is_counted_too(scene: Scene) -> None:
    async with test_hooks.tool() as there:
        _, key = await scene.payer()
        await test_hooks.made(scene, there, key)
    await scene.publish(1)
    await test_hooks.tell(scene)
    assert await shown(scene, "hook_attempts_total") == {"unreachable": 1}


async def test_connections_that_a_running_site_refuses_are_counted_by_why(scene: Scene) -> None:
    port, stop = servers.free_port(), asyncio.Event()
    conf = scene.stack.settings.model_copy(update={"host": "127.0.0.1", "port": port})
    running = asyncio.create_task(server.run(replace(scene.stack, settings=conf), stop))
    try:
        said = await _refused(port)
        assert said == b"" or said.startswith(b"HTTP/1.1 431 ")
        assert await shown(scene, "connections_refused_total", f"http://127.0.0.1:{port}") == {"head_large": 1}
    finally:
        stop.set()
        await running


async def _refused(port: int) -> bytes:
    """What is answered to a head that is too large."""
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except ConnectionError:  # it does not listen yet
                await asyncio.sleep(0.01)
        try:
            writer.write(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 2000) for n in range(40)))
            return await reader.read()
        except ConnectionError:  # it goes before everything was sent
            return b""
        finally:
            writer.transport.abort()
