"""Paying: the checkout page, the way to the billing portal, the thanks, and the door for the provider's events."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, errors, health, members, models
from core.billing import checkouts, links, plans, subscriptions
from webhooks import guard, payments, site

log = structlog.get_logger()
_LATER = "Our payment provider does not answer at the moment. Nothing was charged. Please try again in a few minutes."


# --- subscribing


async def show_checkout(request: web.Request) -> web.Response:
    """What the link offers, to whom and for how much; looking at it makes nothing."""
    try:
        ticket = await _ticket(request, links.CHECKOUT)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    return site.page(request, "checkout", **await _facts(site.of(request), ticket))


async def start_checkout(request: web.Request) -> web.Response:
    """The member is on the provider's page, where they can pay; the same page for every click while it is open."""
    here = site.of(request)
    try:
        ticket = await _ticket(request, links.CHECKOUT)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    facts = await _facts(here, ticket)
    offer = facts["offer"]
    provider = here.provider(offer.price.provider) if offer and offer.price else None
    if provider is None or facts["running"]:
        return site.page(request, "checkout", **facts)
    try:
        url = await _pay_page(here, provider, ticket.member_id, checkouts.Choice(offer.plan, offer.price.price_id))
    except errors.UnreachableError:
        return site.message(request, "Not now", _LATER, status=503)
    except errors.RefusedError as error:
        return site.message(request, "One moment", str(error), status=409)
    return _onward(request, provider, url)


async def _ticket(request: web.Request, purpose: str) -> links.Ticket:
    """What the link says, for the member that its owner is now; raises RefusedError."""
    here = site.of(request)
    ticket = links.read(here.stack.settings, purpose, request.match_info["token"], now=here.now)
    async with here.stack.db.reading() as session:
        return replace(ticket, member_id=await members.present(session, ticket.member_id))


async def _facts(here: site.Site, ticket: links.Ticket) -> dict[str, Any]:
    async with here.stack.db.reading() as session:
        offer = await plans.offer(session, here.stack.catalogue, ticket.plan)
        return {
            "offer": offer,
            "price": plans.amount(offer.price) if offer and offer.price else "",
            "period": plans.period(offer.price) if offer and offer.price else "",
            "selling": bool(here.providers),
            "running": bool(await subscriptions.running(session, ticket.member_id, ticket.plan)),
            "portal": links.portal_url(here.stack.settings, ticket.member_id, now=here.now),
            "people": await members.identities(session, ticket.member_id),
        }


async def _pay_page(here: site.Site, provider: payments.Provider, member_id: int, choice: checkouts.Choice) -> str:
    """The address at which this member's one open checkout for the plan is paid."""
    async with here.stack.db.reading() as session:
        customer = await subscriptions.customer_of(session, member_id, provider.name)
    # The second attempt has a key of its own and lets the provider make a new customer.
    for customer_id in (customer, ""):
        async with here.stack.db.transaction() as session:
            row = await checkouts.reserve(session, member_id, choice, provider=provider.name, now=here.now)
        if row.url:
            return row.url
        try:
            made = await provider.checkout(_order(here, row, choice.plan, customer_id))
        except (payments.ConflictError, errors.RefusedError) as error:
            await _given_up(here, row, error)
            continue
        async with here.stack.db.transaction() as session:
            await checkouts.opened(
                session, row.id, session_id=made.session_id, url=made.url, expires_at=made.expires_at
            )
            await health.clear(session, "checkout_refused", now=here.now)
        log.info("checkout_opened", checkout=row.id, member=row.member_id, plan=row.plan)
        return made.url
    raise errors.UnreachableError("The provider makes no checkout now.")


async def _given_up(here: site.Site, row: models.Checkout, error: Exception) -> None:
    text = f"Members cannot pay for the plan {row.plan}: {error}"
    async with here.stack.db.transaction() as session:
        await checkouts.given_up(session, row.id)
        if isinstance(error, errors.RefusedError):
            await health.alarm(session, "checkout_refused", text, now=here.now)
    log.warning("checkout_refused", checkout=row.id, error=str(error))


def _order(here: site.Site, row: models.Checkout, plan: catalogue.Plan, customer_id: str) -> payments.Order:
    conf = here.stack.settings
    # The same call under the same key must say the same, so the way back is made from the row and not from this click.
    back = links.checkout_url(conf, row.member_id, plan.key, now=row.created_at)
    return payments.Order(row, plan, customer_id, f"{conf.public_url}/thanks?session_id={{CHECKOUT_SESSION_ID}}", back)


def _onward(request: web.Request, provider: payments.Provider, url: str) -> web.Response:
    """The provider's page; by a link where our form may not lead there (a provider's page under an own domain)."""
    host = urlsplit(url)
    if f"{host.scheme}://{host.netloc}" in provider.origins:
        return site.elsewhere(url)
    return site.page(request, "onward", url=url)


async def thanks(request: web.Request) -> web.Response:
    """What happens next, for somebody who comes back from paying; the address proves nothing and changes nothing."""
    here = site.of(request)
    async with here.stack.db.reading() as session:
        return site.page(request, "thanks", bot=await bot_name(session))


async def bot_name(session: AsyncSession) -> str:
    """The name under which members find the Telegram bot, as the bot itself last said; empty when it never ran."""
    row = await session.get(models.Heartbeat, "telegram.bot")
    name = row.note.strip().removeprefix("@") if row else ""
    return name if name.isascii() and name.replace("_", "").isalnum() else ""


# --- the portal


async def show_portal(request: web.Request) -> web.Response:
    """A page with one button: a link preview must not open the portal."""
    try:
        await _ticket(request, links.PORTAL)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    return site.page(request, "portal")


async def open_portal(request: web.Request) -> web.Response:
    """The member is on the provider's page for card, invoices and cancellation."""
    here = site.of(request)
    try:
        ticket = await _ticket(request, links.PORTAL)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    async with here.stack.db.reading() as session:
        provider, customer = await _customer(session, here, ticket.member_id)
    if provider is None:
        text = "There is no payment of yours that could be managed here. Send /subscribe to the bot to begin one."
        return site.message(request, "Nothing to manage yet", text, status=404)
    try:
        url = await provider.portal(customer, f"{here.stack.settings.public_url}/")
    except (errors.UnreachableError, payments.ConflictError, errors.RefusedError) as error:
        log.warning("portal_not_opened", error=str(error))
        return site.message(request, "Not now", _LATER, status=503)
    return _onward(request, provider, url)


async def _customer(session: AsyncSession, here: site.Site, member_id: int) -> tuple[payments.Provider | None, str]:
    """Where the member pays, and who they are there; nobody for who never did."""
    for provider in here.providers:
        if customer := await subscriptions.customer_of(session, member_id, provider.name):
            return provider, customer
    return None, ""


# --- the provider's events


def events_of(name: str) -> guard.Handler:
    """The door for the events of the provider `name`; it does not exist while the provider is switched off."""

    async def take_event(request: web.Request) -> web.Response:
        here = site.of(request)
        provider = here.provider(name)
        if provider is None:
            raise web.HTTPNotFound
        event = await guard.vouched(request, name, lambda raw: provider.verify(raw, request.headers))
        await here.tray.put(name, event.id, event.kind, event.body)
        # A known event rings too: perhaps it is sent again because it was never worked off.
        here.stack.bell.ring(f"inbox:{name}")
        return site.json({"received": True})

    return take_event
