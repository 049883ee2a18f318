"""X10: what is kept about a member can be had whole, and goes when they want it gone."""

import json
import time
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from core import access, db, errors, health, inbox, members, models, places, rights
from core.delivery import outcomes
from core.models import Base, Delivery, Identity, Member, Presence, State
from core.privacy import kept, removal
from tests.core import canary, people

DAY = timedelta(days=1)


async def copy(database: db.Database, member_id: int, now: datetime) -> dict[str, object]:
    async with database.transaction() as session:
        return await kept.copy(session, member_id, now=now)


async def remove(database: db.Database, member_id: int, now: datetime) -> object:
    async with database.transaction() as session:
        return await removal.remove(session, member_id, now=now)


async def sweep(database: db.Database, now: datetime) -> int:
    async with database.transaction() as session:
        return await removal.sweep(session, before=now - DAY, now=now)


async def put_out(database: db.Database, now: datetime) -> list[str]:
    """Everybody who is to leave a place has left it; who that was."""
    rows = await people.deliveries(database, Delivery.kind == outcomes.DOOR, Delivery.state == State.PENDING)
    for row in rows:
        async with database.transaction() as session:
            here = await session.get_one(Delivery, row.id)
            here.state, here.settled_at = State.SENT, now
            await session.flush()
            await places.ended(session, row.id, row.event or "", people.SENT, final=True, now=now)
    return [row.payload["user"] for row in rows if row.payload]


async def test_x10_a_copy_has_everything(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)

    found = await copy(database, who.member_id, now)

    said = json.dumps(found)
    for sign in (*canary.PERSONAL, *canary.AT_PROVIDER, "https://pay.example/canary", "my canary is ill"):
        assert sign in said, sign
    assert canary.NOW_NOBODY not in said
    assert "Boss" not in said  # what others did is named, in their words it is theirs
    assert "canary_birds" not in said
    assert set(found) >= {name for names in kept.COVERED.values() for name in names.split(", ")}
    assert all(
        found[name] for names in kept.COVERED.values() for name in names.split(", ") if name != "earlier_members"
    )


async def test_x10_a_copy_keeps_no_answers_that_were_sent_and_no_code(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)

    found = await copy(database, who.member_id, now)

    assert [words for _, words in found["answers"]] == [["Your canary"]]  # type: ignore[attr-defined]
    async with database.reading() as session:
        row = (await session.scalars(select(Delivery).where(Delivery.key == "sent"))).one()
        assert (row.payload, row.address) == (None, f"removed:{row.id}")
        code = await session.scalar(select(models.LinkRequest.code_hash))
    assert code not in json.dumps(found)
    assert "t0ken" not in json.dumps(found)
    assert {"user": {"id": "811222333444555666"}, "name": "Canary Bird"} in [
        row.get("body")
        for row in found["updates_and_events"]  # type: ignore[attr-defined]
    ]


def test_x10_every_table_is_known_to_be_about_members_or_not() -> None:
    """A new table has to be put on one of the two lists, and what is about a member into the copy and the removal."""
    tables = set(Base.metadata.tables)

    assert set(kept.COVERED) | kept.IMPERSONAL == tables
    assert not set(kept.COVERED) & kept.IMPERSONAL


async def test_x10_a_copy_of_years_is_made_within_a_minute(sqlite_database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(sqlite_database, now)
    async with sqlite_database.transaction() as session:
        rows = {"kind": "opening", "priority": 2, "platform": "telegram", "address": who.telegram.address}
        rows |= {"identity_id": who.telegram.id, "member_id": who.member_id, "state": "sent", "settled_at": now}
        session.add_all(Delivery(**rows, not_before=now, created_at=now - n * DAY) for n in range(8000))
        body = json.dumps({"message": {"from": {"id": 5}, "text": "x" * 300}}).encode()
        for n in range(2000):
            await inbox.put(session, "telegram", f"old{n}", "message", body, now=now)

    began = time.monotonic()
    found = await copy(sqlite_database, who.member_id, now)

    assert time.monotonic() - began < 20
    assert len(found["deliveries"]["rows"]) > 8000  # type: ignore[index]


async def test_x10_nothing_personal_is_left_but_what_the_law_wants(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)
    pending = {State.PENDING, State.CLAIMED}

    chats = await remove(database, who.member_id, now)

    assert chats == [("telegram", "700123456"), ("discord", "811222333444555666")]
    assert await put_out(database, now) == ["700123456"]
    await sweep(database, now + 2 * DAY)
    async with database.transaction() as session:
        held = await session.scalars(select(models.Inbox.event_id).where(models.Inbox.body.is_not(None)))
        assert set(held) == {"3", "6"}  # another person's, and what they wrote after that, which is a new person's
        for item in await inbox.claim(session, "telegram", now=now, lease=60):
            await inbox.done(session, item)
        await inbox.forget(session, before=now + DAY)
    left = (await canary.everything(database)).replace("@canary_birds", "another")
    assert {sign for sign in canary.PERSONAL if sign in left} == set()
    assert {sign for sign in canary.AT_PROVIDER if sign in left} == set(canary.AT_PROVIDER)
    assert canary.NOW_NOBODY not in left
    async with database.reading() as session:
        assert (await session.get_one(Member, who.member_id)).deleted_at == now
        paid = (await session.scalars(select(models.Subscription))).one()
        assert (paid.member_id, paid.status) == (who.member_id, "active")
        assert await session.scalar(select(models.Grant.revoked_at)) == now
        states = set(await session.scalars(select(Delivery.state).where(Delivery.kind != outcomes.DOOR)))
        assert not states & pending


async def test_x10_the_record_of_operators_names_the_members_number(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)

    await remove(database, who.member_id, now)

    async with database.reading() as session:
        rows = (await session.scalars(select(models.Audit).order_by(models.Audit.id))).all()
    called = f"member:{who.member_id}"
    assert [row.details.get("argument") for row in rows[:3]] == [called] * 3
    assert (rows[3].actor, rows[3].details["chat"]) == (called, called)
    assert rows[4].details == {"member": who.member_id, "plan": "ether"}
    assert rows[5].details["argument"] == "@canary_birds"
    assert (rows[-1].actor, rows[-1].action) == (called, "member_removed")


async def test_x10_whoever_writes_again_is_somebody_new(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)
    await remove(database, who.member_id, now)

    async with database.transaction() as session:
        back = await members.arrive(
            session, "telegram", "700123456", address="700123456", name="Canary Bird", username=None, now=now
        )
        assert back.member_id != who.member_id
        assert back.id not in {who.telegram.id, who.discord.id}
        assert await rights.plans_of(session, back.member_id, now=now) == set()
        vip = await session.get_one(models.Place, "vip")
        planned = await places.asked(session, vip, back.external_id, now=now)
        assert not planned


async def test_x10_nothing_is_removed_while_something_is_charged(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now, charged=True)

    with pytest.raises(errors.RefusedError, match="cancelled first"):
        await remove(database, who.member_id, now)

    async with database.transaction() as session:
        assert [row.external_id for row in await removal.charged(session, who.member_id)] == ["sub_kept"]
        await session.execute(update(models.Subscription).values(status="canceled"))
        await session.execute(update(models.Checkout).values(state="pending"))
    with pytest.raises(errors.RefusedError, match="cancelled first"):
        await remove(database, who.member_id, now)
    assert "Canary Bird" in await canary.everything(database)


async def test_x10_what_is_just_being_sent_is_not_tried_again(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)
    parcels = await people.claim(database, now)
    begun = [parcel for parcel in parcels if parcel.kind == "notice"]
    await people.begin(database, begun, now)

    await remove(database, who.member_id, now)

    assert await people.begin(database, [parcel for parcel in parcels if parcel not in begun], now) == set()
    for parcel in begun:
        await people.settle(database, parcel, outcomes.NotSent("the platform is away", after=1.0), now)
    later = now + timedelta(hours=1)
    assert [parcel for parcel in await people.claim(database, later) if parcel.kind != outcomes.DOOR] == []


async def test_x10_others_keep_what_is_theirs(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        other = await people.payer(session, now)
    who = await canary.settle_in(database, now)
    before = await people.deliveries(database, Delivery.identity_id == other.id)

    await remove(database, who.member_id, now)
    await sweep(database, now + 2 * DAY)

    after = await people.deliveries(database, Delivery.identity_id == other.id)
    assert [(row.id, row.state, row.address) for row in after] == [(row.id, row.state, row.address) for row in before]
    async with database.reading() as session:
        assert (await session.get_one(Identity, other.id)).name == other.name
        assert await rights.plans_of(session, other.member_id, now=now) == {"all"}
        standing = await access.standing(session, other.member_id, people.BOOK, now=now)
        assert standing.paying


async def test_x10_the_sweep_forgets_answers_and_strangers_of_yesterday(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)
    async with database.transaction() as session:
        vip = await session.get_one(models.Place, "vip")
        for number in ("31337", "31338"):
            await places.seen(session, vip, number, inside=number == "31338", kept=True, now=now)

    assert await sweep(database, now) == 0
    assert await sweep(database, now + DAY + timedelta(seconds=1)) == 2
    async with database.reading() as session:
        seen = set(await session.scalars(select(Presence.external_id).where(Presence.place == "vip")))
        waits = await session.scalar(select(func.count()).where(Delivery.key == "waits", Delivery.payload.is_not(None)))
        asked = await session.scalar(select(func.count()).select_from(models.LinkRequest))
    assert {"31338", who.telegram.external_id} <= seen
    assert "31337" not in seen
    assert (waits, asked) == (1, 1)
    assert await sweep(database, now + 2 * DAY) == 1


async def test_x10_a_charge_without_a_member_is_an_alarm(database: db.Database, now: datetime) -> None:
    who = await canary.settle_in(database, now)
    await remove(database, who.member_id, now)
    async with database.transaction() as session:  # they paid on a page that was still open
        await people.subscription(session, who.member_id, now + 30 * DAY, external_id="sub_ghost")

    await sweep(database, now + DAY)

    async with database.reading() as session:
        alarms = (await health.report(session, now=now)).alarms
    assert [alarm.key for alarm in alarms] == ["charged_without_member:sub_ghost"]


def test_x10_a_copy_holds_nothing_that_others_said() -> None:
    answered = {"message": {"text": "/status", "from": {"id": 7}, "reply_to_message": {"text": "SECRET-OF-BOB"}}}
    pressed = {"callback_query": {"id": "1", "chat_instance": "-5", "data": "/plans", "message": {"text": "SECRET"}}}
    clicked = {"id": "9", "token": "SECRET", "data": {"component_type": 2}, "message": {"content": "SECRET"}}
    copied = [kept._without_others(said) for said in (answered, pressed, clicked)]
    assert "SECRET" not in str(copied)
    assert copied[0]["message"]["text"] == "/status"
    assert copied[1]["callback_query"]["data"] == "/plans"
