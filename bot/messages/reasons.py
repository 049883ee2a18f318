"""What an operator reads about a decision: why a member has access or not, fact by fact, and what comes next."""

from collections.abc import Sequence
from datetime import datetime

from bot.messages import figures, inquiry, people, text
from core import access, catalogue, models, places
from core.billing import plans, reasons

_ROWS = {
    "paid": "it is paid; the days of grace are added, because news of a renewal may be late",
    "trial": "free days; the days of grace are added, because news of the first charge may be late",
    "ending": "it is cancelled, so access ends exactly then, without grace",
    "unsaid": "the end of the period was not said, so it counts for a day (or the grace) after it was asked",
    "grace": "the last payment failed: the days of grace, from the beginning of the unpaid period on",
    "collection_paused": "collecting payments is paused",
    "pending": "the first payment is on its way",
    "refunded": "the latest payment was refunded",
    "disputed": "the latest payment is disputed",
    "trial_used": "free days were had before, by this person or with this card, and nothing is paid yet",
    "no_plan": "its price belongs to no plan",
}


def why(
    first: models.Identity,
    held: access.Standing,
    found: reasons.Reasons,
    seats: Sequence[places.Seat],
    book: catalogue.Catalogue,
    *,
    now: datetime,
) -> text.Message:
    """The decision about a member's access, each fact that it rests on, and what comes next."""
    names = sorted({holding.plan.name for holding in held.holdings})
    number = first.member_id
    return text.message(
        text.line(text.bold(f"Member {number} has {' and '.join(names)}." if names else "No access now.")),
        f"{people.numbered(first)}, decided for {figures.moment(now)}",
        *(line for one in found.subscriptions for line in _subscription(one, book, now)),
        *(f"· {_grant(row, found, book, now)}" for row in found.grants),
        *([] if found.subscriptions or found.grants else ["· No subscription and no grant was ever theirs."]),
        *(f"· {inquiry.place(one)}" for one in seats),
        *(["· Muted: no signals in private chats, by their own choice."] if held.muted else []),
        *([f"· Came by the partner {found.partner.name} ({found.partner.code})."] if found.partner else []),
        *(f"· {_errand(row)}" for row in found.errands),
        f"· {_inbox(found, now)}",
        "A subscription gives access until the moment that was worked out when the payment provider was last asked; a "
        "grant until its end or until it is revoked.",
        buttons=[[text.Button("Who", data=f"/who {people.reference(first)}"), inquiry.DESK]],
    )


def _subscription(one: reasons.Judged, book: catalogue.Catalogue, now: datetime) -> list[str]:
    row, until = one.row, one.row.access_until
    if until is None:
        gives = "gives no access"
    else:
        gives = f"{'gives access' if until > now else 'gave access'} until {figures.moment(until)}"
    cancelled = f", cancelled for {figures.moment(row.cancels_at)}" if row.cancels_at else ""
    return [
        f"· {inquiry.plan_name(book, row.plan)} by {row.external_id} ({row.status}) {gives}{cancelled}",
        f"  Because: {_because(one)}.",
        f"  {row.provider.capitalize()} said on {figures.moment(row.read_at)}: {_said(row)}.",
        *([f"  Seats: {row.quantity} paid for, {one.taken} given away."] if row.quantity > 1 else []),
        *_next(one, now),
    ]


def _because(one: reasons.Judged) -> str:
    row = one.row
    word = one.verdict.row if one.verdict else "" if row.plan else "no_plan"
    if not one.verdict:
        paused = "collection_paused" if row.snapshot.get("collection_paused") else ""
        word = word or str(row.snapshot.get("hold") or "") or paused
    said = _ROWS.get(word, "") or (f"the status is {row.status}" if word in {"", "over"} else word)
    if one.settled or one.verdict is None:
        return said
    new = f"until {figures.moment(one.verdict.until)}" if one.verdict.until else "no access"
    return f"{said}; by today's settings it would be {new}, which counts from the next answer on"


def _said(row: models.Subscription) -> str:
    """What the provider's answer was, in a few words."""
    said = row.snapshot
    cost = plans.every(row.amount, row.currency, row.interval, row.interval_count)
    parts = [row.status, *([cost] if cost else [])]
    begin, end = said.get("period_start"), said.get("period_end")
    if end:
        since = f"{figures.day(datetime.fromisoformat(begin))} – " if begin else "until "
        parts.append(f"period {since}{figures.moment_of(end)}")
    if card := said.get("card"):
        expires = said.get("card_expires")
        parts.append(f"{card} good until {expires}" if expires else str(card))
    marks = {
        "hold": f"held ({said.get('hold')})",
        "collection_paused": "collection paused",
        "action_required": "the bank wants a confirmation",
    }
    parts += [words for name, words in marks.items() if said.get(name)]
    if row.claims:
        parts.append(figures.counted(len(row.claims), "payment") + " ever taken back or disputed")
    return ", ".join(parts)


def _next(one: reasons.Judged, now: datetime) -> list[str]:
    if one.read_by is None:
        return []
    charge = f"charged on {figures.moment(one.next_charge)}; " if one.next_charge else ""
    late = "; that is overdue" if one.read_by < now else ""
    return [f"  Next: {charge}asked again by {figures.moment(one.read_by)} at the latest{late}."]


def _grant(row: models.Grant, found: reasons.Reasons, book: catalogue.Catalogue, now: datetime) -> str:
    kind = {"seat": f"seat {row.seat}", "gift": "gift"}.get(row.source, "")
    by = found.paying.get(row.subscription_id or 0)
    paid = f", paid by member {by.member_id} with {by.external_id} ({by.status})" if by else ""
    name = inquiry.plan_name(book, row.plan)
    what = f"{name} {kind and f'as {kind} '}given by {row.granted_by} on {figures.day(row.created_at)}{paid}"
    if row.revoked_at is not None:
        return f"{what}, revoked on {figures.moment(row.revoked_at)}{f' ({row.reason})' if row.reason else ''}"
    if row.until is not None and row.until <= now:
        return f"{what}, ended on {figures.moment(row.until)}"
    return f"{what}, valid {inquiry.ends(row.until)}"


_ACTS = {
    "cancel": "cancel",
    "refund": "give back the latest payment of",
    "end_trial": "end the free days of",
    "expire": "close the payment page",
}


def _errand(row: models.Errand) -> str:
    act = f"{row.provider.capitalize()} is to {_ACTS.get(row.act, row.act)} {row.target} ({row.why})"
    if row.state == "failed":
        return f"{act}: refused, {row.error}; please do it by hand there."
    tried = f", tried {figures.counted(row.attempts, 'time')} so far: {row.error}" if row.error else ""
    return f"{act}, asked on {figures.moment(row.created_at)}{tried}."


def _inbox(found: reasons.Reasons, now: datetime) -> str:
    lost = f" Given up: {found.given_up}; see the alarms." if found.given_up else ""
    if not found.waiting or found.since is None:
        return f"No event of a payment provider waits.{lost}"
    age = figures.age((now - found.since).total_seconds())
    return f"Events of payment providers that wait: {found.waiting}, the oldest for {age}.{lost}"
