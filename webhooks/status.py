"""Being visible: the status page for everybody, liveness, readiness and figures for machines."""

from typing import Any

from aiohttp import web

from core import db, errors, health
from webhooks import glance, metrics, site


def add_to(app: web.Application) -> None:
    """The site has its first page and its own files."""
    app[glance.KEY] = glance.Glances()
    app.router.add_get("/", show)
    app.router.add_get("/static/{name}", static)


async def show(request: web.Request) -> web.Response:
    """Whether it works and did, what it brought, what it costs and how to join; nothing that others pay for."""
    here = site.of(request)
    seen = await request.app[glance.KEY].now(here)
    if "status" not in seen.pages:
        moving = {"texts": seen.texts, "tones": seen.tones, "shape": seen.shape}
        seen.pages["status"] = site.drawn(here, "status", **moving, **seen.facts)
    answer = web.Response(text=seen.pages["status"], content_type="text/html")
    answer.enable_compression()  # nothing in it is secret, and ninety bars are much the same
    return answer


async def static(request: web.Request) -> web.Response:
    """One of the site's own files."""
    found = site.assets(site.of(request).stack.catalogue.service).files.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    content_type, body = found
    keep = "public, max-age=31536000, immutable" if request.query.get("v") else "public, max-age=300"
    answer = web.Response(body=body, content_type=content_type, headers={"Cache-Control": keep})
    if content_type.startswith("text/"):
        answer.enable_compression()
        answer.headers["Vary"] = "Accept-Encoding"
    return answer


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
        gathered = await metrics.gather(session, here.stack.catalogue, now=here.now)
    return web.Response(body=here.metrics.text(gathered), headers={"Content-Type": "text/plain; version=0.0.4"})
