"""Rounds: rosters held against what is paid, repairs both ways, and the brake."""

from datetime import datetime, timedelta

import pytest

from core import access, db, models, places, rounds
from core.models import Delivery, Place, State
from tests.core import people
from tests.core.test_places import BOOK, acts, done, presence

HALL, VIP = "hall", "vip"


@pytest.fixture(autouse=True)
async def _places(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await places.sync(session, BOOK, now=now)


def whole(now: datetime, *inside: str, kept: tuple[str, ...] = (), **more: object) -> rounds.Roster:
    """A roster that names everybody inside."""
    everybody = dict.fromkeys(inside, False) | dict.fromkeys(kept, True)
    return rounds.Roster(now, everybody, whole=True, requests=1, **more)  # type: ignore[arg-type]


async def compare(database: db.Database, key: str, roster: rounds.Roster, now: datetime, **given: int) -> rounds.Found:
    async with database.transaction() as session:
        place = await session.get_one(Place, key)
        return await rounds.compare(session, place, roster, now=now, **given)


async def payers(database: db.Database, now: datetime, number: int, platform: str = "discord") -> list[str]:
    async with database.transaction() as session:
        return [who.external_id for who in await people.crowd(session, now, number, platform=platform)]


async def test_a_round_repairs_both_ways(database: db.Database, now: datetime) -> None:
    paid, missing, away = await payers(database, now, 3)
    everybody = frozenset({paid, missing, "intruder", "boss"})
    roster = whole(now, paid, "intruder", kept=("boss",), reachable=everybody, count=3)
    found = await compare(database, HALL, roster, now)
    assert found == rounds.Found(entitled=3, inside=3, unknown=0, let_in=1, put_out=1, held=0, requests=1)
    assert await acts(database) == [(HALL, "give", missing), (HALL, "take", "intruder")]
    assert away not in dict.fromkeys(who for *_, who in await acts(database))
    await done(database, now)
    later = now + timedelta(minutes=10)
    again = await compare(database, HALL, whole(later, paid, missing, kept=("boss",), reachable=everybody), later)
    assert (again.let_in, again.put_out, again.inside) == (0, 0, 3)


async def test_a_round_counts_people_it_knows_nothing_of(database: db.Database, now: datetime) -> None:
    [paid] = await payers(database, now, 1, "telegram")
    roster = rounds.Roster(now, {paid: False, "boss": True}, outside=frozenset({"left"}), count=5, requests=4)
    found = await compare(database, VIP, roster, now)
    assert (found.inside, found.unknown, found.requests) == (2, 3, 4)


async def test_what_was_learnt_after_the_roster_was_begun_stands(database: db.Database, now: datetime) -> None:
    [paid] = await payers(database, now, 1)
    async with database.transaction() as session:
        hall = await session.get_one(Place, HALL)
        await places.seen(session, hall, paid, inside=True, now=now + timedelta(seconds=5))
    await compare(database, HALL, whole(now), now + timedelta(seconds=9))
    assert (await presence(database, HALL, paid)).inside


async def test_the_brake_holds_back_more_than_twenty_until_an_operator_lets_go(
    database: db.Database, now: datetime
) -> None:
    crowd = [str(number) for number in range(5000, 5025)]
    found = await compare(database, HALL, whole(now, *crowd), now)
    assert (found.put_out, found.held) == (0, 25)
    assert await acts(database) == []
    async with database.reading() as session:
        alarm = await session.get_one(models.Alarm, "brake:hall")
        assert "25 more people would have to leave at once" in alarm.text
    released = await compare(database, HALL, whole(now, *crowd), now, allowance=25)
    assert (released.put_out, released.held) == (25, 0)
    assert len(await acts(database)) == 25
    async with database.reading() as session:
        assert (await session.get_one(models.Alarm, "brake:hall")).cleared_at == now


async def test_the_brake_grows_with_the_place(database: db.Database, now: datetime) -> None:
    paid = await payers(database, now, 570)
    found = await compare(database, HALL, whole(now, *paid, *map(str, range(9_000, 9_030))), now)
    assert (found.put_out, found.held) == (30, 0)  # 5 % of 600


async def test_the_brake_counts_what_ends_one_by_one(database: db.Database, now: datetime) -> None:
    paid = await payers(database, now, 25)
    await compare(database, HALL, whole(now, *paid), now)
    later = now + timedelta(days=31)
    async with database.reading() as session:
        ended = await rounds.overdue(session, now=later)
    assert len(ended) == 25
    for member in ended:
        async with database.transaction() as session:
            await access.reconcile(session, member, BOOK, now=later)
    assert len(await acts(database)) == 20
    await done(database, later)
    after = later + timedelta(minutes=11)
    left = [who for who in paid if (await presence(database, HALL, who)).inside]
    assert (await compare(database, HALL, whole(after, *left), after)).put_out == 5


async def test_the_people_longest_unasked_are_asked_first(database: db.Database, now: datetime) -> None:
    one, two, three = await payers(database, now, 3, "telegram")
    for minutes, who in ((3, one), (1, two), (2, three)):
        async with database.transaction() as session:
            vip = await session.get_one(Place, VIP)
            await places.seen(session, vip, who, inside=True, now=now + timedelta(minutes=minutes))
    async with database.reading() as session:
        vip = await session.get_one(Place, VIP)
        assert await rounds.to_look_at(session, vip, 2, now=now) == [two, three]


async def test_what_is_on_its_way_is_not_planned_again(database: db.Database, now: datetime) -> None:
    paid = await payers(database, now, 520)
    found = await compare(database, HALL, whole(now, reachable=frozenset(paid)), now)
    assert found.let_in == 520
    rows = await people.deliveries(database, Delivery.kind == "door", Delivery.state == State.PENDING)
    assert len({row.key for row in rows}) == 520
    again = await compare(database, HALL, whole(now, reachable=frozenset(paid)), now)
    assert again.let_in == 0  # they are on their way
