"""A site whose streams and hooks move when the test says so: its own hand on the clock, and on the hub's steps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from sqlalchemy import update

from core import db, keys, models, stack
from tests.core import people
from tests.core.signals import press
from tests.sandbox.server import serving
from webhooks import hooks, hub, limits, server

PATH = "/api/v1/ws"


@dataclass
class Hand:
    """What the site takes for now."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def skip(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class Scene:
    """The site at `url`, and everything in it that a test touches."""

    stack: stack.Stack
    clock: Hand
    hub: hub.Hub
    sender: hooks.Sender
    url: str
    http: aiohttp.ClientSession
    published: dict[int, models.Signal] = field(default_factory=dict)

    async def payer(self, plan: str = "all", *, days: float = 30) -> tuple[int, str]:
        """Somebody who pays: the number of the member, and a key."""
        async with self.stack.db.transaction() as session:
            who = await people.payer(session, self.clock.now, plan=plan, days=days)
            return who.member_id, await keys.make(session, who.member_id, "tool", now=self.clock.now)

    async def publish(self, *numbers: int, symbol: str = people.BTC) -> None:
        """These signals are open; nobody has looked yet."""
        for number in numbers:
            async with self.stack.db.transaction() as session:
                self.published[number] = await press.opened(session, number, now=self.clock.now, symbol=symbol)

    async def move(self, number: int, **to: Any) -> None:
        """The market moved, for this signal."""
        async with self.stack.db.transaction() as session:
            session.add(self.published[number])
            await press.moved(session, self.published[number], now=self.clock.now, **to)

    async def lapse(self, member_id: int) -> None:
        """The member's subscription is over."""
        async with self.stack.db.transaction() as session:
            mine = update(models.Subscription).where(models.Subscription.member_id == member_id)
            await db.execute(session, mine.values(access_until=self.clock.now))

    async def listen(self, key: str, after: int | None = None, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """A stream that has said hello."""
        query = "" if after is None else f"?after={after}"
        headers = {"Authorization": f"Bearer {key}"} | options.pop("headers", {})
        stream = await self.http.ws_connect(f"{self.url}{PATH}{query}", headers=headers, **options)
        hello = await told(stream)
        assert hello["type"] == "hello"
        return stream

    async def call(self, key: str, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer of the API."""
        headers = {"Authorization": f"Bearer {key}"}
        async with self.http.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()


async def told(stream: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """What a stream says next."""
    said: dict[str, Any] = await stream.receive_json(timeout=10)
    return said


async def numbers(stream: aiohttp.ClientWebSocketResponse, count: int) -> list[int]:
    """The cursors of the next events."""
    said = [await told(stream) for _ in range(count)]
    assert all(one["type"] == "event" and one["event"]["id"] == one["cursor"] for one in said)
    return [one["cursor"] for one in said]


async def ended(stream: aiohttp.ClientWebSocketResponse) -> tuple[list[dict[str, Any]], int, str]:
    """What a stream still said, the code with which it was closed, and the reason."""
    said = []
    while (one := await stream.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
        said.append(one.json())
    assert one.type is aiohttp.WSMsgType.CLOSE, one
    return said, int(one.data), str(one.extra)


@asynccontextmanager
async def open_scene(database: db.Database, make_stack: Any, now: datetime, **settings: Any) -> AsyncIterator[Scene]:
    """A scene on this database; requests are counted so generously that only limits of ours are met."""
    clock = Hand(now)
    made = await make_stack(database, book=people.BOOK, clock=clock, **settings)
    app = server.build(made, counters=limits.Limits(times=100))
    async with serving(app) as url, aiohttp.ClientSession() as http:
        yield Scene(made, clock, app[hub.KEY], app[hooks.KEY], url, http)
