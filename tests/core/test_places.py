"""Gated places: the list of them, who may enter, what an act at the door leads to, and where signals are posted."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from core import access, catalogue, db, grants, members, models, places
from core.delivery import claims, outcomes
from core.models import Delivery, Place, Presence, State
from tests.core import people

VIP = catalogue.Place(key="vip", name="VIP", platform="telegram", chat="-100200")
HALL = catalogue.Place(key="hall", name="Hall", platform="discord", server="900", role="901", channel="902")
BTC_ROOM = catalogue.Place(
    key="btc", name="Bitcoin", platform="telegram", chat="-100300", symbols=frozenset({people.BTC})
)
BOOK = people.BOOK.model_copy(update={"places": (VIP, HALL, BTC_ROOM)})


@pytest.fixture
async def book(database: db.Database, now: datetime) -> catalogue.Catalogue:
    """Three places in use: one for all signals on each chat, and one for Bitcoin."""
    async with database.transaction() as session:
        await places.sync(session, BOOK, now=now)
    return BOOK


async def acts(database: db.Database, *where: object) -> list[tuple[str, str, str]]:
    """What is on its way at doors: (place, act, person), oldest first."""
    rows = await people.deliveries(database, Delivery.kind == "door", Delivery.state == State.PENDING, *where)
    return [(row.place or "", row.payload["act"], row.payload["user"]) for row in rows if row.payload]


async def presence(database: db.Database, place: str, who: str) -> Presence:
    async with database.reading() as session:
        found = select(Presence).where(Presence.place == place, Presence.external_id == who)
        return (await session.scalars(found)).one()


async def done(database: db.Database, now: datetime, outcome: outcomes.Outcome = people.SENT) -> int:
    """Every act at a door was attempted and had this outcome, as the courier writes it down; how many there were."""
    rows = await people.deliveries(database, Delivery.kind == "door", Delivery.state == State.PENDING)
    for row in rows:
        attempt = outcomes.Attempt("door", row.attempts, row.ambiguities, row.plain)
        step = outcomes.next_step(outcome, attempt, now=now)
        async with database.transaction() as session:
            here = await session.get_one(Delivery, row.id)
            here.state = step.state
            await session.flush()
            final = step.state is not State.PENDING
            await places.ended(session, row.id, (row.payload or {})["act"], outcome, final=final, now=now)
    return len(rows)


async def claimed(database: db.Database, now: datetime, book: catalogue.Catalogue) -> list[claims.Parcel]:
    """The acts at Discord's doors that a worker may begin now."""
    parcels = await people.claim(database, now, platform="discord", entitled=access.entitled(book, now=now))
    return [parcel for parcel in parcels if parcel.kind == "door"]


async def test_the_catalogue_says_which_places_are_in_use(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await places.sync(session, BOOK, now=now)
        assert [place.key for place in await places.active(session)] == ["btc", "hall", "vip"]
        assert [place.channel for place in await places.active(session, "telegram")] == ["-100300", "-100200"]
        only = BOOK.model_copy(update={"places": (HALL,)})
        await places.sync(session, only, now=now)
        assert [place.key for place in await places.active(session)] == ["hall"]
        await places.sync(session, BOOK, now=now)
        assert len(await places.active(session)) == 3


async def test_what_was_set_up_in_chat_fills_in_what_the_catalogue_leaves_open(
    database: db.Database, now: datetime
) -> None:
    bare = BOOK.model_copy(update={"places": (catalogue.Place(key="d", name="D", platform="discord", server="1"),)})
    async with database.transaction() as session:
        await places.sync(session, bare, now=now)
        [place] = await places.active(session)
        place.role, place.channel = "5", "6"
        await places.sync(session, bare, now=now)
        assert (place.role, place.channel) == ("5", "6")
        await places.sync(session, BOOK, now=now)
        session.add(Place(key="own", platform="discord", space="2", name="Own", symbols=[], created_at=now))
        await places.sync(session, BOOK, now=now)
        assert "own" in [one.key for one in await places.active(session)]


async def test_a_plan_opens_only_what_carries_its_own_markets(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.reading() as session:
        opened = {plan.key: [p.key for p in await places.opened_by(session, plan.key)] for plan in book.plans}
    assert opened == {"all": ["btc", "hall", "vip"], "bitcoin": ["btc"], "ether": []}


async def test_a_signal_is_posted_where_its_market_is_carried(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.reading() as session:
        btc, eth = [await places.carrying(session, symbol) for symbol in (people.BTC, people.ETH)]
    assert [key for *_, key in btc] == ["btc", "hall", "vip"]
    assert eth == [("discord", "902", "hall"), ("telegram", "-100200", "vip")]


async def test_paying_gives_the_role_and_lapsing_takes_it(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now, platform="discord")
        await people.subscription(session, who.member_id, now + timedelta(days=1))
        await access.reconcile(session, who.member_id, book, now=now)
    assert await acts(database) == [("hall", "give", who.external_id)]
    assert await done(database, now) == 1
    assert (await presence(database, "hall", who.external_id)).inside
    later = now + timedelta(days=2)
    async with database.transaction() as session:
        await access.reconcile(session, who.member_id, book, now=later)
    assert await acts(database) == [("hall", "take", who.external_id)]
    await done(database, later)
    assert not (await presence(database, "hall", who.external_id)).inside


async def test_t19_a_request_is_granted_to_who_pays_now_and_to_nobody_else(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        payer, lapsed, narrow = await people.payer(session, now), await people.person(session, now), None
        await people.subscription(session, lapsed.member_id, now - timedelta(days=1))
        narrow = await people.payer(session, now, plan="bitcoin")
        vip, btc = await session.get_one(Place, "vip"), await session.get_one(Place, "btc")
        assert await places.asked(session, vip, payer.external_id, now=now)
        assert not await places.asked(session, vip, lapsed.external_id, now=now)
        assert not await places.asked(session, vip, "424242", now=now)
        assert not await places.asked(session, vip, narrow.external_id, now=now)
        assert await places.asked(session, btc, narrow.external_id, now=now)
    assert sorted(await acts(database)) == sorted(
        [
            ("vip", "admit", payer.external_id),
            ("vip", "decline", lapsed.external_id),
            ("vip", "decline", "424242"),
            ("vip", "decline", narrow.external_id),
            ("btc", "admit", narrow.external_id),
        ]
    )


async def test_t19_an_intruder_is_put_out_and_an_administrator_is_not(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        vip = await session.get_one(Place, "vip")
        await places.seen(session, vip, "1", inside=True, now=now)
        await places.seen(session, vip, "2", inside=True, kept=True, now=now)
    assert await acts(database) == [("vip", "remove", "1")]
    await done(database, now, outcomes.Kept("an administrator"))
    assert (await presence(database, "vip", "1")).kept
    async with database.transaction() as session:
        await places.seen(session, vip, "1", inside=True, kept=True, now=now)
    assert await acts(database) == []


async def test_a_contrary_act_that_nobody_began_is_withdrawn(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now, platform="discord")
        sub = await people.subscription(session, who.member_id, now + timedelta(days=1))
        await access.reconcile(session, who.member_id, book, now=now)
        sub.access_until = None
        await session.flush()
        await access.reconcile(session, who.member_id, book, now=now)
    assert await claimed(database, now, book) == []  # the role was never given, so there is nothing to take
    async with database.transaction() as session:
        await grants.grant(session, who.member_id, people.ALL, book, until=None, by="op", now=now)
    assert await acts(database) == [("hall", "give", who.external_id)]


async def test_an_act_is_withdrawn_when_the_contrary_became_right(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        vip = await session.get_one(Place, "vip")
        who = await people.person(session, now)
        await places.seen(session, vip, who.external_id, inside=True, now=now)
        await places.seen(session, vip, who.external_id, inside=False, now=now)
        await grants.grant(session, who.member_id, people.ALL, book, until=None, by="op", now=now)
        await places.asked(session, vip, who.external_id, now=now)
    assert await acts(database) == [("vip", "admit", who.external_id)]


async def test_what_changed_while_an_act_was_under_way_is_done_after_it(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now, platform="discord")
        await grants.grant(session, who.member_id, people.ALL, book, until=None, by="op", now=now)
    [parcel] = await claimed(database, now, book)
    async with database.transaction() as session:
        await grants.revoke(session, who.member_id, people.ALL, by="op", now=now)
    assert await acts(database) == []  # the role is being given at this moment
    await people.begin(database, [parcel], now)
    await people.settle(database, parcel, people.SENT, now)
    async with database.transaction() as session:
        await places.ended(session, parcel.id, "give", people.SENT, final=True, now=now)
    assert await acts(database) == [("hall", "take", who.external_id)]


async def test_an_act_that_is_no_longer_right_is_not_claimed(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now, platform="discord")
        await grants.grant(session, who.member_id, people.ALL, book, until=now + timedelta(hours=1), by="op", now=now)
    later = now + timedelta(hours=2)
    assert await claimed(database, later, book) == []
    [row] = await people.deliveries(database, Delivery.kind == "door")
    assert row.state == State.EXPIRED


async def test_t20_a_missing_right_is_an_alarm_and_stops_all_acts_until_it_is_back(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        vip = await session.get_one(Place, "vip")
        await places.seen(session, vip, "1", inside=True, now=now)
    await done(database, now, outcomes.Barred("give the bot the right “Ban users”"))
    async with database.transaction() as session:
        vip = await session.get_one(Place, "vip")
        assert vip.fault == "give the bot the right “Ban users”"
        alarm = await session.get_one(models.Alarm, "place:vip")
        assert alarm.text == "VIP: give the bot the right “Ban users”"
        assert await places.seen(session, vip, "2", inside=True, now=now) == places.doors.Planned()
        await places.restored(session, vip, now=now)
        await places.seen(session, vip, "2", inside=True, now=now)
        await session.refresh(alarm)
        assert alarm.cleared_at == now
    assert await acts(database) == [("vip", "remove", "2")]


async def test_somebody_who_is_not_on_the_server_is_not_tried_again_and_again(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now, platform="discord")
        await grants.grant(session, who.member_id, people.ALL, book, until=None, by="op", now=now)
    await done(database, now, outcomes.Blocked("not a member of the server"))
    assert await acts(database) == []
    assert not (await presence(database, "hall", who.external_id)).inside
    async with database.reading() as session:
        assert (await members.find(session, "discord", who.external_id)).blocked_at is None  # type: ignore[union-attr]


async def test_seats_say_where_a_member_may_be_and_is(
    database: db.Database, now: datetime, book: catalogue.Catalogue
) -> None:
    async with database.transaction() as session:
        who = await people.payer(session, now, plan="bitcoin")
        btc = await session.get_one(Place, "btc")
        await places.seen(session, btc, who.external_id, inside=True, now=now)
        seats = await places.seats(session, who.member_id, now=now)
    assert [(seat.place.key, seat.may, seat.inside, seat.asked) for seat in seats] == [
        ("btc", True, True, False),
        ("vip", False, False, False),
    ]
