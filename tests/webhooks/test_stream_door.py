"""Where streams come in: keys in three ways and never in the address, and limits on everything a client may send."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from core import db
from tests.webhooks import streaming
from tests.webhooks.streaming import Scene
from webhooks import consumers, slots
from webhooks.api import stream as door

NOBODY = "sst_abcdefghij_" + "x" * 43


@pytest.fixture
async def scene(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    async with streaming.open_scene(sqlite_database, make_stack, now) as opened:
        yield opened


async def refused(scene: Scene, query: str = "", **options: Any) -> tuple[int, str]:
    """The status with which a connection was refused, and what was said of it."""
    headers = options.pop("headers", {})
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
    async with scene.http.get(f"{scene.url}{streaming.PATH}{query}", headers=upgrade | headers) as answer:
        return answer.status, (await answer.json())["error"]["message"]


async def test_a_browser_offers_its_key_as_a_second_protocol(scene: Scene) -> None:
    _, key = await scene.payer()
    stream = await scene.http.ws_connect(f"{scene.url}{streaming.PATH}", protocols=(door.PROTOCOL, key))
    assert (await streaming.told(stream))["type"] == "hello"
    assert stream.protocol == door.PROTOCOL


async def test_a_key_may_be_the_first_message(scene: Scene) -> None:
    _, key = await scene.payer()
    await scene.publish(1, 2)
    stream = await scene.http.ws_connect(f"{scene.url}{streaming.PATH}?after=1")
    await stream.send_json({"type": "auth", "key": key})
    assert await streaming.told(stream) == {"type": "hello", "cursor": 1, "beat": consumers.BEAT}
    assert await streaming.numbers(stream, 1) == [2]


@pytest.mark.parametrize(
    ("first", "code", "close"),
    [
        ({"type": "auth", "key": NOBODY}, "key_unknown", 4401),
        ({"type": "auth"}, "key_missing", 4401),
        ({"type": "auth", "key": "x" * 300}, "key_missing", 4401),
        (["hello"], "key_missing", 4401),
    ],
)
async def test_a_first_message_without_a_key_is_answered_and_closed(
    scene: Scene, first: Any, code: str, close: int
) -> None:
    stream = await scene.http.ws_connect(f"{scene.url}{streaming.PATH}")
    await stream.send_json(first)
    said, closed, _ = await streaming.ended(stream)
    assert (said[0]["error"]["code"], closed) == (code, close)


async def test_a_lapsed_member_is_told_so_in_either_way(scene: Scene) -> None:
    _, key = await scene.payer(days=-1)
    status, text = await refused(scene, headers={"Authorization": f"Bearer {key}"})
    assert status == 403
    assert "/subscribe" in text
    stream = await scene.http.ws_connect(f"{scene.url}{streaming.PATH}")
    await stream.send_json({"type": "auth", "key": key})
    assert (await streaming.ended(stream))[1] == consumers.ACCESS_ENDED


@pytest.mark.parametrize(
    ("protocols", "status"),
    [("chat", 400), (NOBODY, 400), (f"{door.PROTOCOL}, a, b", 400), (f"{door.PROTOCOL}, {NOBODY}", 401)],
)
async def test_other_protocols_are_refused_and_kept_out_of_logs(
    scene: Scene, protocols: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await refused(scene, headers={"Sec-WebSocket-Protocol": protocols}))[0] == status
    assert NOBODY not in caplog.text


@pytest.mark.parametrize(
    "query", ["?after=-1", "?after=x", "?after=1", "?key=sst", "?after=1e3", "?after=9" + "9" * 40]
)
async def test_a_query_that_cannot_be_meant_is_refused(scene: Scene, query: str) -> None:
    _, key = await scene.payer()
    status, text = await refused(scene, query, headers={"Authorization": f"Bearer {key}"})
    assert status == 422
    assert text.startswith("query.")


async def test_a_key_has_five_streams(scene: Scene) -> None:
    _, key = await scene.payer()
    held = [await scene.listen(key) for _ in range(slots.PER_KEY)]
    status, text = await refused(scene, headers={"Authorization": f"Bearer {key}"})
    assert (status, text) == (429, "This key has 5 streams already; close one of them first.")
    _, other = await scene.payer()
    held.append(await scene.listen(other))


async def test_a_full_process_says_so(scene: Scene) -> None:
    scene.hub.most = 1
    _, key = await scene.payer()
    held = await scene.listen(key)
    assert (await refused(scene, headers={"Authorization": f"Bearer {key}"}))[0] == 503
    assert (await refused(scene))[0] == 503
    assert not held.closed


async def test_what_a_client_says_is_limited_in_size(scene: Scene) -> None:
    _, key = await scene.payer()
    stream = await scene.listen(key)
    await stream.send_str("x" * (door.LARGEST + 1))
    assert (await streaming.ended(stream))[1] == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_a_flood_ends_the_stream_and_pings_are_answered(scene: Scene) -> None:
    _, key = await scene.payer()
    stream = await scene.listen(key, autoping=False)
    await stream.ping(b"are you there")
    assert (await stream.receive(timeout=10)).data == b"are you there"
    for _ in range(door._FRAMES):
        await stream.send_str("hello?")
    assert (await streaming.ended(stream))[1] == aiohttp.WSCloseCode.POLICY_VIOLATION
