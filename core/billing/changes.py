"""Changing a running subscription: what can be chosen, from when it counts, and what was shown before it is done.

| the new choice | counts | what is charged |
|---|---|---|
| costs more, or as much, each period of the same length | `now` | at once, the difference for the rest of the period |
| a period of another length | `now` | at once, the new period; what is left of the old one is credited |
| costs less each period of the same length | `later` | nothing now; what is left is credited on the next charges |
| anything, during free days | `trial` | nothing now; the new price from the end of the free days |
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import itsdangerous
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, errors, models, settings
from core.billing import links, plans, subscriptions
from core.delivery import outbox

Timing = Literal["now", "later", "trial"]
Standing = tuple[str, str, int]
"""The plan, the price and the quantity of a subscription."""
VALID = timedelta(minutes=10)
"""How long what was shown may be agreed to."""
AGAIN = "What was shown is too old by now. Please choose again; nothing was changed."


@dataclass(frozen=True, slots=True)
class Change:
    """The subscription (all ids are the provider's) gets this price and quantity, counted from `at`."""

    subscription: str
    item: str
    price_id: str
    quantity: int
    timing: Timing
    at: datetime


@dataclass(frozen=True, slots=True)
class Quote:
    """What the provider says a change costs, all in the currency's smallest unit.

    `due` is charged at once. `credit` is given for unused time, `cost` asked for the new choice (of the rest of this
    period, or of a whole new one). `left` stays as credit for later charges. `next_amount` is the next charge, where
    the provider says it, at `next_at`.
    """

    currency: str
    due: int = 0
    credit: int = 0
    cost: int = 0
    left: int = 0
    next_amount: int | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Offered:
    """What a member has agreed to when they confirm: which change of whose subscription, and what it was said to cost.

    `number` is our own of the subscription; `before` its price and quantity when it was shown.
    """

    member_id: int
    number: int
    before: tuple[str, int]
    change: Change
    quote: Quote

    @property
    def key(self) -> str:
        """The key under which the provider makes this change once, however often it is asked."""
        asked = self.change
        return f"change-{self.number}-{asked.price_id}-{asked.quantity}-{asked.at.timestamp():.0f}"


async def changeable(session: AsyncSession, member_id: int, plan: str = "") -> Sequence[models.Subscription]:
    """The member's subscriptions that go on being charged, newest first; those to `plan` only, if it is named."""
    rows = await subscriptions.of_member(session, member_id)
    return [row for row in rows if row.status in subscriptions.LIVE and plan in {"", row.plan}]


def refusal(row: models.Subscription) -> str:
    """Why the subscription cannot be changed now, as one sentence for the member; empty when it can."""
    if row.status == "past_due":
        return (
            "The last payment is still open. Please pay it in the billing portal first; then you can change the plan."
        )
    if row.cancels_at is not None:
        return (
            "You have cancelled this subscription. Undo that in the billing portal first; then you can change the plan."
        )
    if row.snapshot.get("hold") or row.snapshot.get("collection_paused"):
        return "This subscription cannot be changed at the moment. Send /paysupport to the bot, and we will help you."
    if not row.snapshot.get("item_id") or not row.currency:
        return "This subscription cannot be changed here. You can cancel it, and subscribe anew when it has ended."
    return ""


def choices(row: models.Subscription, offers: Sequence[plans.Offer], running: Sequence[str]) -> list[models.PlanPrice]:
    """The prices that this subscription can have, its own included: same provider, same currency.

    A plan that the member pays for with another subscription (`running`) is left out.
    """
    return [
        price
        for offer in offers
        for price in offer.prices
        if price.provider == row.provider
        and price.currency == row.currency
        and (offer.plan.key == row.plan or offer.plan.key not in running)
    ]


def others(row: models.Subscription, offers: Sequence[plans.Offer], running: Sequence[str]) -> bool:
    """Whether there is anything else that this subscription could become."""
    there = choices(row, offers, [plan for plan in running if plan != row.plan])
    team = {offer.plan.key for offer in offers if offer.plan.seats}
    return any(price.price_id != row.snapshot.get("price_id") or price.plan in team for price in there)


def seats(plan: catalogue.Plan, said: str) -> int:
    """How many people the plan is for; raises RefusedError for a number that it is not sold for."""
    if plan.seats is None:
        return 1
    number = int(said) if said.isascii() and said.isdigit() and len(said) <= 6 else 0
    if not plan.seats.least <= number <= plan.seats.most:
        raise errors.RefusedError(f"Please choose between {plan.seats.least} and {plan.seats.most} seats.")
    return number


def asked(row: models.Subscription, price: models.PlanPrice, quantity: int, *, now: datetime) -> Change:
    """The change of this subscription to that price and quantity, as the table above says when it counts."""
    item, at = str(row.snapshot.get("item_id") or ""), now.replace(microsecond=0)
    return Change(row.external_id, item, price.price_id, quantity, _timing(row, price, quantity), at)


def _timing(row: models.Subscription, price: models.PlanPrice, quantity: int) -> Timing:
    if row.status == "trialing":
        return "trial"
    same_length = (row.interval, row.interval_count) == (price.interval, price.interval_count)
    less = price.amount * quantity < (row.amount or 0) * row.quantity
    return "later" if same_length and less else "now"


# --- what became another one


def before(row: models.Subscription) -> Standing | None:
    """What the subscription is until a reading is applied to its row; None for one that is new."""
    return _standing(row) if row.snapshot.get("price_id") else None


def _standing(row: models.Subscription) -> Standing:
    return row.plan, str(row.snapshot.get("price_id") or ""), row.quantity


async def tell(
    session: AsyncSession, row: models.Subscription, was: Standing | None, book: catalogue.Catalogue, *, now: datetime
) -> None:
    """The member has heard that their subscription became another one, wherever that was done."""
    stays = was is None or was == _standing(row) or not row.plan or row.member_id is None
    if stays or row.status not in subscriptions.LIVE or row.member_id is None:
        return
    facts = {
        "plan": book.by_key[row.plan].name if row.plan in book.by_key else row.plan,
        "price": plans.every(row.amount, row.currency, row.interval, row.interval_count),
        "seats": row.quantity,
    }
    key = f"changed:{row.id}:{now.timestamp():.3f}"
    await outbox.tell(session, row.member_id, "plan_changed", facts, key=key, now=now)


# --- what was shown, signed: the page that shows it keeps nothing


def sealed(conf: settings.Settings, offered: Offered, *, now: datetime) -> str:
    """What was shown, as a word that only we can have written."""
    shown = asdict(offered)
    shown["change"]["at"] = int(offered.change.at.timestamp())
    shown["quote"]["next_at"] = int(offered.quote.next_at.timestamp()) if offered.quote.next_at else None
    return links.signed(conf, _SEAL, shown, now=now)


def opened(conf: settings.Settings, word: str, member_id: int, *, now: datetime) -> Offered:
    """What was shown to this member; raises RefusedError when it is too old or was not shown to them."""
    try:
        shown: dict[str, Any] = links.unsigned(conf, _SEAL, word, life=VALID, now=now)
        change, quote = shown.pop("change"), shown.pop("quote")
        change["at"] = datetime.fromtimestamp(change["at"], UTC)
        quote["next_at"] = datetime.fromtimestamp(quote["next_at"], UTC) if quote["next_at"] else None
        before = (str(shown["before"][0]), int(shown["before"][1]))
        found = Offered(**{**shown, "before": before, "change": Change(**change), "quote": Quote(**quote)})
    except (itsdangerous.BadData, ValueError, TypeError, KeyError):
        raise errors.RefusedError(AGAIN) from None
    if found.member_id != member_id:
        raise errors.RefusedError(AGAIN)
    return found


_SEAL = "change shown"
