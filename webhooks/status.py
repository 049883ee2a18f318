"""Being visible: the status page for everybody, liveness, readiness and figures for machines."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, health, models
from core.billing import plans
from core.signals import results
from webhooks import billing, metrics, site

_RESULTS = 12
_PARTS = {
    "scheduler.scan": "Market watch",
    "telegram.poller": "Telegram updates",
    "telegram.webhook": "Telegram updates",
    "telegram.inbox": "Telegram commands",
    "discord.gateway": "Discord updates",
    "discord.inbox": "Discord commands",
    "webhooks.site": "Web pages",
    "webhooks.inbox": "Payment events",
    "webhooks.sweep": "Payment checks",
}


async def show(request: web.Request) -> web.Response:
    """Whether it works, what it brought, what it costs and how to join; nothing that others pay for."""
    here = site.of(request)
    async with here.stack.db.reading() as session:
        report = await health.report(session, now=here.now)
        offers = await plans.offers(session, here.stack.catalogue)
        facts: dict[str, Any] = {
            "ok": report.ok,
            "parts": _parts(report),
            "alarms": len(report.alarms),
            "results": await _results(session),
            "counts": await _counts(session),
            "open": await _open(session),
            "offers": [(offer, plans.amount(offer.price) if offer.price else "", _period(offer)) for offer in offers],
            "selling": here.provider is not None,
            "markets": sorted({watch.symbol for watch in here.stack.catalogue.watches}),
            "bot": await billing.bot_name(session),
        }
    return site.page(request, "status", **facts)


def _period(offer: plans.Offer) -> str:
    return plans.period(offer.price) if offer.price else ""


def _parts(report: health.Report) -> list[dict[str, Any]]:
    """What is alive, in plain words; `telegram.bot` is not a part but the place of the bot's name."""
    return [
        {"name": _PARTS.get(part.name) or _spelt(part.name), "ok": part.ok, "age": part.age}
        for part in report.parts
        if not part.name.endswith(".bot")
    ]


def _spelt(part: str) -> str:
    return part.replace(".", " ").replace("_", " ").capitalize()


async def _results(session: AsyncSession) -> Sequence[dict[str, Any]]:
    """The latest closed signals, gains and losses alike."""
    rows = await session.scalars(
        select(models.Signal)
        .where(models.Signal.status != models.SignalStatus.OPEN, models.Signal.close_price.is_not(None))
        .order_by(models.Signal.closed_at.desc(), models.Signal.id.desc())
        .limit(_RESULTS)
    )
    return [
        {
            "symbol": row.symbol,
            "timeframe": row.timeframe,
            "direction": row.direction,
            "outcome": str(row.status),
            "percent": results.percent(row),
            "r": results.r(row),
            "closed": row.closed_at or datetime.fromtimestamp(0, UTC),
            "late": row.late,
        }
        for row in rows
    ]


async def _counts(session: AsyncSession) -> dict[str, int]:
    rows = await session.execute(
        select(models.Signal.status, func.count())
        .where(models.Signal.status != models.SignalStatus.OPEN)
        .group_by(models.Signal.status)
    )
    return {str(status): number for status, number in rows}


async def _open(session: AsyncSession) -> int:
    waiting = select(func.count()).where(models.Signal.status == models.SignalStatus.OPEN)
    return await session.scalar(waiting) or 0


async def static(request: web.Request) -> web.Response:
    """One of the site's own files."""
    found = site.STATIC.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    content_type, body = found
    keep = "public, max-age=31536000, immutable" if request.query.get("v") else "public, max-age=300"
    return web.Response(body=body, content_type=content_type, headers={"Cache-Control": keep})


async def alive(request: web.Request) -> web.Response:
    """This process turns; a supervisor that hears nothing may end it."""
    return site.json({"alive": True, "at": site.of(request).now.isoformat()})


async def ready(request: web.Request) -> web.Response:
    """200 when the database answers in this version's shape and every part gets somewhere, otherwise 503 and why."""
    here = site.of(request)
    facts: dict[str, Any] = {"ready": False, "database": "unreachable", "migrated": False, "parts": {}}
    try:
        facts["migrated"] = await _migrated(here)
        facts["database"] = "reachable"
        if facts["migrated"]:
            async with here.stack.db.reading() as session:
                report = await health.report(session, now=here.now)
            facts["parts"] = {part.name: {"ok": part.ok, "age_seconds": round(part.age, 1)} for part in report.parts}
            facts["ready"] = report.ok
    except Exception as error:
        if not db.is_unavailable(error):
            raise
    return site.json(facts, status=200 if facts["ready"] else 503)


async def _migrated(here: site.Site) -> bool:
    import migrations  # noqa: PLC0415 - brings Alembic, which only this question needs

    try:
        return not await migrations.pending(here.stack.db)
    except errors.ConfigError:
        return False  # the database is newer than this program


async def figures(request: web.Request) -> web.Response:
    """Everything Prometheus wants to know."""
    here = site.of(request)
    async with here.stack.db.reading() as session:
        gathered = await metrics.gather(session, now=here.now)
    return web.Response(body=here.metrics.text(gathered), headers={"Content-Type": "text/plain; version=0.0.4"})
