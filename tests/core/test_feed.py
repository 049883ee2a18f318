"""The feed: events in the order of the record, from any number on, the same for everybody who may have them."""

import json
from datetime import datetime, timedelta

from core import db, keys, models
from core.signals import feed
from tests.core import people
from tests.core.signals import press

MINUTE = timedelta(minutes=1)


async def page(database: db.Database, n: int = 0, *, markets: feed.Markets = None, limit: int = 100) -> feed.Page:
    async with database.reading() as session:
        return await feed.after(session, n, markets=markets, limit=limit)


async def story(database: db.Database, now: datetime) -> None:
    """Two signals whose events mix: 1 opened, 2 opened (of another market), 1 target1, 2 closed, 1 target."""
    async with database.transaction() as session:
        one = await press.opened(session, 1, now=now)
        two = await press.opened(session, 2, now=now, symbol=people.ETH)
    async with database.transaction() as session:
        for signal in (one, two):
            session.add(signal)
        await press.moved(session, one, now=now + MINUTE)
        await press.closed(session, two, now=now + MINUTE)
        await press.moved(session, one, now=now + 2 * MINUTE, to=press.LAST)


async def test_events_come_in_the_order_of_the_record_and_say_everything(database: db.Database, now: datetime) -> None:
    await story(database, now)

    found = await page(database)

    assert [(event.n, event.kind, event.signal_id) for event in found.events] == [
        (1, "opened", 1),
        (2, "opened", 2),
        (3, "target1", 1),
        (4, "closed", 2),
        (5, "target", 1),
    ]
    assert (found.cursor, found.more) == (5, False)
    opening, end = found.events[0].body, found.events[-1].body
    assert opening["signal"]["entry"] == "100.00"
    assert opening["signal"]["targets"][0] == {"price": "105", "share": "0.5", "stop": "100"}
    assert (opening["change"], opening["result"]) == (None, None)
    assert opening["at"] == "2026-01-15T12:00:00.000Z"
    assert end["change"] == {"price": "110", "share": "0.5", "stop": "100"}
    assert end["result"]["exit"] == "107.5"
    async with database.reading() as session:
        entry = await session.get_one(models.RecordEntry, 5)
    assert end["seal"] == entry.hash


async def test_what_an_event_said_it_says_for_ever(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        signal = await press.opened(session, 1, now=now)
    before = (await page(database)).events[0].body
    async with database.transaction() as session:
        session.add(signal)
        await press.moved(session, signal, now=now, to=press.STOP)

    after = (await page(database)).events

    assert json.dumps(after[0].body) == json.dumps(before)
    assert [event.kind for event in after] == ["opened", "stopped"]


async def test_pages_of_any_size_are_the_whole_without_loss_or_repetition(database: db.Database, now: datetime) -> None:
    await story(database, now)
    for limit in (1, 2, 3):
        read, cursor, more = [], 0, True
        while more:
            found = await page(database, cursor, limit=limit)
            read, cursor, more = read + [event.n for event in found.events], found.cursor, found.more
        assert read == [1, 2, 3, 4, 5]


async def test_events_of_other_plans_are_left_out_and_the_cursor_goes_on(database: db.Database, now: datetime) -> None:
    await story(database, now)

    found = await page(database, markets=frozenset({people.ETH}))

    assert [event.n for event in found.events] == [2, 4]
    assert found.cursor == 5
    assert (await page(database, markets=frozenset())).events == []


async def test_what_was_not_committed_is_no_event_and_leaves_no_gap(database: db.Database, now: datetime) -> None:
    await story(database, now)
    async with database.reading() as session:
        await press.opened(session, 3, now=now)
        await session.rollback()
    assert (await page(database, 5)).events == []
    async with database.transaction() as session:
        await press.opened(session, 4, now=now)
    assert [event.n for event in (await page(database, 5)).events] == [6]


async def test_the_block_of_words_says_what_there_is_to_do(sqlite_database: db.Database, now: datetime) -> None:
    await story(sqlite_database, now)
    async with sqlite_database.transaction() as session:
        await press.opened(session, 9, now=now, late=True)

    texts = [event.text for event in (await page(sqlite_database)).events]

    assert texts[0].splitlines() == [
        *("#BTC/USDT", "Exchange: binance", "Signal Type: Regular (Long)", ""),
        *("Entry Targets:", "1) 100.00", "", "Take-Profit Targets:", "1) 105", "2) 110", "", "Stop Targets:", "1) 95"),
    ]
    assert texts[2:] == ["", "Close ETH/USDT", "", ""]


async def test_readers_have_what_their_owner_has_now(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        payer = await people.payer(session, now, plan="bitcoin", days=1)
        lapsed = await people.payer(session, now, days=-1)
        for who in (payer, payer, lapsed):
            await keys.make(session, who.member_id, "tool", now=now)
        session.add(
            models.Grant(member_id=payer.member_id, plan="ether", granted_by="test", created_at=now, until=None)
        )
        (await session.get_one(models.ApiKey, 2)).revoked_at = now
    async with database.reading() as session:
        found = await feed.readers(session, {1, 2, 3, 77}, now=now)
        later = await feed.readers(session, {1}, now=now + timedelta(days=2))
    assert found == {1: {"bitcoin", "ether"}, 3: frozenset()}
    assert later == {1: {"ether"}}
    assert feed.markets_of(people.BOOK, found[1]) == {people.BTC, people.ETH}
    assert feed.markets_of(people.BOOK, ["all", "ether"]) is None
    assert feed.markets_of(people.BOOK, ["gone"]) == frozenset()
