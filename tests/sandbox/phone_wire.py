"""How the phone page and its server talk: requests with JSON bodies, and news as they come."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Json = dict[str, Any]
News = asyncio.Queue[Json]
Deed = Callable[[], Awaitable[str]]

GLANCE = 0.1
"""Seconds between two looks at what makes no event of its own, such as who is inside a place."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Whose chats are shown: `user` is their Telegram id, `title` and `about` what the page calls them. `discord` is
    their id there, 0 when that is not shown."""

    user: int
    title: str
    about: str
    discord: int = 0


async def read(request: web.Request) -> Json:
    """The request's JSON object; refused otherwise, which also keeps other sites' forms out."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        said = await request.json()
    except ValueError:
        raise web.HTTPBadRequest from None
    if not isinstance(said, dict):
        raise web.HTTPBadRequest
    return said
