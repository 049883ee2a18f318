"""A visitor of the phone page without a browser: what its server tells, and what is said to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

Json = dict[str, Any]


class Visit:
    """An HTTP client of the page at this address."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url, self.http = url, http

    async def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        async with self.http.post(self.url + path, json=fields) as answer:
            body = await answer.text()
            return answer.status, json.loads(body) if answer.status == 200 else body

    @asynccontextmanager
    async def news(self) -> AsyncIterator["News"]:
        async with self.http.get(self.url + "events") as stream:
            assert stream.content_type == "text/event-stream"
            yield News(stream)


class News:
    """What the page is told, event by event."""

    def __init__(self, stream: aiohttp.ClientResponse) -> None:
        self._stream = stream

    async def that(self, holds: Callable[[Json], Any]) -> Json:
        """The next event of which this is true."""
        async with asyncio.timeout(5):
            while True:
                line = await self._stream.content.readline()
                if line.startswith(b"data: ") and holds(told := json.loads(line[6:])):
                    found: Json = told
                    return found

    async def of(self, chat: int) -> Json:
        """The next event about this private chat."""
        return await self.that(lambda told: told.get("chat") == chat)
