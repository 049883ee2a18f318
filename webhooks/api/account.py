"""The caller's own affairs over the API: what they have, what was sent to them, and the way to pay."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import Field
from sqlalchemy import select

from core import access, models, sold
from core.billing import links, plans, subscriptions
from core.models import Delivery
from webhooks import choosing
from webhooks.api import frame, shapes

_LIFE = timedelta(hours=24)


class Page(frame.Shape):
    """From where on, and how many."""

    cursor: frame.Whole = Field(
        frame.LARGEST, ge=0, le=frame.LARGEST, description="`next` of the page before; newest first without it."
    )
    limit: frame.Whole = Field(50, ge=1, le=200, description="How many at most.")


class Order(frame.Shape):
    """What to subscribe to."""

    plan: str = Field(
        "", description="A plan's key; may be left out where only one plan is sold.", examples=["signals"],
        max_length=24, pattern=r"^[a-z0-9_-]*$",
    )  # fmt: skip
    period: Literal["month", "quarter", "year"] | None = Field(
        None, description="How long one payment shall last; the plan's first price without it."
    )
    currency: str = Field(
        "", description="Which money to pay with; that of the price without it.", examples=["USD"],
        pattern=r"^([A-Za-z]{3})?$",
    )  # fmt: skip
    seats: Annotated[int, Field(ge=1, le=1000), frame.INTEGER] | None = Field(
        None, description="For a team plan, how many seats; the fewest that are sold without it."
    )


class Holding(shapes.Form):
    """A plan that you have."""

    plan: str = Field(examples=["signals"])
    name: str = Field(examples=["Signals"])
    markets: list[str] | None = Field(description="The markets that it opens; null for every one.")
    until: datetime | None = Field(description="Null for a grant without end.")
    renews: bool
    status: str = Field(description="As the payment provider says it, or “granted”.", examples=["active"])
    source: str = Field(description="The payment provider, “operator”, “seat” or “gift”.", examples=["stripe"])
    by: str = Field(description="The first name of who pays for your seat or gave you the gift; empty otherwise.")


class Standing(shapes.Form):
    """What you have at this moment."""

    paying: bool
    plans: list[Holding]
    muted: bool = Field(description="Whether you have muted signals in private chats.")
    open_signals: int = Field(description="How many open signals your plans have.")


class Sent(shapes.Form):
    """Something that was to be sent to you; `state` as docs/delivery.md has it."""

    id: int
    kind: str = Field(description="opening, update, notice and so on.", examples=["opening"])
    platform: str = Field(examples=["telegram"])
    signal: int | None = Field(description="The number of the signal it is about.")
    event: str | None
    state: str = Field(examples=["sent"])
    created_at: datetime
    settled_at: datetime | None


class Deliveries(shapes.Form):
    """One page of what was sent to you, newest first."""

    deliveries: list[Sent]
    next: int | None = Field(description="What to ask for as `cursor` to get the next page; null on the last one.")


class Checkout(shapes.Form):
    """The page on which you can subscribe; opening it costs nothing and makes nothing."""

    url: str = Field(description="A signed link, the same that the chat gives; it is for you alone.")
    plan: str = Field(examples=["signals"])
    price: str = Field(examples=["29.00 USD / month"])
    expires_at: datetime


async def standing(call: frame.Call) -> frame.Reply:
    """What the caller has now."""
    stack = call.here.stack
    async with stack.db.reading() as session:
        found = await access.standing(session, call.caller.member_id, stack.catalogue, now=call.here.now)
    held = [
        Holding(
            plan=one.plan.key,
            name=one.plan.name,
            markets=sorted(one.plan.symbols) or None,
            until=one.until,
            renews=one.renews,
            status=one.status,
            source=one.source,
            by=one.by,
        )
        for one in found.holdings
    ]
    return frame.Reply(Standing(paying=found.paying, plans=held, muted=found.muted, open_signals=found.open_signals))


async def deliveries(call: frame.Call) -> frame.Reply:
    """One page of what was to be sent to the caller."""
    limit = call.query.limit
    mine = select(Delivery).where(Delivery.member_id == call.caller.member_id, Delivery.id < call.query.cursor)
    async with call.here.stack.db.reading() as session:
        found = (await session.scalars(mine.order_by(Delivery.id.desc()).limit(limit + 1))).all()
    shown = [_sent(row) for row in found[:limit]]
    return frame.Reply(Deliveries(deliveries=shown, next=shown[-1].id if len(found) > limit else None))


def _sent(row: Delivery) -> Sent:
    return Sent(
        id=row.id,
        kind=row.kind,
        platform=row.platform,
        signal=row.signal_id,
        event=row.event,
        state=str(row.state),
        created_at=row.created_at,
        settled_at=row.settled_at,
    )


async def checkout(call: frame.Call) -> frame.Reply:
    """A link to the page on which the caller can subscribe, made as the chat makes it."""
    stack, member = call.here.stack, call.caller.member_id
    async with stack.db.reading() as session:
        every = [choosing.purchasable(call.here, one) for one in await plans.offers(session, stack.catalogue)]
        on_offer = [one for one in every if one.prices]
        if not call.here.providers or not on_offer:
            raise frame.RefusalError(409, "not_selling", "Nothing can be bought now; ask the operator.")
        offer = _chosen(call.body.plan, on_offer)
        price, wish = _wished(call.body, offer)
        if await subscriptions.running(session, member, offer.plan.key):
            text = f"You subscribe to {offer.plan.name} already; /billing in the bot's private chat manages it."
            raise frame.RefusalError(409, "subscribed", text)
    url = links.checkout_url(stack.settings, member, offer.plan.key, now=call.here.now) + wish
    seat = " per seat" if offer.plan.seats else ""
    said = plans.words(price) + seat
    made = Checkout(url=url, plan=offer.plan.key, price=said, expires_at=call.here.now + _LIFE)
    return frame.Reply(made, 201, {"Location": url})


def _wished(order: Order, offer: plans.Offer) -> tuple[models.PlanPrice, str]:
    """The price that was asked for, and what the page's address must say so that it is chosen there."""
    unit = sold.CYCLES[order.period] if order.period else None
    fits = [
        price
        for price in offer.prices
        if (unit is None or (price.interval, price.interval_count) == unit)
        and (price.currency == order.currency.upper() or (not order.currency and price.main))
    ]
    if not fits:
        raise frame.RefusalError(404, "not_found", f"body: {offer.plan.name} costs {plans.summary(offer)}.")
    seats = offer.plan.seats
    if order.seats is not None and not (seats and seats.least <= order.seats <= seats.most):
        sells = f"{seats.least} to {seats.most} seats" if seats else "no seats"
        raise frame.RefusalError(404, "not_found", f"body.seats: {offer.plan.name} sells {sells}.")
    said = {"price": fits[0].price_id, "currency": fits[0].currency, "seats": order.seats}
    asked = order.period or order.currency or order.seats
    return fits[0], "?" + urlencode({name: value for name, value in said.items() if value}) if asked else ""


def _chosen(key: str, on_offer: list[plans.Offer]) -> plans.Offer:
    found = [one for one in on_offer if one.plan.key == key] or (on_offer if not key and len(on_offer) == 1 else [])
    if not found:
        known = ", ".join(one.plan.key for one in on_offer)
        raise frame.RefusalError(404, "not_found", f"body.plan: name one of the plans that are sold: {known}.")
    return found[0]


ENDPOINTS = (
    frame.Endpoint(
        method="GET",
        path="/api/v1/subscription",
        name="subscription_show",
        summary="What you have now, until when, and whether it renews",
        answer=standing,
        returns={200: Standing},
        paying=False,
        tag="account",
    ),
    frame.Endpoint(
        method="POST",
        path="/api/v1/stripe/checkout-session",
        name="checkout_session",
        summary="A link to the page on which you can subscribe",
        more="It works without a subscription. Nothing is charged before you confirm on the payment provider's page.",
        answer=checkout,
        body=Order,
        returns={201: Checkout},
        refusals={404: "No such plan is sold.", 409: "You have it already, or nothing can be bought now."},
        headers={"Location": "The page on which you can subscribe."},
        paying=False,
        tag="account",
    ),
    frame.Endpoint(
        method="GET",
        path="/api/v1/deliveries",
        name="deliveries_list",
        summary="What was sent to you, page by page",
        answer=deliveries,
        query=Page,
        returns={200: Deliveries},
        tag="account",
    ),
)
