"""The page behind a link that somebody was given: what it is for, from whom, and the way into each chat."""

from aiohttp import web

from core import grants
from webhooks import billing, site

_NOT_VALID = (
    "This link is not valid. Such links work once and for a limited time; please ask whoever gave it to you for a new "
    "one."
)


def add_to(app: web.Application) -> None:
    """The site has the page."""
    app.router.add_get("/invitation/{code:[A-Za-z0-9_-]{16,40}}", show)


async def show(request: web.Request) -> web.Response:
    """What can be had with the code, and where; looking at it takes nothing."""
    here, code = site.of(request), request.match_info["code"]
    async with here.stack.db.reading() as session:
        offered = await grants.offered(session, code, now=here.now)
        bot = await billing.bot_name(session)
    if offered is None:
        return site.message(request, "Nothing to take here", _NOT_VALID, status=404)
    plan = here.stack.catalogue.by_key.get(offered.plan)
    name = plan.name if plan else offered.plan
    about = plan.description if plan else ""
    return site.page(request, "invitation", offered=offered, plan=name, about=about, code=code, bot=bot)
