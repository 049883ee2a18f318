"""Every event is an entry of the record, in its own transaction; open signals show nothing, closed ones everything."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

import migrations
from core import catalogue, db
from core.columns import Level
from core.market import candles
from core.models import Delivery, RecordEntry, Signal, SignalEvent, SignalStatus
from core.privacy import removal
from core.signals import entries, lifecycle, proof, publish, record
from tests.core import people
from tests.core.signals.stage import HOUR, START, opening

TICK = Decimal("0.01")
UNTIL = START + timedelta(minutes=15)
COSTS = catalogue.Costs(fee_percent=Decimal("0.1"), slippage_percent=Decimal("0.05"))
BOOK = people.BOOK.model_copy(update={"costs": COSTS})
LADDER = (
    Level(Decimal("104.00"), Decimal("0.5"), Decimal("100.00")),
    Level(Decimal("110.00"), Decimal("0.5")),
)


def draft(candle: int = 39, **given: Any) -> publish.Draft:
    values: dict[str, Any] = {
        "watch": "secret_sauce binance BTC/USDT 1h",
        "strategy": "secret_sauce",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "long": True,
        "entry": Decimal("100.00"),
        "stop": Decimal("95.00"),
        "levels": LADDER,
        "tick": TICK,
        "candle": opening(candle),
        "expires": opening(candle) + 9 * HOUR,
        "reason": "because",
        "figures": {},
        "params": {},
    }
    return publish.Draft(**(values | given))


async def opened(database: db.Database, *, now: datetime = START, late: bool = False, **given: Any) -> int:
    async with database.transaction() as session:
        until = None if late else now + timedelta(minutes=15)
        signal = await publish.opened(session, BOOK, draft(**given), now=now, send_until=until)
        assert signal is not None
        return signal.id


async def met(database: db.Database, signal_id: int, index: int, *prices: str) -> None:
    """The signal has seen the candle of this index, with open, high, low and close."""
    candle = candles.Candle(opening(index), *map(Decimal, prices), Decimal(1))
    async with database.transaction() as session:
        signal = await session.get_one(Signal, signal_id)
        signal.followed_to = candle.open_time
        position, changes = lifecycle.step(lifecycle.position(signal), candle)
        await publish.changed(session, signal, position, changes, now=START + timedelta(hours=index - 39))


async def written(database: db.Database) -> list[bytes]:
    async with database.reading() as session:
        newest = await record.head(session)
        rows = await record.lines(session, after=0, until=newest.n, limit=10_000)
    return [*(line.encode() + b"\n" for _, line in rows), entries.trailer(*newest)]


async def checked(database: db.Database) -> proof.Report:
    chain = proof.Chain()
    for line in await written(database):
        chain.take(line)
    return chain.end()


async def rows(database: db.Database, table: type[Any]) -> Sequence[Any]:
    async with database.reading() as session:
        return (await session.scalars(select(table).order_by(*table.__table__.primary_key))).all()


async def test_an_open_signal_shows_its_number_and_what_happened_and_nothing_else(database: db.Database) -> None:
    signal_id = await opened(database)
    await met(database, signal_id, 40, "100.50", "104.50", "99.00", "104.00")
    lines = b"".join(await written(database))
    for secret in (b"BTC", b"USDT", b"long", b"100", b"95.00", b"104", b"secret_sauce", b"because", b"1h"):
        assert secret not in lines.replace(str(signal_id).encode(), b"")
    first, second, _ = [orjson.loads(line) for line in lines.splitlines()]
    assert sorted(first) == ["at", "commitment", "hash", "kind", "n", "previous", "signal"]
    assert [(one["n"], one["kind"], one["signal"]) for one in (first, second)] == [
        (1, "opened", signal_id),
        (2, "target1", signal_id),
    ]
    assert (first["previous"], second["previous"]) == ("0" * 64, first["hash"])
    report = await checked(database)
    assert (report.entries, report.open, report.closed) == (2, 1, 0)


async def test_equal_signals_have_unequal_commitments(sqlite_database: db.Database) -> None:
    await opened(sqlite_database, ref="a")
    await opened(sqlite_database, ref="b")
    one, other, _ = [orjson.loads(line) for line in await written(sqlite_database)]
    assert one["commitment"] != other["commitment"]


async def test_a_closed_signal_reveals_all_that_was_committed_to_and_its_result(database: db.Database) -> None:
    signal_id = await opened(database)
    await met(database, signal_id, 40, "100.50", "104.50", "99.00", "104.00")
    await met(database, signal_id, 41, "104.00", "104.50", "99.00", "99.50")
    report = await checked(database)
    assert (report.entries, report.closed, report.open, report.unsealed) == (3, 1, 0, 0)
    last = orjson.loads((await written(database))[2])
    assert last["kind"] == "stopped"
    assert [one["n"] for one in last["reveal"]] == [1, 2]
    assert last["reveal"][0]["details"] == {
        "candle": opening(39),
        "direction": "long",
        "entry": "100.00",
        "exchange": "binance",
        "expires": opening(39) + 9 * HOUR,
        "fee": "0.1",
        "late": False,
        "slippage": "0.05",
        "stop": "95.00",
        "strategy": "secret_sauce",
        "symbol": "BTC/USDT",
        "targets": [
            {"price": "104.00", "share": "0.5", "stop": "100.00"},
            {"price": "110.00", "share": "0.5", "stop": None},
        ],
        "tick": "0.01",
        "timeframe": "1h",
    }
    closing = last["closing"]
    assert [(one["price"], one["share"]) for one in closing["exits"]] == [("104.00", "0.5"), ("100.00", "0.5")]
    # (102 - 100.5) - 0.15 % of (100.5 + 102), over a risk of 5 and a price of 100.5.
    assert (closing["filled"], Decimal(closing["average_exit"])) == ("100.50", 102)
    assert (closing["r"], closing["percent"]) == ("0.24", "1.19")
    (signal,) = await rows(database, Signal)
    assert signal.brought == 24


async def test_signals_events_and_messages_carry_the_hash_of_their_entry(database: db.Database) -> None:
    async with database.transaction() as session:
        await people.payer(session, START)
    signal_id = await opened(database)
    await met(database, signal_id, 40, "100.50", "104.50", "94.00", "104.00")
    kept = [entry.hash for entry in await rows(database, RecordEntry)]
    assert [event.seal for event in await rows(database, SignalEvent)] == kept
    assert (await rows(database, Signal))[0].seal == kept[0]
    (update,) = [row for row in await rows(database, Delivery) if row.kind == "update"]
    assert update.payload["changes"][0]["seal"] == kept[1]


async def test_a_late_signal_stands_in_the_record_as_late(sqlite_database: db.Database) -> None:
    signal_id = await opened(sqlite_database, late=True)
    await met(sqlite_database, signal_id, 40, "100.50", "101.00", "94.00", "95.00")
    last = orjson.loads((await written(sqlite_database))[1])
    assert last["reveal"][0]["details"]["late"] is True
    assert (await checked(sqlite_database)).closed == 1


async def _given_up(database: db.Database) -> None:
    async with database.transaction() as session:
        await publish.opened(session, BOOK, draft(2), now=START, send_until=UNTIL)
        raise ZeroDivisionError


async def test_what_was_rolled_back_leaves_no_gap(database: db.Database) -> None:
    await opened(database, candle=1)
    with pytest.raises(ZeroDivisionError):
        await _given_up(database)
    await opened(database, candle=3)
    assert (await checked(database)).entries == 2


async def test_a_signal_from_before_the_record_shows_its_details_when_it_closes(database: db.Database) -> None:
    async with database.transaction() as session:
        old = await people.signal(session, START - timedelta(hours=5))
    await opened(database, now=START)
    await met(database, old.id, 40, "100.50", "111.00", "99.00", "104.00")
    report = await checked(database)
    assert (report.closed, report.open, report.unsealed) == (1, 1, 1)
    last = orjson.loads((await written(database))[1])
    assert last["reveal"] == []
    assert last["unsealed"]["published"] == "2023-03-02T11:00:02.000Z"
    assert last["unsealed"]["details"]["targets"] == [{"price": "110", "share": "1", "stop": None}]


async def test_stories_of_many_signals_make_a_record_that_is_right(sqlite_database: db.Database) -> None:
    for seed in range(6):
        dice = random.Random(seed)
        ids = [await opened(sqlite_database, candle=39, ref=f"{seed}:{i}", **_any(dice)) for i in range(5)]
        for index in range(40, 49):
            middle = Decimal(dice.randint(9300, 11200)) / 100
            prices = (middle, middle + 2, middle - 2, middle + Decimal("0.37"))
            for signal_id in ids:
                async with sqlite_database.reading() as session:
                    running = (await session.get_one(Signal, signal_id)).status == SignalStatus.OPEN
                if running:
                    await met(sqlite_database, signal_id, index, *map(str, prices))
    report = await checked(sqlite_database)
    assert (report.closed, report.open) == (30, 0)
    brought = [signal.brought for signal in await rows(sqlite_database, Signal)]
    assert report.r * 100 == sum(brought)


def _any(dice: random.Random) -> dict[str, Any]:
    if dice.random() < 0.5:
        return {}
    levels = (Level(Decimal("97.00"), Decimal("0.3")), Level(Decimal("91.00"), Decimal("0.7")))
    return {"long": False, "stop": Decimal("104.00"), "levels": levels}


async def test_processes_that_publish_at_once_write_one_chain(database_url: str) -> None:
    processes = [db.Database(database_url, pool_size=4) for _ in range(3)]
    try:
        jobs = [opened(processes[i % 3], candle=i, ref=f"r{i}") for i in range(24)]
        ids = await asyncio.gather(*jobs)
        ends = [met(processes[i % 3], one, i + 1, "100", "101", "94", "95") for i, one in enumerate(ids)]
        begins = [opened(processes[i % 3], candle=i, ref=f"s{i}") for i in range(12)]
        await asyncio.gather(*ends, *begins)
        report = await checked(processes[0])
    finally:
        for process in processes:
            await process.close()
    assert (report.entries, report.closed, report.open) == (60, 24, 12)


@pytest.mark.parametrize("statement", ["UPDATE record_entries SET line = '{}'", "DELETE FROM record_entries"])
async def test_no_line_can_be_changed_or_removed(database: db.Database, statement: str) -> None:
    await opened(database)
    with pytest.raises(DBAPIError, match="the record cannot be changed"):
        async with database.transaction() as session:
            await session.execute(text(statement))
    assert (await checked(database)).entries == 1


async def test_the_record_cannot_be_emptied(postgres_database: db.Database) -> None:
    await opened(postgres_database)
    with pytest.raises(DBAPIError, match="the record cannot be changed"):
        async with postgres_database.transaction() as session:
            await session.execute(text("TRUNCATE signals CASCADE"))
    assert (await checked(postgres_database)).entries == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_migrated_database_keeps_its_lines_too(
    kind: str, tmp_path: Any, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}" if kind == "sqlite" else request.getfixturevalue("empty_postgres_url")
    database = db.Database(url)
    try:
        await migrations.upgrade(database)
        await test_no_line_can_be_changed_or_removed(database, "DELETE FROM record_entries")
    finally:
        await database.close()


async def test_a_member_can_be_forgotten_and_the_record_stays(database: db.Database) -> None:
    async with database.transaction() as session:
        member = (await people.person(session, START)).member_id
        await people.subscription(session, member, START + timedelta(days=3), status="canceled")
    signal_id = await opened(database)
    await met(database, signal_id, 40, "100.50", "101.00", "94.00", "95.00")
    async with database.transaction() as session:
        await removal.remove(session, member, now=START)
    assert {row.address.split(":")[0] for row in await rows(database, Delivery)} == {"removed"}
    assert (await checked(database)).entries == 2


async def test_the_head_is_posted_once_a_day_in_each_public_channel(database: db.Database, now: datetime) -> None:
    book = BOOK.model_copy(update={"record": catalogue.Record(telegram="-100", discord="55")})

    async def posted(at: datetime, told: catalogue.Catalogue = book) -> int:
        async with database.transaction() as session:
            return await record.witness(session, told, "https://signals.example", now=at)

    assert await posted(now) == 0  # there is nothing to bear witness of
    await opened(database)
    assert await posted(now, BOOK) == 0  # and nowhere to do so
    assert [await posted(now), await posted(now + timedelta(hours=11)), await posted(now + timedelta(days=1))] == [
        2,
        0,
        2,
    ]
    first = (await rows(database, Delivery))[0]
    assert (first.kind, first.platform, first.address, first.key) == (
        "notice",
        "telegram",
        "-100",
        "record:2026-01-15:telegram:public record",
    )
    newest = (await rows(database, RecordEntry))[-1]
    assert first.payload == {
        "name": "record_head",
        "day": "2026-01-15",
        "entries": 1,
        "head": newest.hash,
        "url": "https://signals.example/record",
    }
    assert [parcel.address for parcel in await people.claim(database, now)] == ["-100"]


async def test_what_everybody_may_know_of_a_signal_is_its_entries(sqlite_database: db.Database) -> None:
    signal_id = await opened(sqlite_database)
    await met(sqlite_database, signal_id, 40, "100.50", "104.50", "99.00", "104.00")
    async with sqlite_database.reading() as session:
        noted = await record.about(session, signal_id)
        assert await record.about(session, 999) == []
    assert [(one.n, one.kind, one.closes) for one in noted] == [(1, "opened", False), (2, "target1", False)]
