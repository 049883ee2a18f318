"""What the pages about changing a plan know and show: whose subscription, what it can become, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from aiohttp import web

from core import errors, models
from core.billing import changes, links, plans, seats
from webhooks import billing, events, payments, site

log = structlog.get_logger()
_NOTHING = "You have no subscription that could be changed. Send /plans to the bot to see what there is."
_ELSEWHERE = "This subscription cannot be changed. You can cancel it, and subscribe to another plan when it has ended."
_GONE = "This price is not offered any more. Please choose one of those below."
_NOT_SHOWN = (
    "Our payment provider cannot make this change now. Please choose something else, or write to us in the chat."
)
_SAME = "This is what you have already. Please choose something else."


@dataclass(frozen=True, slots=True)
class State:
    """Whose subscription is looked at (None: there is none), what it can become, and why it cannot now."""

    member_id: int
    row: models.Subscription | None
    provider: payments.Changing | None
    choices: Sequence[models.PlanPrice]
    fault: str


async def state_of(request: web.Request) -> State:
    """What the link leads to; raises RefusedError for a link that is no good."""
    here = site.of(request)
    ticket = await billing.ticket(request, links.CHANGE)
    async with here.stack.db.reading() as session:
        rows = await changes.changeable(session, ticket.member_id)
        row = next((one for one in rows if one.plan == ticket.plan), rows[0] if rows else None)
        offers = await plans.offers(session, here.stack.catalogue)
    if row is None:
        return State(ticket.member_id, None, None, [], _NOTHING)
    provider = here.provider(row.provider)
    able = provider if isinstance(provider, payments.Changing) else None
    others = [one.plan for one in rows if one.id != row.id]
    fault = changes.refusal(row) if able else _ELSEWHERE
    return State(ticket.member_id, row, able, changes.choices(row, offers, others), fault)


async def agreed(request: web.Request) -> tuple[State, changes.Offered]:
    """The same, with what was shown before; raises RefusedError when that is too old or somebody else's."""
    here, state = site.of(request), await state_of(request)
    word = request.match_info["shown"]
    return state, changes.opened(here.stack.settings, word, state.member_id, now=here.now)


async def offer(request: web.Request, state: State, said: dict[str, str]) -> changes.Offered:
    """What the choice costs; raises RefusedError with one sentence when it cannot be had."""
    here, row = site.of(request), state.row
    if row is None or state.fault or state.provider is None:
        raise errors.RefusedError(state.fault or _NOTHING)
    price = next((one for one in state.choices if one.price_id == said["price"]), None)
    if price is None:
        raise errors.RefusedError(_GONE)
    quantity = changes.seats(here.stack.catalogue.by_key[price.plan], said["seats"])
    if (price.price_id, quantity) == chosen(row):
        raise errors.RefusedError(_SAME)
    change = changes.asked(row, price, quantity, now=here.now)
    try:
        quote = await state.provider.preview(change)
    except errors.RefusedError as error:  # its words are not for members
        log.warning("change_not_shown", subscription=row.external_id, error=str(error))
        raise errors.RefusedError(_NOT_SHOWN) from None
    return changes.Offered(state.member_id, row.id, chosen(row), change, quote)


def chosen(row: models.Subscription) -> tuple[str, int]:
    """The price and the quantity that the subscription has now."""
    return str(row.snapshot.get("price_id") or ""), row.quantity


def amounts(quote: changes.Quote) -> tuple[Any, ...]:
    """What must be the same when the member says yes; moments may move by seconds."""
    return quote.currency, quote.due, quote.credit, quote.cost, quote.left, quote.next_amount


async def reread(here: site.Site, row: models.Subscription) -> None:
    """The row says what the provider says now, and everything follows that follows from it."""
    provider = here.provider(row.provider)
    if provider is None:
        raise errors.UnreachableError("The provider is switched off.")
    reading = await events.read(here, provider, payments.Subject(subscription=row.external_id))
    async with here.stack.db.transaction() as session:
        await events.take(session, here, reading)
    events.ring(here)


def until(row: models.Subscription) -> datetime | None:
    """The end of the paid period, where the provider says it."""
    stated = row.snapshot.get("period_end")
    return datetime.fromisoformat(stated) if stated else None


def page(
    request: web.Request, state: State, *, said: dict[str, str] | None = None, fault: str = "", status: int = 200
) -> web.Response:
    """The page with the choices, or why there are none; with the sentence `fault` and what was `said` in vain."""
    here, row = site.of(request), state.row
    if row is None:
        return site.message(request, "Nothing to change", state.fault, status=404)
    book = here.stack.catalogue.by_key
    keys = dict.fromkeys(price.plan for price in state.choices)
    groups = [(book[key], [one for one in state.choices if one.plan == key]) for key in keys]
    team = [plan.seats for plan, _ in groups if plan.seats]
    return site.page(
        request,
        "change",
        status=status,
        step="choose",
        plan=plan_name(here, row.plan),
        row=row,
        price=_words(row),
        until=until(row),
        groups=[] if state.fault else groups,
        team=(min(one.least for one in team), max(one.most for one in team)) if team else None,
        chosen=(said or {}).get("price") or chosen(row)[0],
        seats=(said or {}).get("seats") or str(row.quantity),
        fault=fault or state.fault,
        portal=links.portal_url(here.stack.settings, state.member_id, now=here.now),
        amount=plans.amount,
        period=plans.period,
    )


async def facts(here: site.Site, state: State, offered: changes.Offered) -> dict[str, Any]:
    """What the page says of the change that was shown; raises nothing, for what is gone is said as it can be."""
    row, asked, quote = state.row, offered.change, offered.quote
    price = next((one for one in state.choices if one.price_id == asked.price_id), None)
    ending: list[str] = []
    if row is not None and asked.quantity < row.quantity:
        async with here.stack.db.reading() as session:
            team = await seats.team(session, row, now=here.now)
        ending = [_person(seat) for seat in team.seats[max(0, asked.quantity - 1) :]]
    return {
        "before": (plan_name(here, row.plan), _words(row), row.quantity) if row else None,
        "after": (plan_name(here, price.plan), plans.words(price), asked.quantity) if price else None,
        "total": plans.written(price.amount * asked.quantity, price.currency) if price else "",
        "quote": quote,
        "timing": asked.timing,
        "rest": quote.due - (quote.cost - quote.credit),
        "ending": ending,
        "money": lambda units: plans.written(units, quote.currency),
        "minutes": int(changes.VALID.total_seconds() // 60),
    }


def _person(seat: seats.Seat) -> str:
    name = next((one.name or one.username for one in seat.people if one.name or one.username), "") or "A member"
    return f"{name} (seat {seat.grant.seat}{f', {seat.note}' if seat.note else ''})"


def _words(row: models.Subscription) -> str:
    """What the subscription costs each period, as people say it; empty while the provider does not say it."""
    return plans.every(row.amount, row.currency, row.interval, row.interval_count)


def plan_name(here: site.Site, key: str) -> str:
    """What the plan is called, or its key where the catalogue does not know it any more."""
    plan = here.stack.catalogue.by_key.get(key)
    return plan.name if plan else key
