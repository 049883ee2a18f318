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
    plans = [f"{one.plan.name} ({_source(one)}) {ends(one.until)}" for one in held.holdings]
    return text.message(
        text.line(text.bold(f"Member {member.id}"), f", known since {figures.day(member.created_at)}"),
        *(f"· {people.numbered(one)}: {_account(one)}" for one in accounts),
        f"Plans: {', '.join(plans) or 'none'}{', muted' if held.muted else ''}",
        *(f"· {place(seat)}" for seat in seats),
        text.line("Latest deliveries:" if latest else "No deliveries yet."),
        *(_delivery(row) for row in latest[:_MOST]),
        buttons=[[text.Button("Why", data=f"/why {people.reference(first)}"), DESK]],
    )


DESK = text.Button("Operator's desk", data="/admin")


def _source(one: access.Holding) -> str:
    if one.source in {"seat", "gift"}:
        return f"{one.source}, paid by {one.by or 'a member without a name'}"
    return one.status


def ends(moment: datetime | None) -> str:
    """The end of something given: a moment, or none."""
    return f"until {figures.moment(moment)}" if moment else "without end"


def _account(one: models.Identity) -> str:
    chosen = "chosen" if one.route else "usual"
    blocked = f", takes no messages since {figures.moment(one.blocked_at)}" if one.blocked_at else ""
    return f"route {standing.route(one)} ({chosen}){blocked}"


def place(seat: places.Seat) -> str:
    """A place, whether the member may enter it, and whether they did."""
    may = "may enter" if seat.may else "may not enter"
    inside = "inside" if seat.inside else "asks to be let in" if seat.asked else "not inside"
    return f"{seat.place.name} ({people.platform(seat.place.platform)}): {may}, {inside}"


def _delivery(row: models.Delivery) -> str:
    about = f" #{row.signal_id}" if row.signal_id else ""
    name = str((row.payload or {}).get("name", "")) if row.kind == "notice" else ""
    what = " ".join(part for part in (row.kind, row.event or "", name) if part)
    reason = f" ({row.reason})" if row.reason else ""
    return f"· {row.id}: {what}{about}, {row.state}{reason}, {figures.moment(row.settled_at or row.created_at)}"


def plan_name(book: catalogue.Catalogue, key: str) -> str:
    """The plan by its name, or its key where the catalogue does not know it any more."""
    return book.by_key[key].name if key in book.by_key else f"{key or 'no plan'} (not in the catalogue)"


def granted(who: models.Identity, plan: catalogue.Plan, until: datetime | None) -> text.Message:
    """The member has the plan, and a button takes it back."""
    return text.message(
        text.line(text.bold(f"{people.numbered(who)} has {plan.name} {ends(until)}.")),
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
