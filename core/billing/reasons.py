"""Why a member has access or not: the facts that the decision rests on, and what is still to come.

The decision is worked out again by the rule that made it (`core.billing.rule`), so what is told is what counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, models, settings
from core.billing import dunning, errands, rule, seats, subscriptions

READ_WITHIN = timedelta(hours=6)
"""A running subscription is read again at the latest so long after it was read."""
_OVER = ("canceled", "incomplete_expired")


@dataclass(frozen=True, slots=True)
class Judged:
    """A subscription, what the rule makes of its last reading (None: too little was stored), and what comes next.

    `taken` are seats that others have; `next_charge` and `read_by` are None where nothing more comes.
    """

    row: models.Subscription
    verdict: rule.Verdict | None
    taken: int
    next_charge: datetime | None
    read_by: datetime | None

    @property
    def settled(self) -> bool:
        """Whether the stored decision is what the rule says now; a new setting counts from the next reading on."""
        return self.verdict is None or self.verdict.until == self.row.access_until


@dataclass(frozen=True, slots=True)
class Reasons:
    """Everything that a decision about one member rests on.

    `paying` are the subscriptions behind seats that were given to the member, by their number. `waiting` counts what
    providers told and was not worked off yet, `since` when the oldest of it came, `given_up` what was given up.
    """

    subscriptions: Sequence[Judged]
    grants: Sequence[models.Grant]
    paying: Mapping[int, models.Subscription]
    errands: Sequence[models.Errand]
    partner: models.Partner | None
    waiting: int
    since: datetime | None
    given_up: int


async def gather(session: AsyncSession, member_id: int, book: catalogue.Catalogue, *, grace_days: int) -> Reasons:
    """The facts about this member, as they are stored."""
    member = await session.get_one(models.Member, member_id)
    rows = await subscriptions.of_member(session, member_id)
    given = select(models.Grant).where(models.Grant.member_id == member_id).order_by(models.Grant.id.desc())
    grants = (await session.scalars(given)).all()
    payers = {grant.subscription_id for grant in grants if grant.subscription_id}
    paying = await session.scalars(select(models.Subscription).where(models.Subscription.id.in_(payers)))
    waiting, since, given_up = await _inbox(session)
    return Reasons(
        subscriptions=[await _judged(session, row, book, grace_days) for row in rows],
        grants=grants,
        paying={row.id: row for row in paying},
        errands=await errands.waiting(session, member_id),
        partner=await session.get(models.Partner, member.partner_id) if member.partner_id else None,
        waiting=waiting,
        since=since,
        given_up=given_up,
    )


async def _judged(
    session: AsyncSession, row: models.Subscription, book: catalogue.Catalogue, grace_days: int
) -> Judged:
    mine = (models.Grant.subscription_id == row.id, models.Grant.source == seats.SOURCE)
    taken = await session.scalar(select(func.count()).where(*mine, models.Grant.revoked_at.is_(None)))
    read_by = None if row.status in _OVER else row.read_at + READ_WITHIN
    return Judged(row, verdict(row, book, grace_days), taken or 0, dunning.next_charge(row), read_by)


def verdict(row: models.Subscription, book: catalogue.Catalogue, grace_days: int) -> rule.Verdict | None:
    """What the rule makes of the last reading; None for a row that was stored without one."""
    if not row.snapshot.get("read_at"):
        return None
    said = rule.Snapshot.from_dict(row.snapshot)
    return rule.judged(said, grace_days=grace_days, policy=book.policy, opens=bool(row.plan))


async def _inbox(session: AsyncSession) -> tuple[int, datetime | None, int]:
    """What did not come from a chat: how much waits, since when, and how much was given up."""
    table = models.Inbox
    mine = table.source.not_in(settings.PLATFORMS)
    open_ones = select(func.count(), func.min(table.received_at)).where(mine, table.state.in_(("pending", "claimed")))
    waiting, since = (await session.execute(open_ones)).one()
    dead = await session.scalar(select(func.count()).where(mine, table.state == "dead"))
    return waiting, since, dead or 0
