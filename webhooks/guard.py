"""The guard at the door: every request ends in an answer that gives nothing away, in time, and is counted."""

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web
from limits import RateLimitItem

from core import db, errors, settings
from core import log as logs
from webhooks import addresses, limits, site

LIMIT = 256 * 1024
"""Bytes that a request's body may have."""
_LARGE, _LARGE_AT_ONCE = 64 * 1024, 16
"""Bytes of a body that anybody may send at any time, and how many larger ones are taken in at once."""
_PARTING = {408, 413, 429}
"""Answers after which the connection ends, so that nobody sends on what is not wanted."""
REQUEST = "X-Request-Id"
_NAME = re.compile(r"[\w.:-]{4,36}", re.ASCII)
_SECONDS, _BODY_SECONDS = 30, 10
_LONGER: dict[str, float | None] = {"/record.jsonl": 600, "/live": 3700, "/api/v1/ws": None}
"""Addresses that may take longer, because they watch over every step of theirs themselves."""
_WORDS = {
    400: ("bad_request", "That did not work", "The request could not be understood."),
    403: ("forbidden", "Not allowed", "You may not see this."),
    404: ("not_found", "Nothing here", "This page does not exist. Perhaps a part of the address is missing."),
    405: ("method_not_allowed", "Not like this", "This address does not answer to that kind of request."),
    408: ("timeout", "Too slow", "The request did not arrive in time."),
    413: ("too_large", "Too large", "The request is larger than anything we expect."),
    429: ("too_many_requests", "Too often", "That was more than we answer in a minute. Please try again in a moment."),
    500: ("internal", "Something went wrong", "The fault is ours, and it has been noted. Please try again later."),
    503: (
        "unavailable",
        "Back in a moment",
        "A part of the service is not reachable now. Please try again in a minute.",
    ),
}
_RULES: tuple[tuple[str, RateLimitItem | None], ...] = (
    ("/healthz", None),
    ("/readyz", None),  # many who ask at once share one look
    ("/metrics", limits.FIGURES),
    ("/static/", limits.FILES),
    ("/checkout/", limits.LINKS),
    ("/portal/", limits.LINKS),
    ("/gift/", limits.LINKS),
    ("/webhooks/", None),  # counted when it is known whether the provider itself speaks
    ("/intake/", None),  # counted by address and by source
    ("/api/v1/", None),  # counted by address, key and member
    ("/", limits.PAGES),
)
"""What is counted here for each address, by the beginning of the path; the first that fits counts."""
T = TypeVar("T")
log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Whom the site believes, and what it takes in at once."""

    def __init__(self, conf: settings.Settings) -> None:
        self.trusted = conf.proxies
        self.token = conf.metrics_token.get_secret_value()
        self.public_host = urlsplit(conf.public_url).hostname or ""
        self.large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self.warned = False
        self.headers: tuple[tuple[str, str], ...] = ()

    def look(self, request: web.Request) -> None:
        """The operator has read, once, that a proxy stands before us which nobody told us of."""
        near = addresses.parsed(request.remote)
        if self.warned or near is None or not near.is_private or "X-Forwarded-For" not in request.headers:
            return
        self.warned = not addresses.among(near, self.trusted)
        if self.warned:
            log.warning("site_proxy_not_trusted", address=str(near), hint="Name it in TRUSTED_PROXIES.")


KEY = web.AppKey("door", Door)
_ADDRESS = web.RequestKey("address", str)
_CALLED = web.RequestKey("called", str)
_ALLOWED = web.RequestKey("allowed", limits.Allowance)


def add_to(app: web.Application, conf: settings.Settings) -> None:
    """Every answer of the application goes past the guard."""
    app[KEY] = Door(conf)
    app.middlewares.append(guard)
    app.on_response_prepare.append(_dress)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Faults become plain pages, or JSON for programs; who asks too often is asked to wait."""
    started = time.perf_counter()
    door = request.app[KEY]
    door.look(request)
    request[_ADDRESS] = addresses.counted(addresses.caller(request, door.trusted))
    request[_CALLED] = _named(request, door)
    with logs.caused_by(request[_CALLED]):
        answer = await _answer(request, handler)
        if answer.status in _PARTING:
            answer.force_close()
        site.of(request).metrics.answered(request, answer.status, time.perf_counter() - started)
    return answer


async def _dress(request: web.Request, answer: web.StreamResponse) -> None:
    """Safe headers, the name of the request and what is left of its allowance stand on every answer, streams too."""
    door = request.app[KEY]
    door.headers = door.headers or (*site.safe_headers(site.of(request)).items(), ("Cache-Control", "no-store"))
    for name, value in door.headers:
        if name not in answer.headers:
            answer.headers[name] = value
    answer.headers.update(site.ANONYMOUS)
    if _CALLED in request:
        answer.headers[REQUEST] = request[_CALLED]
    if _ALLOWED in request:
        for name, value in request[_ALLOWED].headers.items():
            answer.headers.setdefault(name, value)


def address(request: web.Request) -> str:
    """The name under which the requests of whoever sent this one are counted."""
    return request[_ADDRESS]


def _named(request: web.Request, door: Door) -> str:
    """The name that a trusted proxy gave the request, or a new one."""
    given = request.headers.get(REQUEST, "")
    if given and _NAME.fullmatch(given) and addresses.among(addresses.parsed(request.remote), door.trusted):
        return given
    return secrets.token_hex(8)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        async with asyncio.timeout(_LONGER.get(request.path, _SECONDS)):
            await _count(request)
            return await handler(request)
    except limits.TooOftenError as error:
        answer = fault(request, 429)
        answer.headers.update(error.allowance.headers)
        return answer
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
    if status == web.HTTPInternalServerError.status_code:
        usual += f" Whoever asks us about it names the request {logs.request()}."
    if request.path.startswith(("/api", "/webhooks", "/intake")):
        return site.problem(code, text or usual, status=status)
    return site.message(request, title, text or usual, status=status)


async def _count(request: web.Request) -> None:
    """The request counts for its address; raises TooOftenError."""
    route = request.match_info.route
    # What stands at no address of ours, or is asked with a method of no use, counts like a page.
    where = route.resource.canonical if route.resource and route.method != hdrs.METH_ANY else "/"
    rule = next(rule for start, rule in _RULES if where.startswith(start))
    here, who = site.of(request), address(request)
    if rule is None:
        return
    taken = await here.limiter.take(rule, "site", who)
    if taken.ok and rule is limits.LINKS and request.method == hdrs.METH_POST:
        taken = await here.limiter.take(limits.PAYING, "paying", who)
    request[_ALLOWED] = taken
    if not taken.ok:
        raise limits.TooOftenError(taken)


async def vouched(request: web.Request, source: str, check: Callable[[bytes], T]) -> T:
    """What `check` makes of the body, which it proves to be the source's own; it raises what the sender is told.

    Only proven events count for the source, so strangers cannot use up what it has; others count for their address.
    """
    limiter, who = site.of(request).limiter, address(request)
    # Whoever has shown much that was forged may still show something small: perhaps a proxy hides who it is.
    small = (request.content_length or LIMIT) <= _LARGE
    limit = LIMIT if small or await limiter.left(limits.FORGED, "forged", who) else _LARGE
    try:
        found = check(await body(request, limit))
    except (errors.RefusedError, web.HTTPException):
        taken = await limiter.take(limits.FORGED, "forged", who)
        if not taken.ok:
            raise limits.TooOftenError(taken) from None
        raise
    if refused := await limiter.refusal(limits.PROVIDER, "provider", source):
        raise limits.TooOftenError(refused)
    return found


def private(handler: Handler) -> Handler:
    """The handler for those who have METRICS_TOKEN; where there is none, for this machine and its private network."""

    async def asked(request: web.Request) -> web.StreamResponse:
        door = request.app[KEY]
        if door.token:
            given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
            good = hmac.compare_digest(given, f"Bearer {door.token}".encode())
        else:
            good = addresses.is_near(request, door.trusted, door.public_host)
        if not good:
            raise web.HTTPForbidden
        return await handler(request)

    return asked


def shared(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    """The handler, asked once for all who wait for its answer at the same time."""
    running: asyncio.Future[web.Response] | None = None

    async def asked(request: web.Request) -> web.Response:
        nonlocal running
        if running is None or running.done():
            running = asyncio.ensure_future(handler(request))
        one = await asyncio.shield(running)
        return web.Response(body=one.body, status=one.status, content_type=one.content_type)

    return asked


async def body(request: web.Request, limit: int = LIMIT) -> bytes:
    """The raw body; a sender that is too slow gets a 408, one that sends too much a 413."""
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
    if request.content.is_eof() and (request.content_length or LIMIT) <= _LARGE:
        return await request.content.read()  # it is all here
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await _gathered(request, limit)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (web.RequestPayloadError, ConnectionError):
        raise web.HTTPBadRequest from None


async def _gathered(request: web.Request, limit: int) -> bytes:
    large, held = request.app[KEY].large, False
    raw = bytearray()
    try:
        while chunk := await request.content.readany():
            raw += chunk
            if len(raw) > limit:
                raise web.HTTPRequestEntityTooLarge(limit, len(raw))
            if len(raw) > _LARGE and not held:
                held = await large.acquire()
    finally:
        if held:
            large.release()
    return bytes(raw)
