"""The guard at the door: every request ends in an answer that gives nothing away, in time, and is counted."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from core import db, errors
from webhooks import site

LIMIT = 1024 * 1024
"""Bytes that a request's body may have."""
_SECONDS, _BODY_SECONDS = 30, 10
_LONGER = {"/record.jsonl": 600}
"""Addresses that may take longer, because they watch over every step of theirs themselves."""
_WORDS = {
    400: ("bad_request", "That did not work", "The request could not be understood."),
    403: ("forbidden", "Not allowed", "You may not see this."),
    404: ("not_found", "Nothing here", "This page does not exist. Perhaps a part of the address is missing."),
    405: ("method_not_allowed", "Not like this", "This address does not answer to that kind of request."),
    408: ("timeout", "Too slow", "The request did not arrive in time."),
    413: ("too_large", "Too large", "The request is larger than anything we expect."),
    500: ("internal", "Something went wrong", "The fault is ours, and it has been noted. Please try again later."),
    503: (
        "unavailable",
        "Back in a moment",
        "A part of the service is not reachable now. Please try again in a minute.",
    ),
}
log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Faults become plain pages, or JSON for programs; safe headers stand on every answer."""
    started = time.perf_counter()
    answer = await _answer(request, handler)
    here = site.of(request)
    for name, value in site.safe_headers(here).items():
        answer.headers.setdefault(name, value)
    answer.headers.setdefault("Cache-Control", "no-store")
    here.metrics.answered(request, answer.status, time.perf_counter() - started)
    return answer


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        async with asyncio.timeout(_LONGER.get(request.path, _SECONDS)):
            return await handler(request)
    except web.HTTPException as error:
        answer = fault(request, error.status)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except errors.RefusedError as error:
        return fault(request, 400, str(error))
    except Exception as error:  # noqa: BLE001 - whatever happens, nobody outside sees a traceback
        return _unexpected(request, error)


def _unexpected(request: web.Request, error: Exception) -> web.Response:
    route = request.match_info.route.resource
    where = route.canonical if route else "unknown"
    if isinstance(error, errors.UnreachableError) or db.is_unavailable(error):
        log.warning("webhooks_request_unavailable", route=where, error=type(error).__name__)
        return fault(request, 503)
    log.error("webhooks_request_failed", route=where, exc_info=error)
    return fault(request, 500)


def fault(request: web.Request, status: int, text: str = "") -> web.Response:
    """The answer for a fault: JSON where programs call, a plain page elsewhere."""
    code, title, usual = _WORDS.get(status, _WORDS[400])
    if request.path.startswith(("/api", "/webhooks", "/intake")):
        return site.problem(code, text or usual, status=status)
    return site.message(request, title, text or usual, status=status)


async def body(request: web.Request) -> bytes:
    """The raw body; a sender that is too slow gets a 408, one that sends too much a 413."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
