"""The worker's side of the outbox: claim what is due, begin, settle; and recover what dead workers held.

`sending` is committed just before the platform is called. When a worker dies, its claimed rows return freely, and its
sending rows are ambiguous: nobody knows whether the message arrived. Every write of a worker names the epoch of its
claim, so one that was asleep changes nothing. What follows an attempt is decided in `core.delivery.outcomes`.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast

import orjson
from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    String,
    Table,
    UpdateBase,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core import db, models
from core.columns import Utc
from core.delivery import outcomes
from core.models import Delivery, State

_TABLE = cast("Table", Delivery.__table__)
"""Rows are written past the ORM, which would look at each of them for objects that no worker holds."""
NOW = bindparam("claimed_at", type_=Utc())
"""Stands for the moment of the claim in a condition that is used for many claims."""
_LIMIT, _UNTIL = bindparam("claimed_most", type_=Integer()), bindparam("claimed_until", type_=Utc())
UNSETTLED = (State.PENDING, State.CLAIMED, State.SENDING)
ARRIVED = (State.SENT, State.AMBIGUOUS)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed delivery; `epoch` proves the claim, `reply_to` is the platform's id of the message it answers.

    `tried_at` is when the first attempt began that had no clear end, None when there was none.
    """

    id: int
    epoch: int
    kind: str
    event: str | None
    address: str
    signal_id: int | None
    payload: dict[str, Any] | None
    attempts: int
    ambiguities: int
    plain: bool
    after_id: int | None
    place: str | None
    created_at: datetime
    tried_at: datetime | None
    reply_to: str | None = None
    request: str | None = None

    @property
    def nonce(self) -> str:
        """24 characters that are this delivery's alone, also among those of an earlier database, at every attempt."""
        name = f"{self.id} {self.created_at.isoformat()}".encode()
        return base64.b32encode(hashlib.sha256(name).digest()).decode()[:24]


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a parcel's attempt ended, and the platform's id of the message when it was sent."""

    parcel: Parcel
    step: outcomes.Step
    message_id: str | None = None


async def claim(
    session: AsyncSession,
    platform: str,
    *,
    now: datetime,
    lease: float,
    limit: int,
    entitled: ColumnElement[bool],
    urgent: bool | None = None,
) -> list[Parcel]:
    """Up to `limit` due deliveries are ours for `lease` seconds, most urgent first.

    `urgent` asks for answers to people only, or for everything but them.

    A row that must not be sent any more is ended in the same statement: too old, its opening never arrived, its chat
    is blocked, or (openings and doors) `entitled`, a condition over the delivery's columns, no longer holds. An empty
    answer means that nothing is due. A condition that says NOW for the moment of the claim can be given again and
    again; the statement is then built once.
    """
    taking = _taking(platform, entitled, urgent)
    given = {NOW.key: now, _LIMIT.key: limit, _UNTIL.key: now + timedelta(seconds=lease)}
    while True:
        rows = (await session.execute(taking, given)).mappings().all()
        mine = sorted((r for r in rows if r["state"] == State.CLAIMED), key=lambda r: (r["priority"], r["id"]))
        if mine or not rows:
            break
        await _expire(session, platform, now)  # at once, because behind an outage there may be very many of them
    answered = await _message_ids(session, {row["after_id"] for row in mine if row["after_id"] is not None})
    return [Parcel(**{c.key: row[c.key] for c in _COLUMNS}, reply_to=answered.get(row["after_id"])) for row in mine]


_COLUMNS = [_TABLE.c[name] for name in Parcel.__slots__ if name != "reply_to"]
NOT_ENTITLED = "not entitled when it was to be sent"
_REFUSALS = (
    (State.EXPIRED, "too old to be sent"),
    (State.EXPIRED, "its opening never arrived"),
    (State.BLOCKED, "the chat does not take our messages"),
    (State.EXPIRED, NOT_ENTITLED),
)


@lru_cache(maxsize=16)
def _taking(platform: str, entitled: ColumnElement[bool], urgent: bool | None) -> UpdateBase:
    """The statement that claims or ends each due row; building it costs more than executing it."""
    due = _due(platform, NOW, _LIMIT, entitled, urgent)
    states = {number: state.value for number, (state, _) in enumerate(_REFUSALS)}
    reasons = {number: reason for number, (_, reason) in enumerate(_REFUSALS)}
    return (
        update(_TABLE)
        .where(_TABLE.c.id == due.c.id, _TABLE.c.state == State.PENDING.value)
        .values(
            state=case(states, value=due.c.refusal, else_=State.CLAIMED.value),
            reason=case(reasons, value=due.c.refusal, else_=""),
            settled_at=case((due.c.refusal >= 0, NOW), else_=None),
            epoch=_TABLE.c.epoch + 1,
            lease_until=_UNTIL,
        )
        .returning(_TABLE.c.state, _TABLE.c.priority, *_COLUMNS)
    )


def _due(
    platform: str,
    now: datetime | BindParameter[datetime],
    limit: int | BindParameter[int],
    entitled: ColumnElement[bool],
    urgent: bool | None,
) -> CTE:
    """The next rows that nobody else is taking, each with the number of its refusal, or -1."""
    opening = aliased(Delivery)
    arrived = select(opening.state).where(opening.id == Delivery.after_id).scalar_subquery()
    # Whoever may have seen an opening, because an attempt had no clear end, hears how it ended.
    doubts = select(opening.ambiguities).where(opening.id == Delivery.after_id).scalar_subquery()
    next_ones = (
        select(Delivery.id)
        .where(Delivery.platform == platform, Delivery.state == State.PENDING, Delivery.not_before <= now)
        .where(or_(Delivery.after_id.is_(None), and_(arrived.not_in(UNSETTLED), ~_waits_for_earlier())))
        .order_by(Delivery.priority, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Delivery)
    )
    if urgent is not None:
        next_ones = next_ones.where(Delivery.priority == 0 if urgent else Delivery.priority > 0)
    refused = (
        Delivery.expires_at <= now,
        and_(Delivery.after_id.is_not(None), arrived.not_in(ARRIVED), doubts == 0),
        exists().where(models.Identity.id == Delivery.identity_id, models.Identity.blocked_at.is_not(None)),
        and_(Delivery.kind.in_(("opening", outcomes.DOOR)), ~entitled),
    )
    # Each step is worked out once: PostgreSQL may repeat a sub-select that locks, which then takes more than its
    # limit, and would ask every question about every waiting row if it were asked before the limit.
    locked = next_ones.cte("locked").prefix_with("MATERIALIZED")
    refusal = case(*((when, number) for number, when in enumerate(refused)), else_=-1)
    # As a sub-select of one row: told of all rows at once, PostgreSQL reads the whole tables of members, identities and
    # subscriptions for each claim, instead of looking up the few that are asked for.
    asked = select(refusal).where(Delivery.id == locked.c.id).scalar_subquery().label("refusal")
    return select(locked.c.id, asked).cte("due").prefix_with("MATERIALIZED")


def _waits_for_earlier() -> ColumnElement[bool]:
    """Whether an earlier answer to the same message is still on its way: of two updates, that one goes first."""
    sibling = aliased(Delivery)
    return exists().where(sibling.after_id == Delivery.after_id, sibling.id < Delivery.id, sibling.state.in_(UNSETTLED))


async def _expire(session: AsyncSession, platform: str, now: datetime) -> None:
    state, reason = _REFUSALS[0]
    late = select(Delivery.id).where(
        Delivery.platform == platform, Delivery.state == State.PENDING, Delivery.expires_at <= now
    )
    free = late.with_for_update(skip_locked=True).cte("late")
    ended = update(Delivery).where(Delivery.id == free.c.id)
    await db.execute(session, ended.values(state=state, reason=reason, settled_at=now))


async def _message_ids(session: AsyncSession, ids: set[int]) -> dict[int | None, str]:
    if not ids:
        return {}
    rows = await session.execute(
        select(Delivery.id, Delivery.message_id).where(Delivery.id.in_(ids), Delivery.message_id.is_not(None))
    )
    return {row.id: row.message_id for row in rows}


async def begin(session: AsyncSession, parcels: Sequence[Parcel], *, now: datetime, lease: float) -> set[int]:
    """These parcels are `sending`; says which of them are still ours (the others must not be sent)."""
    if not parcels:
        return set()
    given = _given(session, [(parcel, None) for parcel in parcels])
    rows = await session.execute(
        update(_TABLE)
        .where(_TABLE.c.id == given.c.id, _TABLE.c.epoch == given.c.epoch, _TABLE.c.state == State.CLAIMED.value)
        .values(
            state=State.SENDING.value,
            lease_until=now + timedelta(seconds=lease),
            tried_at=func.coalesce(_TABLE.c.tried_at, literal(now, Utc())),
        )
        .returning(_TABLE.c.id)
    )
    return set(rows.scalars())


async def release(session: AsyncSession, parcels: Sequence[Parcel], *, not_before: datetime) -> None:
    """These claimed parcels are pending again, for any worker, from `not_before` on."""
    claimed = update(Delivery).where(_ours(parcels), Delivery.state == State.CLAIMED)
    await db.execute(session, claimed.values(state=State.PENDING, lease_until=None, not_before=not_before))


def _ours(parcels: Iterable[Parcel]) -> ColumnElement[bool]:
    pairs = [(parcel.id, parcel.epoch) for parcel in parcels]
    these = Delivery.id.in_([number for number, _ in pairs])  # of pairs alone SQLite looks through the whole table
    return and_(these, tuple_(Delivery.id, Delivery.epoch).in_(pairs)) if pairs else false()


async def settle(session: AsyncSession, settlements: Sequence[Settlement], *, now: datetime) -> None:
    """Each sending parcel is in its next state; those that another worker has taken over are left alone."""
    alike: dict[tuple[tuple[str, Any], ...], list[tuple[Parcel, str | None]]] = {}
    for one in settlements:  # nearly all of them have been sent at the first attempt: one statement for these
        alike.setdefault(tuple(_settled(one.step, now).items()), []).append((one.parcel, one.message_id))
    for values, parcels in alike.items():
        given = _given(session, parcels)
        await session.execute(
            update(_TABLE)
            .where(_TABLE.c.id == given.c.id, _TABLE.c.epoch == given.c.epoch, _TABLE.c.state == State.SENDING.value)
            .values(**dict(values), **_kept(values), lease_until=None, message_id=given.c.message_id)
        )


def _kept(values: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """An answer that has arrived is not kept: it may say what only its reader should know, such as a new key."""
    if dict(values)["state"] != State.SENT.value:
        return {}
    return {"payload": case((_TABLE.c.kind == "reply", null()), else_=_TABLE.c.payload)}


def _settled(step: outcomes.Step, now: datetime) -> dict[str, Any]:
    pending = step.state is State.PENDING
    return {
        "state": step.state.value,
        "reason": step.reason[:300],
        "not_before": step.not_before if pending and step.not_before else now,
        "attempts": step.attempts,
        "ambiguities": step.ambiguities,
        "plain": step.plain,
        "settled_at": None if pending else now,
        # The first attempt without a clear end is remembered for as long as the message may be sent again.
        **({} if pending and step.ambiguities else {"tried_at": None}),
    }


def _given(session: AsyncSession, rows: Sequence[tuple[Parcel, str | None]]) -> FromClause:
    """These parcels as a table (id, epoch, message_id), so that a statement about many is as short as about one."""
    if session.get_bind().dialect.name == "postgresql":
        arrays = (
            literal([parcel.id for parcel, _ in rows], ARRAY(BigInteger)),
            literal([parcel.epoch for parcel, _ in rows], ARRAY(Integer)),
            literal([message_id for _, message_id in rows], ARRAY(String)),
        )
        return func.unnest(*arrays).table_valued("id", "epoch", "message_id").render_derived(name="given")
    listed = orjson.dumps([(parcel.id, parcel.epoch, message_id) for parcel, message_id in rows]).decode()
    each = func.json_each(listed).table_valued("value").c.value
    names = enumerate(("id", "epoch", "message_id"))
    return select(*(func.json_extract(each, f"$[{place}]").label(name) for place, name in names)).subquery("given")
