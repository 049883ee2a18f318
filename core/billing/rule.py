"""The one rule that turns what a payment provider said of a subscription into access. Pure: no clock, no database.

| row | what the provider says | access until |
|---|---|---|
| `paid`, `trial` | `active`, `trialing` | end of the paid period + grace, because the renewal may be told late |
| `ending` | the same, cancelled at period end or at a date | exactly that end, without grace |
| `unsaid` | the same, end of the period not said | one day (or the grace, if longer) after it was read |
| `grace` | `past_due` | beginning of the unpaid period + grace: a renewal that fails has advanced the period already |
| `collection_paused` | collection paused by the operator | none, unless `policy.paused_collection_keeps_access` |
| `pending` | first payment on its way (`hold`) | none |
| `refunded`, `disputed` | latest payment refunded in full, or any payment disputed (`hold`) | none |
| `trial_used` | free days, or a refused charge at their end, of who had free days before (`hold`) | none |
| `over` | `canceled`, `unpaid`, `incomplete`, `incomplete_expired`, `paused`, any other word | none |
| `no_plan` | anything, at a price that belongs to no plan | none |
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from core import catalogue

LIVE = ("active", "trialing", "past_due")
_UNSAID = timedelta(days=1)
_MOMENTS = ("period_start", "period_end", "cancel_at", "ended_at", "trial_end", "created_at", "read_at")


class Verdict(NamedTuple):
    """What a reading is worth: the first moment without access (None for no access), and the row that says so."""

    until: datetime | None
    row: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A subscription as the provider said at `read_at`, when the question was asked; all moments aware UTC."""

    provider: str
    external_id: str
    customer_id: str
    member_id: int | None
    price_id: str
    status: str
    period_start: datetime | None
    period_end: datetime | None
    cancel_at_period_end: bool | None
    """None when the provider does not say: then it is what it was, as long as `payment` is the same."""
    cancel_at: datetime | None
    ended_at: datetime | None
    trial_end: datetime | None
    collection_paused: bool
    hold: str
    """"" | "pending" | "refunded" | "disputed" | "trial_used"."""
    created_at: datetime
    read_at: datetime
    session_id: str = ""
    """The checkout session that led to it, when the reading began there."""
    plan: str = ""
    """What the price itself says it is for; asked only when the catalogue does not know the price."""
    item_id: str = ""
    """The provider's name for the line of the subscription that its price stands on."""
    quantity: int = 1
    amount: int | None = None
    currency: str = ""
    interval: str = ""
    interval_count: int = 1
    card: str = ""
    """How the member knows the card that will be charged: "Visa 4242"; empty for other ways to pay."""
    card_expires: str = ""
    """The last month of that card, as "2027-03"."""
    fingerprint: str = ""
    """The same for the same card, whoever shows it; never stored as it is."""
    action_required: bool = False
    """The bank wants the member to confirm the payment that is open."""
    claims: tuple[str, ...] = ()
    """Payments of it that were taken back or disputed, as far as this reading saw them."""
    payment: str = ""
    """The payment of this period, named by providers that do not say again what they told of it once."""

    def as_dict(self) -> dict[str, Any]:
        """The snapshot as JSON values, without what must not be stored."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
            if name != "fingerprint"
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The snapshot that `as_dict` wrote down; what was not yet known to an older version is as usual."""
        known = {name: value for name, value in stored.items() if name in cls.__slots__}
        moments = {name: datetime.fromisoformat(known[name]) if known.get(name) else None for name in _MOMENTS}
        return cls(**{**known, **moments, "claims": tuple(known.get("claims", ()))})


def judged(snapshot: Snapshot, *, grace_days: int, policy: catalogue.Policy, opens: bool = True) -> Verdict:
    """Until when the snapshot gives access, and by which row of the table above; no access for what it lacks.

    `opens`: whether its price belongs to a plan.
    """
    if not opens:
        return Verdict(None, "no_plan")
    if snapshot.hold:
        return Verdict(None, snapshot.hold)
    if snapshot.collection_paused and not policy.paused_collection_keeps_access:
        return Verdict(None, "collection_paused")
    grace = timedelta(days=grace_days)
    if snapshot.status in {"active", "trialing"}:
        verdict = _paid(snapshot, grace)
    elif snapshot.status == "past_due":
        verdict = Verdict((snapshot.period_start or snapshot.read_at) + grace, "grace")
    else:
        return Verdict(None, "over")
    end = cancels_at(snapshot)
    return Verdict(end, "ending") if end and verdict.until and end <= verdict.until else verdict


def access_until(
    snapshot: Snapshot, *, grace_days: int, policy: catalogue.Policy, opens: bool = True
) -> datetime | None:
    """The first moment without access, or None for no access."""
    return judged(snapshot, grace_days=grace_days, policy=policy, opens=opens).until


def _paid(snapshot: Snapshot, grace: timedelta) -> Verdict:
    trial = snapshot.status == "trialing"
    end = snapshot.period_end or (snapshot.trial_end if trial else None)
    if end is None:
        return Verdict(snapshot.read_at + max(grace, _UNSAID), "unsaid")
    return Verdict(end + grace, "trial" if trial else "paid")


def cancels_at(snapshot: Snapshot) -> datetime | None:
    """When the subscription ends because somebody wished it so; None while it goes on, and when it is over."""
    if snapshot.status not in LIVE:
        return None
    wishes = [snapshot.period_end if snapshot.cancel_at_period_end else None, snapshot.cancel_at]
    return min((wish for wish in wishes if wish is not None), default=None)


def completed(snapshot: Snapshot, before: dict[str, Any]) -> Snapshot:
    """What the provider does not say stays what it was.

    So the grace of an unpaid period, whose beginning is not said, has one end.
    """
    snapshot = _remembered(snapshot, before)
    if snapshot.status != "past_due" or snapshot.period_start is not None:
        return snapshot
    known = before.get("period_start")
    return replace(snapshot, period_start=datetime.fromisoformat(known) if known else snapshot.read_at)


def _remembered(snapshot: Snapshot, before: dict[str, Any]) -> Snapshot:
    """What was told once of a payment stays true of it: that it is the last one, until when it lasts."""
    if not snapshot.payment or snapshot.payment != before.get("payment"):
        return snapshot
    was = Snapshot.from_dict(before)
    ending = was.cancel_at_period_end if snapshot.cancel_at_period_end is None else snapshot.cancel_at_period_end
    snapshot = replace(snapshot, cancel_at_period_end=ending)
    if was.period_end and snapshot.period_end and was.period_end > snapshot.period_end:
        snapshot = replace(snapshot, period_end=was.period_end)
    if was.status == "canceled":
        return replace(snapshot, status=was.status, ended_at=was.ended_at)
    if ending and snapshot.status == "past_due":  # nobody wanted to pay again
        return replace(snapshot, status="canceled", ended_at=snapshot.period_end)
    if ending and snapshot.hold == "refunded":  # nothing is paid, and nothing more will be
        return replace(snapshot, status="canceled", ended_at=snapshot.read_at)
    return snapshot
