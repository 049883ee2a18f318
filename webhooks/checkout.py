"""Buying: the checkout page with its choices, the way to the provider's page, and the thanks afterwards."""

from dataclasses import replace

import structlog
from aiohttp import web

from core import catalogue, errors, health, members, models
from core.billing import checkouts, links, partners, plans, subscriptions, trials
from webhooks import billing, choosing, payments, site

log = structlog.get_logger()
_TRIES = 6  # another choice's page and its reservation, and all that a provider may have lost
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
    return await _page(request, ticket, choosing.wished(request.query))


async def start(request: web.Request) -> web.Response:
    """The member is on the provider's page, where they can pay; the same page for every click while it is open."""
    here = site.of(request)
    try:
        ticket = await billing.ticket(request, links.CHECKOUT)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    wish = choosing.wished(await request.post())
    offer = await _on_offer(here, ticket)
    if offer is None or not offer.prices or await _running(here, ticket):
        return await _page(request, ticket, wish)
    try:
        choice, price = choosing.choice(offer, wish)
        choice = await _for_member(here, ticket.member_id, choice, price, wish.code)
    except errors.RefusedError as error:
        return await _page(request, ticket, wish, fault=str(error))
    provider = here.provider(price.provider)
    assert provider is not None  # noqa: S101 - only what can be bought is on offer
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


async def _on_offer(here: site.Site, ticket: links.Ticket) -> plans.Offer | None:
    async with here.stack.db.reading() as session:
        offer = await plans.offer(session, here.stack.catalogue, ticket.plan)
    return choosing.purchasable(here, offer) if offer else None


async def _running(here: site.Site, ticket: links.Ticket) -> bool:
    async with here.stack.db.reading() as session:
        return bool(await subscriptions.running(session, ticket.member_id, ticket.plan))


async def _for_member(
    here: site.Site, member_id: int, choice: checkouts.Choice, price: models.PlanPrice, code: str
) -> checkouts.Choice:
    """The choice as it is for this member: who brought them, days for free; raises RefusedError for a wrong code."""
    async with here.stack.db.transaction() as session:
        partner = await partners.bring(session, member_id, code) if code else None
        partner = partner or await partners.of_member(session, member_id)
        days = await trials.days(session, here.stack.settings, choice.plan, member_id)
    thanked = partner.id if partner and partner.retired_at is None else None
    return replace(choice, partner_id=thanked, trial_days=days if choosing.tries(here, price) else 0)


async def _page(request: web.Request, ticket: links.Ticket, wish: choosing.Wish, *, fault: str = "") -> web.Response:
    here = site.of(request)
    offer = await _on_offer(here, ticket)
    async with here.stack.db.reading() as session:
        partner = await partners.of_member(session, ticket.member_id)
        days = await trials.days(session, here.stack.settings, offer.plan, ticket.member_id) if offer else 0
        facts = {
            "running": bool(await subscriptions.running(session, ticket.member_id, ticket.plan)),
            "portal": links.portal_url(here.stack.settings, ticket.member_id, now=here.now),
            "people": await members.identities(session, ticket.member_id),
            "partner": partner if partner and partner.retired_at is None else None,
        }
    shown = choosing.shelf(here, offer, wish, days=days) if offer else {}
    return site.page(
        request, "checkout", status=400 if fault else 200, offer=offer, wish=wish, fault=fault, **facts, **shown
    )


# --- one page on which it is paid


async def pay_page(here: site.Site, provider: payments.Provider, member_id: int, choice: checkouts.Choice) -> str:
    """The address at which this member's one open checkout for the plan (or for a gift of it) is paid.

    One that is open for another choice is closed at its provider first, so that two can never be paid. Raises
    RefusedError with a sentence while a payment is on its way, UnreachableError when the provider makes none now.
    """
    terms = await _terms(here, provider, member_id, choice)
    for _ in range(_TRIES):
        async with here.stack.db.transaction() as session:
            row = await checkouts.reserve(session, member_id, choice, provider=provider.name, now=here.now)
        if not choice.fits(row) or (row.url and row.expires_at <= here.now):
            await _close(here, row, choice.plan)
        elif row.url:
            return row.url
        elif url := await _open(here, provider, _order(here, row, choice.plan, terms[0])):
            return url
        elif url is None:
            terms = terms[1:] or terms  # what was refused is not asked for again
    raise errors.UnreachableError("The provider makes no checkout now.")


async def _terms(
    here: site.Site, provider: payments.Provider, member_id: int, choice: checkouts.Choice
) -> list[tuple[str, str]]:
    """As whom the member buys and with which discount: best first, for a provider may have lost either."""
    async with here.stack.db.reading() as session:
        customer = await subscriptions.customer_of(session, member_id, provider.name)
        partner = await session.get(models.Partner, choice.partner_id) if choice.partner_id else None
    promotion = partner.promotion if partner else ""
    return list(dict.fromkeys([(customer, promotion), (customer, ""), ("", promotion), ("", "")]))


async def _open(here: site.Site, provider: payments.Provider, order: payments.Order) -> str | None:
    """The address of the order's page; None when the provider refuses it, empty when it may be asked again."""
    row = order.checkout
    try:
        made = await provider.checkout(order)
    except (payments.ConflictError, errors.RefusedError) as error:
        await _given_up(here, row, error)
        return None if isinstance(error, errors.RefusedError) else ""
    async with here.stack.db.transaction() as session:
        still = await checkouts.opened(
            session, row.id, session_id=made.session_id, url=made.url, expires_at=made.expires_at
        )
        await health.clear(session, "checkout_refused", now=here.now)
    if still:
        log.info("checkout_opened", checkout=row.id, member=row.member_id, plan=row.plan)
    return made.url if still else ""


async def _close(here: site.Site, row: models.Checkout, plan: catalogue.Plan) -> None:
    """The open checkout can be paid no more, at its provider and here; raises RefusedError when it was paid already."""
    provider, session_id, state = here.provider(row.provider), row.session_id, "expired"
    if provider is not None:
        if session_id is None:
            # Perhaps its page was made and the answer was lost: under the same key the provider names it again.
            choice = checkouts.Choice(plan, partner_id=row.partner_id)
            terms = await _terms(here, provider, row.member_id, choice)
            await _open(here, provider, _order(here, row, plan, terms[0]))
            return
        state = await _expire(provider, session_id)
    if state != "expired":
        raise errors.RefusedError(_ON_ITS_WAY)
    async with here.stack.db.transaction() as session:
        await checkouts.withdrawn(session, row.id)


async def _expire(provider: payments.Provider, session_id: str) -> str:
    try:
        state = await provider.expire(session_id)
    except errors.RefusedError as error:  # in words for the operator
        log.warning("checkout_not_closed", session=session_id, error=str(error))
        raise errors.UnreachableError("The provider does not close the page that is open.") from None
    if state == "open":
        raise errors.UnreachableError("The provider has not closed the page that is open.")
    return state


async def _given_up(here: site.Site, row: models.Checkout, error: Exception) -> None:
    text = f"Members cannot pay for the plan {row.plan}: {error}"
    async with here.stack.db.transaction() as session:
        await checkouts.given_up(session, row.id)
        if isinstance(error, errors.RefusedError):
            await health.alarm(session, "checkout_refused", text, now=here.now)
    log.warning("checkout_refused", checkout=row.id, error=str(error))


def _order(here: site.Site, row: models.Checkout, plan: catalogue.Plan, terms: tuple[str, str]) -> payments.Order:
    conf, purpose = here.stack.settings, links.GIFT if row.gift else links.CHECKOUT
    # The same call under the same key must say the same, so the way back is made from the row and not from this click.
    back = links.url(conf, purpose, row.member_id, plan.key, now=row.created_at)
    customer, promotion = terms
    thanks_url = f"{conf.public_url}/thanks?session_id={{CHECKOUT_SESSION_ID}}"
    return payments.Order(row, plan, customer, thanks_url, back, promotion)


# --- afterwards


async def thanks(request: web.Request) -> web.Response:
    """What was bought and what happens next; the address proves nothing, changes nothing, and names nobody."""
    here = site.of(request)
    said = request.query.get("session_id", "")[:100]
    async with here.stack.db.reading() as session:
        row = await checkouts.of_session(session, said) if said else None
        bot = await billing.bot_name(session)
    plan = here.stack.catalogue.by_key.get(row.plan) if row else None
    return site.page(request, "thanks", bot=bot, bought=row if plan else None, plan=plan)
