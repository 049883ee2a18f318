"""Members' tools that follow the stream: each keeps what it was told, loses its line at random, and comes back."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import aiohttp
import orjson

from core import db, keys, models
from core.signals import feed

SEVERAL = 5
"""Tools on one address of this machine, so that the limits for an address are the product's own."""


class Told(NamedTuple):
    """One event as a tool got it, and when, by the monotonic clock."""

    n: int
    kind: str
    signal: int
    at: float


@dataclass
class Follower:
    """One tool; `markets` is what its owner's plan opens. It is finished when it has come as far as `until`."""

    number: int
    key: str
    markets: feed.Markets
    random: random.Random
    told: list[Told] = field(default_factory=list)
    cursor: int = 0
    until: int | None = None
    connections: int = 0
    dropped: int = 0
    codes: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return self.until is not None and self.cursor >= self.until

    def connector(self) -> aiohttp.TCPConnector:
        """Connections from an address that few others use."""
        place = self.number // SEVERAL
        return aiohttp.TCPConnector(local_addr=(f"127.0.{1 + place // 250}.{1 + place % 250}", 0), limit=0)

    async def follow(self, urls: Sequence[str], *, patience: tuple[int, int]) -> None:
        """It has all events up to `until`; after a random number of messages (within `patience`) it loses its line."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with aiohttp.ClientSession(connector=self.connector(), headers=headers) as http:
            while not self.finished:
                url = f"{self.random.choice(urls)}/api/v1/ws?after={self.cursor}"
                try:
                    async with http.ws_connect(url, max_msg_size=0) as stream:
                        self.connections += 1
                        await self._listen(stream, self.random.randint(*patience))
                except aiohttp.WSServerHandshakeError as error:
                    self.refusals.append(f"{error.status}")
                except (aiohttp.ClientError, OSError):
                    pass
                await asyncio.sleep(self.random.uniform(0.05, 0.5))

    async def _listen(self, stream: aiohttp.ClientWebSocketResponse, most: int) -> None:
        async for message in stream:
            said = orjson.loads(message.data)
            if said["type"] == "event":
                event = said["event"]
                self.told.append(Told(said["cursor"], event["kind"], event["signal"]["id"], time.monotonic()))
            self.cursor = max(self.cursor, said.get("cursor", 0)) if said["type"] != "hello" else self.cursor
            most -= said["type"] == "event"
            if self.finished:
                await stream.close()
            elif most <= 0:
                self.dropped += 1
                await self._lose(stream)
                return
        if stream.close_code is not None:
            self.codes.append(stream.close_code)

    async def _lose(self, stream: aiohttp.ClientWebSocketResponse) -> None:
        """The line is gone: politely, or without a word, with what was on its way lost."""
        transport = stream._conn.transport if stream._conn else None
        if self.random.random() < 0.5 and transport is not None:
            transport.abort()
        else:
            await stream.close()


async def keys_for(database: db.Database, count: int, plans: Sequence[str], *, each: int = 1) -> list[tuple[str, str]]:
    """So many keys, `each` of a member of its own, with the plan of its owner; the members have no chats."""
    now = datetime.now(UTC)
    made: list[tuple[str, str]] = []
    async with database.transaction() as session:
        while len(made) < count:
            member = models.Member(created_at=now)
            session.add(member)
            await session.flush()
            plan = plans[len(made) // each % len(plans)]
            until = now + timedelta(days=1)
            session.add(
                models.Grant(member_id=member.id, plan=plan, until=until, granted_by="proof", created_at=now, reason="")
            )
            made += [(await keys.make(session, member.id, "tool", now=now), plan) for _ in range(each)]
    return made[:count]
