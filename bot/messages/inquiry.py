"""What an operator reads about one member: who they are, what they have and why, and what they were given."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from bot.messages import figures, people, standing, text
from core import access, catalogue, models, places

_MOST = 5


def who(
    member: models.Member,
    accounts: Sequence[models.Identity],
    held: access.Standing,
    seats: Sequence[places.Seat],
    latest: Sequence[models.Delivery],
) -> text.Message:
    """The member at a glance."""
    first = accounts[0]
    plans = [f"{one.plan.name} ({_source(one)}) {_until(one.until)}" for one in held.holdings]
    return text.message(
        text.line(text.bold(f"Member {member.id}"), f", known since {figures.day(member.created_at)}"),
        *(f"· {people.numbered(one)}: {_account(one)}" for one in accounts),
        f"Plans: {', '.join(plans) or 'none'}{', muted' if held.muted else ''}",
        *(f"· {_seat(seat)}" for seat in seats),
        text.line("Latest deliveries:" if latest else "No deliveries yet."),
        *(_delivery(row) for row in latest[:_MOST]),
        buttons=[[text.Button("Why", data=f"/why {people.reference(first)}"), _DESK]],
    )


_DESK = text.Button("Operator's desk", data="/admin")


def _source(one: access.Holding) -> str:
    if one.source in {"seat", "gift"}:
        return f"{one.source}, paid by {one.by or 'a member without a name'}"
    return one.status


def _until(moment: datetime | None) -> str:
    return f"until {figures.moment(moment)}" if moment else "without end"


def _account(one: models.Identity) -> str:
    chosen = "chosen" if one.route else "usual"
    blocked = f", takes no messages since {figures.moment(one.blocked_at)}" if one.blocked_at else ""
    return f"route {standing.route(one)} ({chosen}){blocked}"


def _seat(seat: places.Seat) -> str:
    may = "may enter" if seat.may else "may not enter"
    inside = "inside" if seat.inside else "asks to be let in" if seat.asked else "not inside"
    return f"{seat.place.name} ({people.platform(seat.place.platform)}): {may}, {inside}"


def _delivery(row: models.Delivery) -> str:
    about = f" #{row.signal_id}" if row.signal_id else ""
    name = str((row.payload or {}).get("name", "")) if row.kind == "notice" else ""
    what = " ".join(part for part in (row.kind, row.event or "", name) if part)
    reason = f" ({row.reason})" if row.reason else ""
    return f"· {row.id}: {what}{about}, {row.state}{reason}, {figures.moment(row.settled_at or row.created_at)}"


def why(
    member: models.Member,
    first: models.Identity,
    held: access.Standing,
    *,
    subscriptions: Sequence[models.Subscription],
    grants: Sequence[models.Grant],
    seats: Sequence[places.Seat],
    book: catalogue.Catalogue,
    now: datetime,
) -> text.Message:
    """The decision about a member's access, and each fact that it rests on."""
    names = sorted({holding.plan.name for holding in held.holdings})
    return text.message(
        text.line(text.bold(f"Member {member.id} has {' and '.join(names)}." if names else "No access now.")),
        f"{people.numbered(first)}, decided for {figures.moment(now)}",
        *(f"· {_subscription(row, book, now)}" for row in subscriptions),
        *(f"· {_grant(row, book, now)}" for row in grants),
        *([] if subscriptions or grants else ["· No subscription and no grant was ever theirs."]),
        *(f"· {_seat(seat)}" for seat in seats),
        *(["· Muted: no signals in private chats, by their own choice."] if held.muted else []),
        "A subscription gives access until the moment that was worked out when the payment provider was last asked; a "
        "grant until its end or until it is revoked.",
        buttons=[[text.Button("Who", data=f"/who {people.reference(first)}"), _DESK]],
    )


def _subscription(row: models.Subscription, book: catalogue.Catalogue, now: datetime) -> str:
    until = row.access_until
    if until is None:
        gives = f"gives no access: {_because(row)}"
    else:
        gives = f"{'gives access' if until > now else 'gave access'} until {figures.moment(until)}"
    cancelled = f", cancelled for {figures.moment(row.cancels_at)}" if row.cancels_at else ""
    known = _plan(book, row.plan)
    return f"{known} by {row.external_id} ({row.status}) {gives}{cancelled}; last asked {figures.moment(row.read_at)}"


def _because(row: models.Subscription) -> str:
    if not row.plan:
        return "its price belongs to no plan"
    holds = {
        "pending": "the first payment is on its way",
        "refunded": "the latest payment was refunded",
        "disputed": "the latest payment is disputed",
        "trial_used": "free days were had before, by this person or with this card, and nothing is paid yet",
    }
    if hold := row.snapshot.get("hold"):
        return holds.get(str(hold), str(hold))
    if row.snapshot.get("collection_paused"):
        return "collecting payments is paused"
    return f"the status is {row.status}"


def _grant(row: models.Grant, book: catalogue.Catalogue, now: datetime) -> str:
    kind = {"seat": f"seat {row.seat}", "gift": "gift"}.get(row.source, "")
    what = f"{_plan(book, row.plan)} {kind and f'as {kind} '}given by {row.granted_by} on {figures.day(row.created_at)}"
    if row.revoked_at is not None:
        return f"{what}, revoked on {figures.moment(row.revoked_at)}{f' ({row.reason})' if row.reason else ''}"
    if row.until is not None and row.until <= now:
        return f"{what}, ended on {figures.moment(row.until)}"
    return f"{what}, valid {_until(row.until)}"


def _plan(book: catalogue.Catalogue, key: str) -> str:
    return book.by_key[key].name if key in book.by_key else f"{key or 'no plan'} (not in the catalogue)"


def granted(who: models.Identity, plan: catalogue.Plan, until: datetime | None) -> text.Message:
    """The member has the plan, and a button takes it back."""
    return text.message(
        text.line(text.bold(f"{people.numbered(who)} has {plan.name} {_until(until)}.")),
        "They have been told, and get the open signals.",
        buttons=[
            [
                text.Button("Take it back", data=f"/revoke {people.reference(who)} {plan.key}"),
                text.Button("Who", data=f"/who {people.reference(who)}"),
            ]
        ],
    )


def revoked(who: models.Identity, plan: catalogue.Plan, ended: int, left: int | None, *, still: bool) -> text.Message:
    """Grants of the plan have ended; `left` are the days that the longest had still to run, None for no end."""
    if not ended:
        return text.message(
            f"{people.numbered(who)} has no grant of {plan.name}; nothing changed.",
            buttons=[[text.Button("Why", data=f"/why {people.reference(who)}")]],
        )
    days = f" {left}" if left is not None else ""
    return text.message(
        text.line(text.bold(f"{people.numbered(who)} has no grant of {plan.name} any more.")),
        "A paid subscription still opens it." if still else "They have been told.",
        buttons=[
            [
                text.Button("Give it again", data=f"/grant {people.reference(who)} {plan.key}{days}"),
                text.Button("Why", data=f"/why {people.reference(who)}"),
            ]
        ],
    )


def which_plan(plans: Iterable[str]) -> str:
    """The plan has to be named."""
    return f"Name one of the plans: {', '.join(sorted(plans))}."


DAYS_WRONG = "DAYS is a number from 1 to 3650."
