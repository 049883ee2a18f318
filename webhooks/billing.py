"""Paying: what pages about money share, the way to the billing portal, and the door for the provider's events."""

from dataclasses import replace
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from core import errors, members, models
from core.billing import links, subscriptions
from webhooks import guard, payments, site

log = structlog.get_logger()
LATER = "Our payment provider does not answer at the moment. Nothing was charged. Please try again in a few minutes."


def add_to(app: web.Application) -> None:
    """The site has the portal's pages, and a door for the events of each provider."""
    app.router.add_get("/portal/{token}", show_portal)
    app.router.add_post("/portal/{token}", open_portal)
    app.router.add_get("/returned", returned)
    for provider in app[site.KEY].providers:
        if provider.inbox == provider.name:
            app.router.add_post(f"/webhooks/{provider.name}", events_of(provider))
            app.router.add_post(f"/api/v1/{provider.name}/webhook", events_of(provider))


async def ticket(request: web.Request, purpose: str) -> links.Ticket:
    """What the link says, for the member that its owner is now; raises RefusedError."""
    here = site.of(request)
    said = links.read(here.stack.settings, purpose, request.match_info["token"], now=here.now)
    async with here.stack.db.reading() as session:
        return replace(said, member_id=await members.present(session, said.member_id))


def onward(request: web.Request, provider: payments.Provider, url: str) -> web.Response:
    """The provider's page; by a link where our form may not lead there (a provider's page under an own domain)."""
    host = urlsplit(url)
    if f"{host.scheme}://{host.netloc}" in provider.origins:
        return site.elsewhere(url)
    return site.page(request, "onward", url=url)


async def bot_name(session: AsyncSession) -> str:
    """The name under which members find the Telegram bot, as the bot itself last said; empty when it never ran."""
    row = await session.get(models.Heartbeat, "telegram.bot")
    name = row.note.strip().removeprefix("@") if row else ""
    return name if name.isascii() and name.replace("_", "").isalnum() else ""


# --- the portal


async def show_portal(request: web.Request) -> web.Response:
    """A page with one button: a link preview must not open the portal."""
    try:
        await ticket(request, links.PORTAL)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    return site.page(request, "portal")


async def open_portal(request: web.Request) -> web.Response:
    """The member is on the provider's page for card, invoices and cancellation."""
    here = site.of(request)
    try:
        found = await ticket(request, links.PORTAL)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    async with here.stack.db.reading() as session:
        provider, customer = await _customer(session, here, found.member_id)
    if provider is None:
        text = "There is no payment of yours that could be managed here. Send /subscribe to the bot to begin one."
        return site.message(request, "Nothing to manage yet", text, status=404)
    try:
        url = await provider.portal(customer, f"{here.stack.settings.public_url}/returned")
    except payments.ElsewhereError as error:
        return site.message(request, "Where you pay", str(error))
    except (errors.UnreachableError, payments.ConflictError, errors.RefusedError) as error:
        log.warning("portal_not_opened", error=str(error))
        return site.message(request, "Not now", LATER, status=503)
    return onward(request, provider, url)


async def returned(request: web.Request) -> web.Response:
    """The way on for whoever comes back from the portal; the address proves nothing, and names nobody."""
    async with site.of(request).stack.db.reading() as session:
        bot = await bot_name(session)
    return site.page(request, "returned", bot=bot)


async def _customer(session: AsyncSession, here: site.Site, member_id: int) -> tuple[payments.Provider | None, str]:
    """Where the member pays, and who they are there; nobody for who never did."""
    newest = [row.provider for row in await subscriptions.of_member(session, member_id)]
    for provider in sorted(here.providers, key=lambda one: newest.index(one.name) if one.name in newest else 999):
        if customer := await subscriptions.customer_of(session, member_id, provider.name):
            return provider, customer
    return None, ""


# --- the provider's events


def events_of(provider: payments.Provider) -> guard.Handler:
    """The door for the events of this provider."""

    async def take_event(request: web.Request) -> web.Response:
        here = site.of(request)
        event = await guard.vouched(request, provider.name, lambda raw: provider.verify(raw, request.headers))
        await here.tray.put(provider.inbox, event.id, event.kind, event.body)
        # A known event rings too: perhaps it is sent again because it was never worked off.
        here.stack.bell.ring(f"inbox:{provider.inbox}")
        return site.json({"received": True})

    return take_event
