"""The public record: all results on one page, as one picture, and line by line for whoever checks them."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from aiohttp import web

from core import db
from core.signals import curve, entries, record, tally
from webhooks import site

_PAGE = 500  # lines at once
_AT_ONCE = 4  # downloads
_STALLED, _LONGEST = 30.0, 540.0  # seconds for a page of lines, and for all of them
_FRESH = 5.0  # seconds for which the same figures are shown again
log = structlog.get_logger()


class _Shown(NamedTuple):
    """The figures of the page, as of `at` by the loop's clock."""

    at: float
    counted: tally.Tally
    newest: record.Head


@dataclass
class _Desk:
    """What requests share: the figures shown last, the picture drawn last, and who may download at once."""

    shown: _Shown | None = None
    picture: tuple[int, bytes] | None = None
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    downloads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))


_DESK = web.AppKey("record", _Desk)


def add_to(app: web.Application) -> None:
    """The site has the record's addresses."""
    app[_DESK] = _Desk()
    app.router.add_get("/record", show)
    app.router.add_get("/record.jsonl", lines)
    app.router.add_get("/record.png", picture)


async def show(request: web.Request) -> web.Response:
    """Every closed signal counted, losses included, and how to check it; nothing that others pay for."""
    here = site.of(request)
    shown = await _figures(request)
    return site.page(
        request,
        "record",
        counted=shown.counted,
        newest=shown.newest,
        costs=here.stack.catalogue.costs,
        enough=tally.ENOUGH,
        url=f"{here.stack.settings.public_url}/record.jsonl",
        channels=bool(here.stack.catalogue.record.telegram or here.stack.catalogue.record.discord),
    )


async def _figures(request: web.Request) -> _Shown:
    """The figures as of now, or of a moment ago: however many ask, the database adds up once."""
    desk, now = request.app[_DESK], asyncio.get_running_loop().time
    async with desk.counting:
        if desk.shown is None or now() - desk.shown.at > _FRESH:
            async with site.of(request).stack.db.reading() as session:
                desk.shown = _Shown(now(), await tally.count(session), await record.head(session))
        return desk.shown


async def picture(request: web.Request) -> web.Response:
    """The sum of all results over time; drawn anew when another signal has closed."""
    here, desk = site.of(request), request.app[_DESK]
    async with desk.drawing:
        async with here.stack.db.reading() as session:
            closed = await tally.closed(session)
            points = await tally.curve(session) if desk.picture is None or desk.picture[0] != closed else []
        if not closed:
            raise web.HTTPNotFound
        if desk.picture is None or desk.picture[0] != closed:
            service = here.stack.catalogue.service
            said = f"{closed} closed signals, after assumed costs"
            made = await asyncio.to_thread(
                curve.draw, points, title=f"{service.name}: all results", subtitle=said, note=service.notice
            )
            desk.picture = (closed, made)
        body = desk.picture[1]
    etag = hashlib.sha256(body).hexdigest()[:32]
    if _has(request, etag):
        return web.Response(status=304, headers={"ETag": f'"{etag}"', "Cache-Control": "no-cache"})
    return web.Response(body=body, content_type="image/png", headers={"ETag": f'"{etag}"', "Cache-Control": "no-cache"})


def _has(request: web.Request, etag: str) -> bool:
    return any(one.value == etag for one in request.if_none_match or ())


async def lines(request: web.Request) -> web.StreamResponse:
    """Every line of the record, oldest first, and the line that ends it."""
    here, desk = site.of(request), request.app[_DESK]
    async with here.stack.db.reading() as session:
        newest = await record.head(session)
    headers = {"ETag": f'"{newest.hash}"', "Cache-Control": "no-cache"}
    if _has(request, newest.hash):
        return web.Response(status=304, headers=headers)
    if desk.downloads.locked():
        raise web.HTTPServiceUnavailable
    async with desk.downloads:
        answer = web.StreamResponse(headers={**site.safe_headers(here), **headers})
        answer.content_type = "application/jsonl"
        await answer.prepare(request)
        if request.method == "GET":
            await _send(request, answer, newest)
    return answer


async def _send(request: web.Request, answer: web.StreamResponse, newest: record.Head) -> None:
    """All lines are written, or the connection is cut: half a record must not look like a whole one."""
    database = site.of(request).stack.db
    try:
        async with asyncio.timeout(_LONGEST):
            after = 0
            while after < newest.n:
                async with database.reading() as session:
                    page = await record.lines(session, after=after, until=newest.n, limit=_PAGE)
                after = page[-1][0]
                await _write(answer, "".join(f"{line}\n" for _, line in page).encode())
            await _write(answer, entries.trailer(*newest))
            await answer.write_eof()
    except Exception as error:
        if not (isinstance(error, TimeoutError | ConnectionError) or db.is_unavailable(error)):
            log.exception("webhooks_record_failed")
        if request.transport is not None:
            request.transport.abort()


async def _write(answer: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_STALLED):
        await answer.write(data)
