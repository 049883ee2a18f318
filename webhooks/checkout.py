"""Buying: the checkout page with its choices, the way to the provider's page, and the thanks afterwards."""

from typing import Any

import structlog
from aiohttp import web

from core import catalogue, errors, health, members, models
from core.billing import checkouts, links, plans, subscriptions
from webhooks import billing, payments, site

log = structlog.get_logger()
_TRIES = 4  # another choice's page, a customer that the provider has lost, a key that it will not take, and one more
_ON_ITS_WAY = "Your payment for this plan is on its way. We write to you in the chat as soon as it has arrived."


def add_to(app: web.Application) -> None:
    """The site has these pages."""
    app.router.add_get("/checkout/{token}", show)
    app.router.add_post("/checkout/{token}", start)
    app.router.add_get("/thanks", thanks)


async def show(request: web.Request) -> web.Response:
    """What the link offers, to whom and for how much; looking at it makes nothing."""
    try:
        ticket = await billing.ticket(request, links.CHECKOUT)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    return site.page(request, "checkout", **await _facts(site.of(request), ticket))


async def start(request: web.Request) -> web.Response:
    """The member is on the provider's page, where they can pay; the same page for every click while it is open."""
    here = site.of(request)
    try:
        ticket = await billing.ticket(request, links.CHECKOUT)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    facts = await _facts(here, ticket)
    offer = facts["offer"]
    provider = here.provider(offer.price.provider) if offer and offer.price else None
    if provider is None or facts["running"]:
        return site.page(request, "checkout", **facts)
    choice = checkouts.Choice(offer.plan, offer.price.price_id)
    return await leave(request, provider, ticket.member_id, choice)


async def leave(
    request: web.Request, provider: payments.Provider, member_id: int, choice: checkouts.Choice
) -> web.Response:
    """The member is on the provider's page for what they chose, or reads in one sentence why not."""
    try:
        url = await pay_page(site.of(request), provider, member_id, choice)
    except errors.UnreachableError:
        return site.message(request, "Not now", billing.LATER, status=503)
    except errors.RefusedError as error:
        return site.message(request, "One moment", str(error), status=409)
    return billing.onward(request, provider, url)


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


# --- one page on which it is paid


async def pay_page(here: site.Site, provider: payments.Provider, member_id: int, choice: checkouts.Choice) -> str:
    """The address at which this member's one open checkout for the plan (or for a gift of it) is paid.

    One that is open for another choice is closed at its provider first, so that two can never be paid. Raises
    RefusedError with a sentence while a payment is on its way, UnreachableError when the provider makes none now.
    """
    async with here.stack.db.reading() as session:
        customer = await subscriptions.customer_of(session, member_id, provider.name)
    for _ in range(_TRIES):
        async with here.stack.db.transaction() as session:
            row = await checkouts.reserve(session, member_id, choice, provider=provider.name, now=here.now)
        if not choice.fits(row):
            await _close(here, row, choice.plan, customer)
        elif row.url:
            return row.url
        elif url := await _open(here, provider, _order(here, row, choice.plan, customer)):
            return url
        else:
            customer = ""  # the next attempt has a key of its own and lets the provider make a new customer
    raise errors.UnreachableError("The provider makes no checkout now.")


async def _open(here: site.Site, provider: payments.Provider, order: payments.Order) -> str:
    """The address of the order's page; empty when the provider will not make it, or another click has closed it."""
    row = order.checkout
    try:
        made = await provider.checkout(order)
    except (payments.ConflictError, errors.RefusedError) as error:
        await _given_up(here, row, error)
        return ""
    async with here.stack.db.transaction() as session:
        still = await checkouts.opened(
            session, row.id, session_id=made.session_id, url=made.url, expires_at=made.expires_at
        )
        await health.clear(session, "checkout_refused", now=here.now)
    if still:
        log.info("checkout_opened", checkout=row.id, member=row.member_id, plan=row.plan)
    return made.url if still else ""


async def _close(here: site.Site, row: models.Checkout, plan: catalogue.Plan, customer: str) -> None:
    """The open checkout can be paid no more, at its provider and here; raises RefusedError when it was paid already."""
    provider, session_id, state = here.provider(row.provider), row.session_id, "expired"
    if provider is not None:
        if session_id is None:
            # Perhaps its page was made and the answer was lost: under the same key the provider names it again.
            await _open(here, provider, _order(here, row, plan, customer))
            return
        state = await provider.expire(session_id)
    if state != "expired":
        raise errors.RefusedError(_ON_ITS_WAY)
    async with here.stack.db.transaction() as session:
        await checkouts.withdrawn(session, row.id)


async def _given_up(here: site.Site, row: models.Checkout, error: Exception) -> None:
    text = f"Members cannot pay for the plan {row.plan}: {error}"
    async with here.stack.db.transaction() as session:
        await checkouts.given_up(session, row.id)
        if isinstance(error, errors.RefusedError):
            await health.alarm(session, "checkout_refused", text, now=here.now)
    log.warning("checkout_refused", checkout=row.id, error=str(error))


def _order(here: site.Site, row: models.Checkout, plan: catalogue.Plan, customer_id: str) -> payments.Order:
    conf, purpose = here.stack.settings, links.GIFT if row.gift else links.CHECKOUT
    # The same call under the same key must say the same, so the way back is made from the row and not from this click.
    back = links.url(conf, purpose, row.member_id, plan.key, now=row.created_at)
    return payments.Order(row, plan, customer_id, f"{conf.public_url}/thanks?session_id={{CHECKOUT_SESSION_ID}}", back)


# --- afterwards


async def thanks(request: web.Request) -> web.Response:
    """What happens next, for somebody who comes back from paying; the address proves nothing and changes nothing."""
    here = site.of(request)
    async with here.stack.db.reading() as session:
        return site.page(request, "thanks", bot=await billing.bot_name(session))
