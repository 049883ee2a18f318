"""By which way a signal reaches a member: in a place, privately, or both without doubling it."""

from datetime import datetime

import pytest

from core import access, db, members, places
from core.delivery import fanout
from core.models import Delivery, Identity, Place, Signal, State
from core.signals import judge
from tests.core import people
from tests.core.test_places import BOOK


@pytest.fixture(autouse=True)
async def _places(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await places.sync(session, BOOK, now=now)


async def reached(database: db.Database, now: datetime, who: Identity, symbol: str = people.ETH) -> bool:
    """Whether a signal of this market would be sent to the account privately."""
    async with database.reading() as session:
        chats = await access.recipients(session, BOOK, symbol, now=now)
        return who.id in {row.identity_id for row in await session.execute(chats)}


async def payer(
    database: db.Database, now: datetime, platform: str, *, route: str = "", plan: str = "all", inside: str = ""
) -> Identity:
    async with database.transaction() as session:
        who = await people.person(session, now, platform=platform)
        await people.subscription(session, who.member_id, now + people.HOUR, plan=plan)
        await members.choose_route(session, who.id, route)
        if inside:
            place = await session.get_one(Place, inside)
            await places.seen(session, place, who.external_id, inside=True, now=now)
    return who


@pytest.mark.parametrize(
    ("platform", "route", "inside", "privately"),
    [
        ("telegram", "", "", True),  # paid, but not inside yet: nobody paid misses
        ("telegram", "", "vip", False),
        ("telegram", "both", "vip", False),
        ("telegram", "private", "vip", True),
        ("telegram", "place", "", False),
        ("discord", "", "", False),
        ("discord", "", "hall", False),
        ("discord", "both", "", True),
        ("discord", "both", "hall", False),
        ("discord", "private", "hall", True),
    ],
)
async def test_a_signal_arrives_by_the_chosen_route(
    database: db.Database, now: datetime, platform: str, route: str, inside: str, privately: bool
) -> None:
    who = await payer(database, now, platform, route=route, inside=inside)
    assert await reached(database, now, who) is privately


async def test_who_can_read_it_in_no_place_gets_it_privately(database: db.Database, now: datetime) -> None:
    narrow = await payer(database, now, "telegram", route="place", plan="ether")
    assert await reached(database, now, narrow)  # no place is open to this plan
    inside = await payer(database, now, "telegram", inside="btc")
    assert await reached(database, now, inside)  # that place carries Bitcoin only
    assert not await reached(database, now, inside, people.BTC)


async def test_without_places_everybody_is_written_to(database: db.Database, now: datetime) -> None:
    who = await payer(database, now, "discord")
    async with database.transaction() as session:
        await places.sync(session, people.BOOK, now=now)
    assert await reached(database, now, who)


async def test_a_post_and_its_update_belong_to_the_place(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        signal = await people.signal(session, now)
        carrying = await places.carrying(session, people.BTC)
        assert await fanout.post(session, signal.id, carrying, now=now, expires_at=now + people.HOUR) == 3
        assert await fanout.post(session, signal.id, carrying, now=now, expires_at=now + people.HOUR) == 0
        await fanout.follow_up(session, signal.id, "target", now=now)
    rows = await people.deliveries(database)
    assert [(row.platform, row.place, row.event) for row in rows] == [
        (platform, place, event) for event in ("opened", "target") for platform, _, place in carrying
    ]
    assert all(row.after_id for row in rows if row.event == "target")


async def test_a_post_is_claimed_while_its_place_is_in_use(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        signal = await people.signal(session, now)
        carrying = await places.carrying(session, people.BTC)
        await fanout.post(session, signal.id, carrying, now=now, expires_at=now + people.HOUR)
        await places.sync(session, BOOK.model_copy(update={"places": BOOK.places[:1]}), now=now)
    entitled = access.entitled(BOOK, now=now)
    assert [parcel.place for parcel in await people.claim(database, now, entitled=entitled)] == ["vip"]
    assert await people.states(database, Delivery.place == "btc") == [State.EXPIRED]


async def test_a_late_summary_is_posted_once_in_each_place(database: db.Database, now: datetime) -> None:
    inside = await payer(database, now, "telegram", inside="vip")
    outside = await payer(database, now, "telegram")
    async with database.transaction() as session:
        await people.signal(session, now, symbol=people.ETH, late=True)
        told = await judge.sum_up(session, BOOK, now=now)
        again = await judge.sum_up(session, BOOK, now=now)
    assert (told, again) == (3, 0)
    rows = await people.deliveries(database, Delivery.kind == "notice")
    assert {(row.place, row.identity_id) for row in rows} == {("vip", None), ("hall", None), (None, outside.id)}
    assert inside.id not in {row.identity_id for row in rows}


async def test_signals_of_one_market_stay_out_of_other_places(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        signal = await people.signal(session, now, symbol=people.ETH)
        await fanout.post(
            session,
            signal.id,
            await places.carrying(session, signal.symbol),
            now=now,
            expires_at=now + people.HOUR,
        )
        assert isinstance(signal, Signal)
    assert {row.place for row in await people.deliveries(database)} == {"vip", "hall"}
