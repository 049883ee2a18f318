"""Changing a plan: the page with the choices, what a choice costs before it is made, and the change itself.

Nothing is kept in between: what was shown comes back signed with the yes to it. Before the change is made the provider
is asked once more, so what was shown is what happens, or it is shown anew.
"""

from dataclasses import replace

import structlog
from aiohttp import web

from core import errors
from core.billing import changes, links
from webhooks import billing, changing, payments, site

log = structlog.get_logger()
_MEANWHILE = "Your subscription has changed meanwhile. Please choose again; nothing was changed now."
_AWAY = "Our payment provider does not answer at the moment. Nothing was changed. Please try again in a few minutes."
_UNKNOWN = (
    "Our payment provider did not answer in time, so we do not know yet whether the change was made. Please wait a "
    "minute and send /status to the bot before you try again; you are never charged twice for it."
)
_REFUSED = "Our payment provider does not make this change. Nothing was changed and nothing charged."


def add_to(app: web.Application) -> None:
    """The site has these pages."""
    app.router.add_get("/change/{token}", show)
    app.router.add_post("/change/{token}", choose)
    app.router.add_get("/change/{token}/done", done)
    app.router.add_get("/change/{token}/{shown}", check)
    app.router.add_post("/change/{token}/{shown}", confirm)


async def show(request: web.Request) -> web.Response:
    """What the member has and could have instead; looking at it changes nothing."""
    try:
        state = await changing.state_of(request)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    return changing.page(request, state)


async def choose(request: web.Request) -> web.Response:
    """The browser is shown what the choice costs, as the provider says now."""
    try:
        state = await changing.state_of(request)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    if state.row is None or state.fault:
        return changing.page(request, state)
    form = await request.post()
    said = {name: str(form.get(name, "")) for name in ("price", "seats")}
    try:
        await changing.reread(site.of(request), state.row)
        state = await changing.state_of(request)
    except (errors.SignalStackError, TimeoutError) as error:
        log.warning("change_not_read", error=str(error))
        return site.message(request, "Not now", _AWAY, status=503)
    try:
        offered = await changing.offer(request, state, said)
    except errors.RefusedError as error:
        return changing.page(request, state, said=said, fault=str(error), status=422)
    except (errors.SignalStackError, TimeoutError):
        return site.message(request, "Not now", _AWAY, status=503)
    return _shown(request, offered)


async def check(request: web.Request) -> web.Response:
    """What the change costs and what follows from it, as it was said a moment ago."""
    here = site.of(request)
    try:
        state, offered = await changing.agreed(request)
    except errors.RefusedError as error:
        return site.message(request, "Please choose again", str(error), status=403)
    facts = await changing.facts(here, state, offered) | {"again": "again" in request.query, "back": _back(request)}
    return site.page(request, "change", step="check", **facts)


async def confirm(request: web.Request) -> web.Response:
    """The subscription is what was shown, and what was shown is paid; or nothing has changed."""
    try:
        state, offered = await changing.agreed(request)
    except errors.RefusedError as error:
        return site.message(request, "Please choose again", str(error), status=403)
    row, asked = state.row, offered.change
    if row is None or row.id != offered.number or state.fault:
        return changing.page(request, state)
    if changing.chosen(row) == (asked.price_id, asked.quantity):
        return site.elsewhere(f"{_back(request)}/done")  # a second click
    if changing.chosen(row) != offered.before:
        return changing.page(request, state, fault=_MEANWHILE, status=409)
    return await _still(request, state, offered)


async def _still(request: web.Request, state: changing.State, offered: changes.Offered) -> web.Response:
    """The change is made if it costs what was shown; otherwise that is shown."""
    assert state.provider is not None  # noqa: S101 - without one the state has a fault
    try:
        quote = await state.provider.preview(offered.change)
    except (errors.SignalStackError, TimeoutError):
        return site.message(request, "Not now", _AWAY, status=503)
    if changing.amounts(quote) != changing.amounts(offered.quote):
        return _shown(request, replace(offered, quote=quote), again=True)
    return await _make(request, state, offered)


async def _make(request: web.Request, state: changing.State, offered: changes.Offered) -> web.Response:
    here, row = site.of(request), state.row
    assert row is not None  # noqa: S101 - the caller has looked
    assert state.provider is not None  # noqa: S101
    try:
        await state.provider.change(offered.change, offered.key)
    except payments.DeclinedError:
        portal = links.portal_url(here.stack.settings, state.member_id, now=here.now)
        return site.page(request, "change", step="declined", status=402, portal=portal)
    except errors.RefusedError as error:
        log.warning("change_refused", subscription=row.external_id, error=str(error))
        return site.message(request, "Nothing was changed", _REFUSED, status=409)
    except (errors.SignalStackError, TimeoutError) as error:
        log.warning("change_unclear", subscription=row.external_id, error=str(error))
        return site.message(request, "One moment", _UNKNOWN, status=503)
    log.info("subscription_changed", subscription=row.external_id, price=offered.change.price_id)
    try:
        await changing.reread(here, row)
    except (errors.SignalStackError, TimeoutError):  # an event or the sweep brings it
        log.warning("change_unread", subscription=row.external_id)
    return site.elsewhere(f"{_back(request)}/done")


async def done(request: web.Request) -> web.Response:
    """What the member has now; the address proves nothing and changes nothing."""
    try:
        ticket = await billing.ticket(request, links.CHANGE)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    here = site.of(request)
    async with here.stack.db.reading() as session:
        # The plan may be another one now than the link was made for.
        rows = await changes.changeable(session, ticket.member_id)
    mine = [(changing.plan_name(here, row.plan), row.quantity, changing.until(row)) for row in rows]
    return site.page(request, "change", step="done", mine=mine, manage=any(row.quantity > 1 for row in rows))


def _shown(request: web.Request, offered: changes.Offered, *, again: bool = False) -> web.Response:
    here = site.of(request)
    word = changes.sealed(here.stack.settings, offered, now=here.now)
    return site.elsewhere(f"{_back(request)}/{word}{'?again' if again else ''}")


def _back(request: web.Request) -> str:
    """The page on which something can be chosen."""
    return f"/change/{request.match_info['token']}"
