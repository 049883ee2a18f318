"""The stream: events as they happen, in order, from any of them on, as long as its owner may have them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from core import db, keys
from tests.core import people
from tests.core.signals import press
from tests.webhooks import streaming
from tests.webhooks.streaming import Scene
from webhooks import consumers, slots


@pytest.fixture
async def scene(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    async with streaming.open_scene(sqlite_database, make_stack, now) as opened:
        yield opened


@pytest.fixture
async def both(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    async with streaming.open_scene(database, make_stack, now) as opened:
        yield opened


async def attached(scene: Scene, count: int = 1) -> None:
    """So many streams have caught up."""
    async with asyncio.timeout(10):
        while len(scene.hub._live) != count:  # noqa: ASYNC110 - nobody else tells
            await asyncio.sleep(0)


async def test_events_come_as_they_happen_and_say_what_the_feed_says(both: Scene) -> None:
    _, key = await both.payer()
    await both.publish(1)
    stream = await both.listen(key)
    await attached(both)
    await both.publish(2)
    await both.move(1, to=press.LAST)

    assert await both.hub.step() is False

    said = [await streaming.told(stream) for _ in range(3)]
    assert [(one["type"], one["cursor"], one["event"]["kind"]) for one in said] == [
        ("event", 2, "opened"),
        ("event", 3, "target1"),
        ("event", 4, "target"),
    ]
    assert said[0]["event"]["signal"]["entry"] == "100.00"
    assert said[2]["event"]["result"]["exit"] == "107.5"
    _, polled = await both.call(key, "GET", "/events?after=1")
    assert [said[0]["event"], said[2]["event"]] == [polled["events"][0], polled["events"][2]]
    assert (polled["cursor"], polled["more"]) == (4, False)


async def test_a_stream_goes_on_after_any_event_and_then_with_the_others(both: Scene) -> None:
    _, key = await both.payer()
    await both.publish(1, 2, 3)
    whole, late = await both.listen(key, 0), await both.listen(key, 2)
    await attached(both, 2)
    await both.publish(4, 5)
    await both.hub.step()
    assert await streaming.numbers(whole, 5) == [1, 2, 3, 4, 5]
    assert await streaming.numbers(late, 3) == [3, 4, 5]


async def test_who_is_behind_while_others_are_told_misses_nothing(scene: Scene) -> None:
    _, key = await scene.payer()
    await scene.publish(*range(1, 31))
    streams = []
    for after in range(0, 30, 10):
        streams.append((after, await scene.listen(key, after)))
        await scene.hub.step()
        await scene.publish(100 + after)
    await attached(scene, 3)
    await scene.hub.step()
    for after, stream in streams:
        assert await streaming.numbers(stream, 33 - after) == list(range(after + 1, 34))


async def test_a_plan_of_one_market_hears_of_that_market(scene: Scene) -> None:
    _, key = await scene.payer("ether")
    stream = await scene.listen(key)
    await attached(scene)
    await scene.publish(1)
    await scene.publish(2, symbol=people.ETH)
    await scene.hub.step()
    assert (await streaming.told(stream))["event"]["signal"]["symbol"] == people.ETH
    with pytest.raises(TimeoutError):
        await stream.receive(timeout=0.05)
    consumer = next(iter(scene.hub._live))
    consumer.beat_at = 0
    await scene.hub.step()
    assert await streaming.told(stream) == {"type": "beat", "cursor": 2}


async def test_an_end_of_access_ends_the_stream_before_the_next_event(scene: Scene) -> None:
    member, key = await scene.payer()
    _, other = await scene.payer()
    stream, goes_on = await scene.listen(key), await scene.listen(other)
    await attached(scene, 2)
    await scene.lapse(member)
    await scene.publish(1)
    await scene.hub.step()
    said, code, _ = await streaming.ended(stream)
    assert (said, code) == ([{"type": "ended"}], consumers.ACCESS_ENDED)
    assert await streaming.numbers(goes_on, 1) == [1]


async def test_an_end_of_access_is_seen_without_events_too(scene: Scene) -> None:
    member, key = await scene.payer()
    stream = await scene.listen(key)
    await attached(scene)
    await scene.lapse(member)
    scene.hub._judged -= 60
    await scene.hub.step()
    assert (await streaming.ended(stream))[1] == consumers.ACCESS_ENDED


async def test_a_revoked_key_ends_its_streams(scene: Scene) -> None:
    member, key = await scene.payer()
    stream = await scene.listen(key)
    await attached(scene)
    async with scene.stack.db.transaction() as session:
        await keys.revoke(session, member, keys.prefix(key), now=scene.clock.now)
    await scene.publish(1)
    await scene.hub.step()
    said, code, _ = await streaming.ended(stream)
    assert (said, code) == ([{"type": "ended"}], consumers.KEY_ENDED)


async def test_a_market_that_a_new_plan_opens_is_heard_of_at_once(scene: Scene) -> None:
    member, key = await scene.payer("ether")
    stream = await scene.listen(key)
    await attached(scene)
    async with scene.stack.db.transaction() as session:
        await people.subscription(session, member, scene.clock.now + people.HOUR, plan="bitcoin")
    await scene.publish(1)
    await scene.hub.step()
    assert await streaming.numbers(stream, 1) == [1]


async def test_who_reads_too_slowly_is_told_where_to_read_on(scene: Scene) -> None:
    _, key = await scene.payer()
    scene.hub.queue = 3
    stream = await scene.listen(key)
    await attached(scene)
    await scene.publish(*range(1, 6))
    await scene.hub.step()
    said, code, reason = await streaming.ended(stream)
    assert (said, code, reason) == ([], consumers.TRY_LATER, "Too slow: read on from after=0")
    again = await scene.listen(key, 0)
    assert await streaming.numbers(again, 5) == [1, 2, 3, 4, 5]


async def test_a_restart_says_so_and_lets_nobody_in(scene: Scene) -> None:
    _, key = await scene.payer()
    await scene.publish(1)
    stream = await scene.listen(key, 0)
    await attached(scene)
    closing = asyncio.create_task(scene.hub.close())
    said, code, reason = await streaming.ended(stream)
    await closing
    assert [one["cursor"] for one in said] == [1]
    assert (code, reason) == (consumers.RESTART, "The service restarts: read on from after=1")
    status, body = await scene.call(key, "GET", "/ws")
    assert (status, body["error"]["code"]) == (426, "upgrade_needed")
    with pytest.raises(Exception, match="503"):
        await scene.listen(key)


async def test_streams_that_ended_are_forgotten(scene: Scene) -> None:
    _, key = await scene.payer()
    for _ in range(slots.PER_KEY + 2):
        stream = await scene.listen(key)
        await stream.close()
    async with asyncio.timeout(10):
        while len(scene.hub):  # noqa: ASYNC110 - nobody else tells
            await asyncio.sleep(0.01)
    assert not len(scene.hub.slots)


async def test_who_comes_back_soon_is_told_from_memory_and_who_comes_late_from_the_record(scene: Scene) -> None:
    _, key = await scene.payer()
    scene.hub._kept = deque(maxlen=3)
    await scene.publish(1)
    await scene.hub.step()
    await scene.publish(2, 3, 4, 5, 6)
    await scene.hub.step()
    assert scene.hub._kept_from == 3
    for after, remembered in ((0, False), (2, False), (3, True), (5, True), (6, True)):
        assert (scene.hub._remembered(after) is not None) is remembered
        stream = await scene.listen(key, after)
        assert await streaming.numbers(stream, 6 - after) == list(range(after + 1, 7))
        await stream.close()


async def test_who_says_that_there_is_something_to_deliver_wakes_the_stream(scene: Scene) -> None:
    waiting = asyncio.create_task(scene.stack.bell.wait("record", 10, who="webhooks.stream"))
    await asyncio.sleep(0)
    scene.stack.deliver()
    assert await waiting
