"""The twelve kinds of people as rows in a real database; each has a name and a number that are nobody else's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, linking, members, models
from core.billing import subscriptions
from core.privacy import removal
from tests.rights import market, table

FIRST = {"telegram": 5_100_000_001, "discord": 880_000_000_000_000_001}
OPERATORS = {platform: number - 1 for platform, number in FIRST.items()}
"""The operator's numbers, which the settings name before anybody is there."""
OTHER = {"telegram": "discord", "discord": "telegram"}
DAY = timedelta(days=1)
TARGET = "target"
"""Somebody who is in no matrix: operators' commands are about them."""
FRESH = (table.STRANGER, table.DELETED)
"""Who is somebody else with every line, because after the first they would be known."""
_STATES: dict[str, dict[str, Any]] = {
    table.TRIAL: {"status": "trialing", "begun": 2, "ends": 5},
    table.PAYING: {"status": "active", "begun": 10, "ends": 20},
    table.PAST_DUE: {"status": "past_due", "begun": 1, "ends": 29},
    table.LAPSED: {"status": "canceled", "begun": 40, "ends": -10},
    table.ANONYMOUS: {"status": "active", "begun": 10, "ends": 20},
    table.LINKED: {"status": "active", "begun": 10, "ends": 20},
    table.DELETED: {"status": "canceled", "begun": 40, "ends": -10},
}
"""The subscription of each, in days from now."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account on one platform."""

    kind: str
    platform: str
    number: int
    name: str

    @property
    def signs(self) -> frozenset[str]:
        """By which words and numbers they are recognised; small letters."""
        return frozenset({self.name.lower(), str(self.number)})

    @property
    def address(self) -> str:
        return f"@{self.number}" if self.platform == "discord" else str(self.number)


class Cast:
    """Who is who in one scene; people are numbered in the order in which they come."""

    def __init__(self, platform: str) -> None:
        self.platform = platform
        self.everybody: list[Person] = []
        self.now: dict[str, Person] = {}
        """Who plays each part at the moment."""
        self.waiting: dict[str, list[Person]] = {kind: [] for kind in FRESH}
        """Who will play the parts that somebody else plays with every line."""

    def play(self, kind: str, *, platform: str = "") -> Person:
        """Somebody new plays this part."""
        where = platform or self.platform
        name = "Canary" + "".join(filter(str.isalpha, kind)).capitalize() + f"{len(self.everybody):04}x"
        number = OPERATORS[where] if kind == table.OPERATOR else FIRST[where] + len(self.everybody)
        person = Person(kind, where, number, name)
        self.everybody.append(person)
        if where == self.platform:
            self.now[kind] = person
        return person

    def signs(self) -> dict[str, frozenset[str]]:
        """The signs of everybody who ever played, by their names."""
        return {person.name: person.signs for person in self.everybody}


async def meet(session: AsyncSession, person: Person, now: datetime) -> models.Identity:
    """We know the person, who has written to us."""
    named = {"name": person.name, "username": person.name.lower(), "address": person.address}
    return await members.arrive(session, person.platform, str(person.number), **named, now=now)


async def subscribe(
    session: AsyncSession, person: Person, member_id: int, book: catalogue.Catalogue, now: datetime
) -> None:
    """The provider has said of the person what their kind implies, as billing reads it."""
    said = _STATES[person.kind]
    begun, ends = now - said["begun"] * DAY, now + said["ends"] * DAY
    more = {"hold": "", "collection_paused": False, "cancel_at_period_end": False, "cancel_at": None}
    more |= {"ended_at": None, "trial_end": ends if said["status"] == "trialing" else None}
    snapshot = subscriptions.Snapshot(
        provider="stripe",
        external_id=f"sub_{person.name}",
        customer_id=f"cus_{person.name}",
        member_id=member_id,
        price_id=market.ALL.price_id,
        status=said["status"],
        period_start=begun,
        period_end=ends,
        created_at=begun,
        read_at=now,
        **more,
    )
    await subscriptions.apply(session, snapshot, book, grace_days=3, now=now)


async def fill(session: AsyncSession, cast: Cast, book: catalogue.Catalogue, now: datetime, *, lines: int) -> None:
    """Everybody is known and has what their kind has; those who are new with each of these lines wait."""
    for kind in FRESH:
        cast.waiting[kind] = [cast.play(kind) for _ in range(lines)]
    for kind in (*(actor for actor in table.ACTORS if actor not in FRESH), TARGET):
        person = cast.play(kind)
        if kind == table.BOT:
            continue
        who = await meet(session, person, now)
        if kind == table.LINKED:
            await _link(session, cast, who, book, now)
        elif kind in _STATES:
            await subscribe(session, person, who.member_id, book, now)
        await access.reconcile(session, who.member_id, book, now=now)


async def _link(
    session: AsyncSession, cast: Cast, second: models.Identity, book: catalogue.Catalogue, now: datetime
) -> None:
    """The account is the second one of somebody who pays with their first, on the other platform."""
    payer = cast.play(table.LINKED, platform=OTHER[cast.platform])
    first = await meet(session, payer, now)
    await subscribe(session, payer, first.member_id, book, now)
    code = await linking.offer(session, first, now=now)
    pair = await linking.use(session, second, code, now=now)
    for side in (first, second):
        await linking.answer(session, side, pair.request.id, book, yes=True, now=now)
    await session.refresh(second)


async def renew(session: AsyncSession, cast: Cast, book: catalogue.Catalogue, now: datetime, *, gone: bool) -> None:
    """Somebody whom nobody knows is the stranger from now on, and when `gone`, another deleted member the deleted."""
    cast.now[table.STRANGER] = cast.waiting[table.STRANGER].pop(0)
    if gone:
        cast.now[table.DELETED] = left = cast.waiting[table.DELETED].pop(0)
        who = await meet(session, left, now)
        await subscribe(session, left, who.member_id, book, now)
        await removal.remove(session, who.member_id, now=now)
