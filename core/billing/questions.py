"""Questions: some providers ask before they charge whether the payment is wanted, and wait for seconds only."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import leases, members, models
from core.billing import checkouts, subscriptions

UNKNOWN = "This offer is not known any more. Send /subscribe to the bot to get a new one."
OVER = "This offer is too old. Send /subscribe to the bot to get a new one."
ANOTHERS = (
    "This offer was made for another account. Send /subscribe to the bot to get one of your own, or /link if the other "
    "account is yours, too."
)
CHANGED = "The price has changed. Send /subscribe to the bot to see the new one."
BUSY = "This is being paid just now. Please look into the chat in a minute."
RUNNING = "You have a running subscription to this plan already. Send /status to the bot to see it."
_PROMISE = 60


@dataclass(frozen=True, slots=True)
class Question:
    """Whether `account` on `platform` may pay `amount` (smallest units) for the checkout of this session."""

    id: str
    session: str
    platform: str
    account: str
    amount: int
    currency: str


async def refusal(session: AsyncSession, provider: str, asked: Question, *, now: datetime) -> str:
    """Why the payment is not wanted, in one sentence for the one who pays; empty when it is.

    The account must belong to the member who asked for the checkout: whoever pays for another buys a gift, and asks for
    that. A checkout that was paid can be paid again once the subscription that came of it is over. A yes holds for a
    minute, in which nobody else gets one: the news of the payment is on its way then.
    """
    row = await checkouts.of_session(session, asked.session)
    if row is None or row.provider != provider:
        return UNKNOWN
    owner = await members.current(session, row.member_id)
    payer = await members.find(session, asked.platform, asked.account)
    if payer is None or payer.member_id != owner:
        return ANOTHERS
    if await _price(session, row) != (asked.amount, asked.currency.upper()):
        return CHANGED
    if not row.gift and await _runs(session, provider, owner, row.plan):
        return RUNNING
    again = row.state == "paid" and not row.gift
    if not again and (row.state != "open" or row.expires_at <= now):
        return OVER
    held = await leases.acquire(session, f"paying:{row.id}", asked.id[:64], ttl=_PROMISE, now=now)
    return BUSY if held is None else ""


async def _runs(session: AsyncSession, provider: str, member_id: int, plan: str) -> bool:
    """Whether the member has the plan; one that this provider could not renew is what they are about to pay."""
    rows = await subscriptions.running(session, member_id, plan)
    return any(row.status != "past_due" or row.provider != provider for row in rows)


async def _price(session: AsyncSession, row: models.Checkout) -> tuple[int, str] | None:
    """What the checkout costs now; None when it cannot be bought at that price any more."""
    table = models.PlanPrice
    currency = table.currency == row.currency.upper() if row.currency else table.main.is_(True)
    mine = select(table).where(table.provider == row.provider, table.price_id == row.price_id, currency)
    price = await session.scalar(mine.where(table.plan == row.plan))
    return (price.amount * row.quantity, price.currency) if price else None
