"""A whole copy of what we keep about a member, for the member: every row that is theirs or names them.

Rows are as they are stored, but for secrets (hashes of link codes, tokens) and the words of updates that other people
sent. Deliveries are many, so each is a short list; `columns` says what stands where.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import models
from core.models import Delivery, LinkRequest, Member, Place, Presence
from core.privacy import removal, traces

DELIVERY = ("id", "kind", "event", "signal", "account", "state", "planned", "seconds", "message", "place")
"""Planned: seconds since 1970 (UTC); seconds: from then to the end; account: its id; message: its id in the chat."""
COVERED = {
    "members": "member, earlier_members",
    "identities": "accounts",
    "subscriptions": "subscriptions",
    "customers": "customers",
    "grants": "grants",
    "checkouts": "checkouts",
    "gifts": "gifts",
    "invitations": "invitations",
    "errands": "errands",
    "backtests": "backtests",
    "api_keys": "api_keys",
    "hooks": "hooks",
    "presences": "places",
    "link_requests": "link_requests",
    "audit": "record_of_operators",
    "deliveries": "deliveries, notices, answers",
    "inbox": "updates_and_events",
}
"""Every table that can hold something about a member, and where it stands in the copy."""
IMPERSONAL = frozenset(
    {
        "alarms",
        "alerts",
        "candles",
        "figures",
        "heartbeats",
        "identifies",
        "incidents",
        "leases",
        "markets",
        "partners",
        "place_plans",
        "places",
        "plan_prices",
    }
    | {"record_entries", "rounds", "scan_marks", "signal_events", "signals", "switches", "trials", "uploads", "uptimes"}
)
"""Tables that hold nothing about one member but, at most, the member's number or an operator's own."""


async def copy(session: AsyncSession, member_id: int, *, now: datetime) -> dict[str, Any]:
    """Everything as JSON values. The words of answers that were sent are dropped first, so they are not kept either."""
    who = await traces.person(session, member_id)
    await removal.drop_answers(session, traces.deliveries(who))
    member = await session.get_one(Member, member_id)
    before = (await session.scalars(select(Member).where(Member.merged_into == member_id))).all()
    return {
        "written": now.isoformat(),
        "member": _row(member),
        "earlier_members": _rows(before),
        "accounts": _rows(who.accounts),
        **await _owned(session, member_id),
        "places": await _places(session, who),
        "link_requests": await _links(session, who),
        "record_of_operators": _rows(await traces.audited(session, who)),
        **await _deliveries(session, who),
        "updates_and_events": await _told(session, who),
    }


_OTHERS_WORDS = {"token", "reply_to_message", "external_reply", "quote", "forward_origin", "pinned_message"}


def _rows(rows: Iterable[Any], *left_out: str) -> list[dict[str, Any]]:
    return [_row(row, *left_out) for row in rows]


def _row(row: Any, *left_out: str) -> dict[str, Any]:
    names = [column.key for column in row.__table__.columns if column.key not in left_out]
    return {name: _value(getattr(row, name)) for name in names}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


async def _owned(session: AsyncSession, member_id: int) -> dict[str, Any]:
    tables = (
        models.Subscription,
        models.Customer,
        models.Grant,
        models.Checkout,
        models.Gift,
        models.Invitation,
        models.Errand,
        models.Backtest,
        models.ApiKey,
        models.Hook,
    )
    found = {}
    for table in tables:
        rows = await session.scalars(
            select(table).where(table.member_id == member_id).order_by(*table.__table__.primary_key)
        )
        found[table.__tablename__] = _rows(rows, "hash", "code_hash")
    return found


async def _places(session: AsyncSession, who: traces.Person) -> list[dict[str, Any]]:
    here = [
        and_(Place.platform == account.platform, Presence.external_id == account.external_id)
        for account in who.accounts
    ]
    rows = await session.scalars(
        select(Presence).join(Place, Place.key == Presence.place).where(or_(*here)).order_by(Presence.id)
    )
    return _rows(rows)


async def _links(session: AsyncSession, who: traces.Person) -> list[dict[str, Any]]:
    mine = [account.id for account in who.accounts]
    rows = await session.scalars(
        select(LinkRequest)
        .where(or_(LinkRequest.identity_id.in_(mine), LinkRequest.other_id.in_(mine)))
        .order_by(LinkRequest.id)
    )
    return _rows(rows, "code_hash")


async def _deliveries(session: AsyncSession, who: traces.Person) -> dict[str, Any]:
    rows = (await session.scalars(select(Delivery).where(traces.deliveries(who)).order_by(Delivery.id))).all()
    said = [row for row in rows if row.payload is not None]
    return {
        "deliveries": {"columns": DELIVERY, "rows": [_delivery(row) for row in rows]},
        "notices": [[row.id, row.payload] for row in said if row.kind != "reply"],
        "answers": [[row.id, _words(row.payload)] for row in said if row.kind == "reply"],
    }


def _delivery(row: Delivery) -> list[Any]:
    seconds = round((row.settled_at - row.created_at).total_seconds()) if row.settled_at else None
    who, when = row.identity_id, int(row.created_at.timestamp())
    return [row.id, row.kind, row.event, row.signal_id, who, row.state, when, seconds, row.message_id, row.place]


def _words(payload: dict[str, Any] | None) -> Sequence[str]:
    """The lines of an answer without their formatting."""
    lines: Collection[Any] = ((payload or {}).get("message") or {}).get("lines") or ()
    return ["".join(str(span[0]) for span in line) for line in lines]


async def _told(session: AsyncSession, who: traces.Person) -> list[dict[str, Any]]:
    return [
        {**_row(row, "body"), **({"body": _without_others(said)} if _theirs(row, said, who) else {})}
        for row, said in await traces.told(session, who)
    ]


def _without_others(said: Any) -> Any:
    """What was said, without the words of others that an update repeats: what is answered, or bears a pressed button.

    Nor with what would let its reader speak in our name for a while (the token of a question on Discord).
    """
    if isinstance(said, dict):
        pressed = {"message"} if "chat_instance" in said or "component_type" in (said.get("data") or ()) else set()
        left_out = _OTHERS_WORDS | pressed
        return {name: _without_others(value) for name, value in said.items() if name not in left_out}
    return [_without_others(value) for value in said] if isinstance(said, list) else said


def _theirs(row: models.Inbox, said: Any, who: traces.Person) -> bool:
    platforms = {account.platform for account in who.accounts}
    return row.source not in platforms or traces.sent_by(said, who)
