"""One WebSocket of the gateway, one session that outlives it, and how many may begin in a day."""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Json = dict[str, Any]

REMEMBERED = 5000
DAY = 86_400


class SessionLimit:
    """How many sessions may still begin today; `remaining` may be set."""

    def __init__(self, now: Callable[[], float], total: int = 1000) -> None:
        self.total, self._now = total, now
        self._left, self._began = total, now()

    @property
    def remaining(self) -> int:
        if self._now() - self._began >= DAY:
            self._left, self._began = self.total, self._now()
        return self._left

    @remaining.setter
    def remaining(self, left: int) -> None:
        self._left = left

    @property
    def reset_after(self) -> int:
        """Milliseconds until all of them are there again."""
        return max(0, round((self._began + DAY - self._now()) * 1000))

    def take(self) -> bool:
        """One more has begun; or none was left."""
        if self.remaining <= 0:
            return False
        self._left -= 1
        return True


class Link:
    """One WebSocket. What is sent waits in order until the gateway is not frozen."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, *, compressed: bool) -> None:
        self.socket, self.request = socket, request
        self.session: Session | None = None
        self.close_code: int | None = None
        self.farewell: int | None = None
        """The close code the client said."""
        self._outbox: asyncio.Queue[Json] = asyncio.Queue()
        self._zlib = zlib.compressobj() if compressed else None

    def send(self, payload: Json) -> None:
        """The payload will be sent after those before it."""
        self._outbox.put_nowait({"s": None, "t": None, "d": None} | payload)

    async def write(self, thawed: asyncio.Event) -> None:
        """Everything is sent in order, until cancelled or until nobody listens."""
        while True:
            payload = await self._outbox.get()
            await thawed.wait()
            data = orjson.dumps(payload)
            try:
                if self._zlib:
                    await self.socket.send_bytes(self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH))
                else:
                    await self.socket.send_str(data.decode())
            except (ConnectionError, RuntimeError):
                return


@dataclass(slots=True)
class Session:
    """What one client was told. It can be resumed over another WebSocket as long as Discord remembers it."""

    id: str
    intents: int
    shard: tuple[int, int]
    number: int
    sequence: int = 0
    link: Link | None = None
    left_at: float = 0.0
    """When its last connection ended, epoch seconds."""
    _told: deque[Json] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def has(self, guild_id: int | None) -> bool:
        """Whether events of this guild (None: of private chats) come over this shard."""
        shard, count = self.shard
        return shard == (0 if guild_id is None else (guild_id >> 22) % count)

    def join(self, link: Link) -> None:
        """The session goes on over this WebSocket."""
        if self.link:
            self.link.session = None
        self.link, link.session = link, self

    def dispatch(self, event: str, data: Json) -> None:
        """The client is told, now or when it resumes."""
        self.sequence += 1
        payload: Json = {"op": 0, "t": event, "s": self.sequence, "d": data}
        self._told.append(payload)
        if self.link:
            self.link.send(payload)

    def since(self, sequence: int) -> list[Json] | None:
        """What came after that number; None when it is not remembered or was never sent."""
        first = self._told[0]["s"] if self._told else self.sequence + 1
        if not first - 1 <= sequence <= self.sequence:
            return None
        return [payload for payload in self._told if payload["s"] > sequence]
