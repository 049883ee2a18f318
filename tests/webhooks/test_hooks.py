"""Members' own tools are told: signed, in order, again when they were not reached; a slow one delays no other."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from core import db, hooks, models
from tests.core import people
from tests.core.signals import press
from tests.sandbox.server import serving
from tests.webhooks import streaming
from tests.webhooks.streaming import Scene


@dataclass
class Tool:
    """A member's tool on a real socket: what it was told, and what it answers (0: nothing at all)."""

    told: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.told.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        if not status:
            await self.go_on.wait()
        return web.Response(status=status or 200, headers=self.headers, text="x" * 5000)

    @property
    def ids(self) -> list[int]:
        return [json.loads(body)["id"] for _, body in self.told]


@asynccontextmanager
async def tool() -> AsyncIterator[Tool]:
    made, app = Tool(), web.Application()
    app.router.add_route("*", "/{path:.*}", made.take)
    async with serving(app) as made.url:
        yield made
        made.go_on.set()


@pytest.fixture
async def scene(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    here = {"hooks_anywhere": True, "public_url": "http://localhost:8080"}
    async with streaming.open_scene(sqlite_database, make_stack, now, **here) as opened:
        yield opened


async def made(scene: Scene, there: Tool, key: str, form: str = "json") -> dict[str, Any]:
    status, body = await scene.call(key, "POST", "/hooks", {"url": f"{there.url}/in", "form": form})
    assert status == 201, body
    return body


async def tell(scene: Scene) -> None:
    """Every hook that is due was told."""
    await scene.sender.step()
    await scene.sender.settled()


async def row(scene: Scene, number: int = 1) -> models.Hook:
    async with scene.stack.db.reading() as session:
        return await session.get_one(models.Hook, number)


async def test_a_tool_is_told_everything_in_order_and_can_check_who_calls(scene: Scene) -> None:
    async with tool() as there:
        _, key = await scene.payer()
        hook = await made(scene, there, key)
        await scene.publish(1, 2)
        await scene.move(1, to=press.LAST)
        await tell(scene)
        assert there.ids == [1, 2, 3, 4]
        headers, body = there.told[0]
        assert headers["webhook-id"] == "evt_1_1"
        assert headers["webhook-timestamp"] == str(int(scene.clock.now.timestamp()))
        signed = hooks.signature(hook["secret"], "evt_1_1", int(headers["webhook-timestamp"]), body)
        assert headers["webhook-signature"] == signed
        _, polled = await scene.call(key, "GET", "/events")
        assert json.loads(body) == polled["events"][0]
        assert ((await row(scene)).cursor, (await row(scene)).lease_until) == (4, None)
        await tell(scene)
        assert len(there.told) == 4


async def test_a_failure_is_repeated_under_the_same_id_and_nothing_overtakes_it(scene: Scene) -> None:
    async with tool() as there:
        _, key = await scene.payer()
        await made(scene, there, key)
        there.answers = [200, 500, 302, 200]
        there.headers = {"Location": f"{there.url}/elsewhere"}
        await scene.publish(1, 2, 3)
        await tell(scene)
        assert (await row(scene)).said == "It answered with 500."
        await tell(scene)
        assert there.ids == [1, 2]
        for _ in range(2):
            scene.clock.skip(minutes=1)
            await tell(scene)
        assert there.ids == [1, 2, 2, 2, 3]
        assert [headers["webhook-id"] for headers, _ in there.told[1:4]] == ["evt_1_2"] * 3


async def test_a_redirect_is_not_followed(scene: Scene) -> None:
    async with tool() as there, tool() as elsewhere:
        _, key = await scene.payer()
        await made(scene, there, key)
        there.answers, there.headers = [307], {"Location": elsewhere.url}
        await scene.publish(1)
        await tell(scene)
        assert (len(there.told), len(elsewhere.told)) == (1, 0)
        assert (await row(scene)).said == "It answered with 307, a redirect, which is not followed."


async def test_a_slow_tool_delays_no_other(scene: Scene) -> None:
    async with tool() as slow, tool() as quick:
        for there in (slow, quick):
            await made(scene, there, (await scene.payer())[1])
        slow.answers = [0]
        await scene.publish(1, 2)
        await scene.sender.step()
        async with asyncio.timeout(5):
            while len(quick.told) < 2:  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.01)
        assert len(slow.told) == 1
        slow.go_on.set()
        await scene.sender.settled()
        assert slow.ids == [1, 2]


async def test_an_address_that_is_gone_is_disabled_with_a_notice_and_comes_back(scene: Scene) -> None:
    async with tool() as there:
        member, key = await scene.payer()
        await made(scene, there, key)
        there.answers = [410]
        await scene.publish(1)
        await tell(scene)
        assert (await row(scene)).state == hooks.DISABLED
        notice = (await people.deliveries(scene.stack.db, models.Delivery.member_id == member))[-1].payload
        said = "It answered with 410: the address is gone."
        assert notice == {"name": "hook_disabled", "hook": 1, "host": "127.0.0.1", "said": said}
        status, back = await scene.call(key, "POST", "/hooks/1/resume", {})
        assert (status, back["state"]) == (200, "active")
        await tell(scene)
        assert there.ids == [1, 1]


async def test_who_does_not_pay_is_told_nothing_and_later_only_what_is_new(scene: Scene) -> None:
    async with tool() as there:
        member, key = await scene.payer("bitcoin")
        await made(scene, there, key)
        await scene.publish(1)
        await scene.publish(2, symbol=people.ETH)
        await scene.lapse(member)
        await tell(scene)
        assert there.told == []
        assert (await row(scene)).cursor == 2
        async with scene.stack.db.transaction() as session:
            await people.subscription(session, member, scene.clock.now + people.HOUR, plan="bitcoin")
        await scene.publish(3)
        await tell(scene)
        assert there.ids == [3]


async def test_a_tool_that_reads_words_is_told_what_there_is_to_do_now(scene: Scene) -> None:
    async with tool() as there:
        _, key = await scene.payer()
        await made(scene, there, key, "cornix")
        await scene.publish(1)
        await scene.move(1)
        await tell(scene)
        [(headers, body)] = there.told
        assert headers["content-type"] == "text/plain; charset=utf-8"
        assert body.decode().startswith("#BTC/USDT\nExchange: binance\n")
        await scene.publish(2)
        scene.clock.skip(minutes=16)  # too old to be acted upon
        await tell(scene)
        assert len(there.told) == 1
        assert (await row(scene)).cursor == 3


async def test_what_was_cut_off_is_told_again_when_the_lease_has_run_out(scene: Scene) -> None:
    async with tool() as there:
        _, key = await scene.payer()
        await made(scene, there, key)
        there.answers = [0]
        await scene.publish(1)
        await scene.sender.step()
        async with asyncio.timeout(5):
            while not there.told:  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.01)
        for task in scene.sender._under_way:
            task.cancel()
        await asyncio.sleep(0)
        await tell(scene)
        assert len(there.told) == 1
        scene.clock.skip(minutes=2)
        await tell(scene)
        assert there.ids == [1, 1]
