"""A member about whom everything is known that can be known, in words that are easy to find again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select

from core import db, inbox, linking, members, models, places
from core.delivery import outbox
from core.models import Base, Delivery, Identity, State
from tests.core import people
from tests.core.test_places import HALL, VIP

DAY = timedelta(days=1)
BOOK = people.BOOK.model_copy(update={"places": (VIP, HALL)})
PERSONAL = ("700123456", "811222333444555666", "canary", "Bird", "friend of Bob")
AT_PROVIDER = ("cus_kept", "sub_kept", "cs_kept")
NOW_NOBODY = "somebody else entirely"


@dataclass(frozen=True, slots=True)
class Canary:
    """The member's two accounts."""

    telegram: Identity
    discord: Identity

    @property
    def member_id(self) -> int:
        """Their number."""
        return self.telegram.member_id


async def settle_in(database: db.Database, now: datetime, *, charged: bool = False) -> Canary:
    """The canary has used everything there is; their subscription is cancelled unless `charged`."""
    async with database.transaction() as session:
        await places.sync(session, BOOK, now=now)
        here = await _arrive(session, "telegram", PERSONAL[0], now)
        there = await _arrive(session, "discord", PERSONAL[1], now)
        there.member_id = here.member_id
        await _paid(session, here.member_id, now, charged=charged)
        await _records(session, here, now)
        await _told(session, now)
        await linking.offer(session, here, now=now)
        vip = await session.get_one(models.Place, "vip")
        await places.seen(session, vip, here.external_id, inside=True, now=now)
    await _messages(database, here, now)
    return Canary(here, there)


async def _arrive(session: Any, platform: str, number: str, now: datetime) -> Identity:
    name = {"address": number, "name": "Canary Bird", "username": "canary_bird"}
    return await members.arrive(session, platform, number, **name, now=now)


async def _paid(session: Any, member_id: int, now: datetime, *, charged: bool) -> None:
    end = now + 30 * DAY
    row = {"external_id": "sub_kept", "customer_id": "cus_kept", "cancels_at": None if charged else end}
    await people.subscription(session, member_id, end, **row)
    session.add(models.Customer(provider="stripe", external_id="cus_kept", member_id=member_id))
    session.add(
        models.Grant(member_id=member_id, plan="ether", reason="friend of Bob", granted_by="cli", created_at=now)
    )
    page = {"plan": "all", "provider": "stripe", "session_id": "cs_kept", "url": "https://pay.example/canary"}
    session.add(
        attempt := models.Checkout(member_id=member_id, state="open", created_at=now, expires_at=now + DAY, **page)
    )
    await session.flush()
    bought = {"plan": "all", "interval": "month", "interval_count": 1, "amount": 2900, "currency": "USD"}
    bought |= {"payment_id": "pi_kept", "status": "paid", "created_at": now, "read_at": now}
    session.add(gift := models.Gift(member_id=member_id, checkout_id=attempt.id, **bought))
    await session.flush()
    code = {"code_hash": "1" * 64, "note": "canary's friend", "created_at": now, "expires_at": now + DAY}
    session.add(models.Invitation(member_id=member_id, gift_id=gift.id, **code))
    errand = {"key": "cancel:sub_kept", "provider": "stripe", "act": "cancel", "target": "sub_kept", "state": "done"}
    session.add(models.Errand(member_id=member_id, why="paid twice", created_at=now, not_before=now, **errand))
    asked = {"key": "canary:1", "platform": "telegram", "address": "700123456", "request": {"symbol": "BTC/USDT"}}
    session.add(models.Backtest(member_id=member_id, created_at=now, **asked))
    key = {"name": "canary's laptop", "prefix": "abcdefgh", "hash": "0" * 64}
    session.add(models.ApiKey(member_id=member_id, created_at=now, **key))
    session.add(models.Hook(member_id=member_id, url="https://canary.example/", created_at=now, not_before=now))


async def _records(session: Any, who: Identity, now: datetime) -> None:
    """What operators did about them, and one try of theirs."""
    for actor, details in (
        ("telegram:1", {"name": "who", "argument": f"telegram:{who.external_id}", "chat": "1"}),
        ("telegram:1", {"name": "why", "argument": "@Canary_Bird", "chat": "1"}),
        ("telegram:1", {"name": "who", "argument": who.external_id, "chat": "1"}),
        (f"telegram:{who.external_id}", {"name": "admin", "argument": "", "chat": who.external_id}),
        ("cli:root", {"member": who.member_id, "plan": "ether"}),
        ("telegram:1", {"name": "who", "argument": "@canary_birds", "chat": "1"}),
    ):
        session.add(models.Audit(at=now, actor=actor, action="command", details=details))


async def _told(session: Any, now: datetime) -> None:
    """What the chats and the provider told us: theirs, about them, and of somebody else."""
    theirs = {"message": {"from": {"id": 700123456, "first_name": "Canary"}, "text": "my canary is ill"}}
    about = {"chat_member": {"from": {"id": 1, "first_name": "Boss"}, "new": {"user": {"id": 700123456}}}}
    other = {"message": {"from": {"id": 5, "first_name": "Eve"}, "text": NOW_NOBODY}}
    items = [("telegram", "1", theirs), ("telegram", "2", about), ("telegram", "3", other)]
    items += [("discord", "4", {"user": {"id": "811222333444555666"}, "name": "Canary Bird", "token": "t0ken"})]
    items += [("stripe", "5", {"data": {"object": {"customer": "cus_kept", "email": "canary@bird.example"}}})]
    for source, number, body in items:
        await inbox.put(session, source, number, "update", orjson.dumps(body), now=now)
        for item in await inbox.claim(session, source, now=now, lease=60):
            await inbox.done(session, item)
    await inbox.put(session, "telegram", "6", "update", orjson.dumps(theirs), now=now)


async def _messages(database: db.Database, who: Identity, now: datetime) -> None:
    """A signal that was sent, and a notice and two answers, of which one waits."""
    async with database.transaction() as session:
        await people.publish(session, now)
        facts = {"account": {"name": "Canary Bird"}}
        await outbox.tell(session, who.member_id, "accounts_linked", facts, key="told", now=now)
        for key in ("sent", "waits"):
            message = {"message": {"lines": [[["Your canary", "", "", False]]], "buttons": [], "picture": False}}
            await outbox.reply(session, "telegram", who.address, message["message"], key=key, now=now)
    sent = select(Delivery).where((Delivery.key == "sent") | (Delivery.kind == "opening"))
    async with database.transaction() as session:
        for row in await session.scalars(sent):
            row.state, row.settled_at, row.message_id = State.SENT, now, "77"


async def everything(database: db.Database) -> str:
    """The whole database as text."""
    said = []
    async with database.reading() as session:
        for table in Base.metadata.sorted_tables:
            for row in await session.execute(select(table)):
                said += [f"{table.name}.{key}={_text(value)}" for key, value in row._mapping.items()]
    return "\n".join(said)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)
