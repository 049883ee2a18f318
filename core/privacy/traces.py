"""Where a person appears in rows that are not their own: in kept updates and events, in the operators' records."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Text, and_, cast, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import members
from core.models import Audit, Checkout, Customer, Delivery, Gift, Identity, Inbox, Subscription

_SENDERS = ("from", "author", "user")


@dataclass(frozen=True, slots=True)
class Person:
    """Everything by which a member is recognised here, on the chats and at the payment provider."""

    member_id: int
    accounts: Sequence[Identity]
    provider_ids: Sequence[str] = field(default_factory=list)

    @property
    def numbers(self) -> list[str]:
        """The platforms' numbers of the accounts."""
        return [account.external_id for account in self.accounts]

    @property
    def signs(self) -> list[str]:
        """What shows that a text is about them: numbers of accounts, ids at the provider."""
        return [*self.numbers, *self.provider_ids]


async def person(session: AsyncSession, member_id: int) -> Person:
    """The member with all accounts and ids."""
    ids: list[str] = []
    for column, table in (
        (Customer.external_id, Customer),
        (Subscription.external_id, Subscription),
        (Checkout.session_id, Checkout),
        (Gift.payment_id, Gift),
    ):
        rows = await session.scalars(select(column).where(table.member_id == member_id, column.is_not(None)))
        ids += [str(row) for row in rows]
    return Person(member_id, await members.identities(session, member_id), sorted(set(ids)))


def deliveries(who: Person) -> ColumnElement[bool]:
    """The condition that a delivery goes to one of their accounts, or is an act about them at a door."""
    mine = [
        and_(
            Delivery.platform == account.platform,
            Delivery.address.in_([account.address, f"door:{account.external_id}"]),
        )
        for account in who.accounts
    ]
    return or_(Delivery.identity_id.in_([account.id for account in who.accounts]), *mine)


async def told(session: AsyncSession, who: Person) -> list[tuple[Inbox, Any]]:
    """Kept items of the inbox that mention them, oldest first, with what their bodies say as JSON (or as text)."""
    body = Inbox.body
    if session.get_bind().dialect.name == "postgresql":
        text = func.encode(body, "escape")
        found = [func.strpos(text, sign) > 0 for sign in who.signs]
    else:
        found = [func.instr(body, literal(sign.encode())) > 0 for sign in who.signs]
    if not found:
        return []
    rows = await session.scalars(select(Inbox).where(body.is_not(None), or_(*found)).order_by(Inbox.id))
    read = [(row, _read(row.body or b"")) for row in rows]
    return [(row, said) for row, said in read if _mentions(said, who.signs)]


def _read(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")


def _mentions(said: Any, signs: Collection[str]) -> bool:
    match said:
        case dict():
            return any(_mentions(value, signs) for value in said.values())
        case list():
            return any(_mentions(value, signs) for value in said)
        case str() if len(said) > 40:
            return any(sign in said for sign in signs)
        case _:
            return str(said) in signs


def sent_by(said: Any, who: Person) -> bool:
    """Whether this is what they did themselves, rather than what somebody else did about them."""
    if not isinstance(said, dict):
        return False
    for name in _SENDERS:
        if name in said:
            sender = said[name]
            number = sender.get("id") if isinstance(sender, dict) else sender
            return str(number) in who.numbers
    return any(sent_by(value, who) for value in said.values() if isinstance(value, dict))


async def audited(session: AsyncSession, who: Person) -> list[Audit]:
    """What the operators' record says of them or by them, oldest first."""
    said = func.lower(cast(Audit.details, Text))
    words = [word.lower() for account in who.accounts for word in (account.external_id, account.username) if word]
    numbered = [f'"{name}":{space}{who.member_id}' for name in ("member", "from") for space in ("", " ")]
    by_them = Audit.actor.in_([*_actors(who), f"member:{who.member_id}"])
    about = or_(by_them, *(said.contains(word, autoescape=True) for word in [*words, *numbered]))
    rows = await session.scalars(select(Audit).where(about).order_by(Audit.id))
    return [row for row in rows if _concerns(row, who)]


def _actors(who: Person) -> list[str]:
    return [f"{account.platform}:{account.external_id}" for account in who.accounts]


def _concerns(row: Audit, who: Person) -> bool:
    if row.actor in {*_actors(who), f"member:{who.member_id}"}:
        return True
    if who.member_id in {row.details.get("member"), row.details.get("from")}:
        return True
    return without_names(row.details, who) != row.details


def without_names(details: dict[str, Any], who: Person) -> dict[str, Any]:
    """The details with the member's number wherever one of their accounts or names stood."""
    called = f"member:{who.member_id}"
    clean = dict(details)
    for account in who.accounts:
        number = re.escape(account.external_id)
        spelt = rf"(?<![\w:])({account.platform}:)?{number}(?!\w)"
        if account.username:
            spelt += rf"|@?(?<!\w){re.escape(account.username)}(?!\w)"
        for name, value in clean.items():
            if isinstance(value, str):
                clean[name] = re.sub(spelt, called, value, flags=re.IGNORECASE)
    return clean


def actor_without_name(actor: str, who: Person) -> str:
    """The actor, or the member's number where it was one of their accounts."""
    return f"member:{who.member_id}" if actor in _actors(who) else actor
