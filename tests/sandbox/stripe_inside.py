"""Stripe's stand-in without a socket: the vendor's library hands its encoded requests to the API in this process.

Everything but the socket is as it is over HTTP: the library's encoding and its errors, the stand-in's keys, versions,
idempotency and faults, and the bytes of the answers.
"""

import asyncio
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import stripe
from aiohttp import web
from multidict import CIMultiDict

from tests.sandbox.stripe_server import Api


@dataclass
class Transport:
    """A connection that can break; `broken` says that the answer never arrives."""

    broken: bool = False

    def abort(self) -> None:
        self.broken = True


@dataclass
class Asked:
    """A request as the stand-in's API reads it."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: str
    transport: Transport = field(default_factory=Transport)

    async def text(self) -> str:
        return self.body


class InsideClient(stripe.HTTPClient):
    """What the vendor's library sends with; a repeated call does not wait before it is repeated.

    `away`: nobody answers at all. `asked` counts the requests.
    """

    name = "inside"

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api
        self.away = False
        self.asked = 0

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """The stand-in's answer; raises APIConnectionError where a socket would have broken."""
        self.asked += 1
        where = urlsplit(url)
        body = post_data.decode() if isinstance(post_data, bytes) else post_data or ""
        request: Any = Asked(method.upper(), unquote(where.path), where.query, CIMultiDict(headers), body)
        answer = None if self.away else await self.api.reply(request)
        if not isinstance(answer, web.Response) or request.transport.broken:
            raise stripe.APIConnectionError("Nobody answers.", should_retry=True)  # type: ignore[no-untyped-call]
        content = answer.body
        return content if isinstance(content, bytes) else b"", answer.status, answer.headers

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[AsyncIterable[bytes], int, Mapping[str, str]]:
        raise NotImplementedError

    async def sleep_async(self, secs: float) -> None:
        """Other work of this process goes on; no time passes."""
        await asyncio.sleep(0)

    async def close_async(self) -> None:
        """There is nothing to close."""
