"""What anybody may read before joining: plans with their prices, terms, privacy."""

from aiohttp import web

from core.billing import plans
from webhooks import billing, glance, site


def add_to(app: web.Application) -> None:
    """The site has these pages."""
    app.router.add_get("/plans", show_plans)
    app.router.add_get("/terms", terms)
    app.router.add_get("/privacy", privacy)


async def show_plans(request: web.Request) -> web.Response:
    """Every plan with its price, what it opens, and a way to join on each chat."""
    here = site.of(request)
    book = here.stack.catalogue
    async with here.stack.db.reading() as session:
        offers = [glance.offered(offer) for offer in await plans.offers(session, book)]
        bot = await billing.bot_name(session)
    markets = sorted({watch.symbol for watch in book.watches})
    return site.page(request, "plans", offers=offers, bot=bot, markets=markets, selling=bool(here.providers))


async def terms(request: web.Request) -> web.Response:
    """The operator's terms."""
    service = site.of(request).stack.catalogue.service
    return site.page(request, "leaflet", title="Terms", text=service.terms)


async def privacy(request: web.Request) -> web.Response:
    """What is kept of whom, in the operator's words."""
    service = site.of(request).stack.catalogue.service
    return site.page(request, "leaflet", title="Privacy", text=service.privacy)
