"""Live and backtest say the same, or the report says where not and why."""

import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot import messages
from core import catalogue, clock, db, models
from core.backtest import drift
from core.market import candles
from tests import conftest
from tests.core.backtest import dice
from tests.proofs import equality

KEY = candles.Key("binance", "BTC/USDT", "1h")
MARKET = dice.Jumps(seed=31, hours=168, gaps=0.0)
ROWS = MARKET.candles()
PARAMS = {"expires_after": 4}
WATCH = catalogue.Watch(symbol="BTC/USDT", strategy="dice", params=PARAMS)
THROWN = dice.Dice(dice.DiceParams.model_validate(PARAMS))
BOOK = catalogue.Catalogue(watches=(WATCH,))
FIRST = datetime(2023, 1, 1, tzinfo=UTC)
WEEK = {"since": FIRST, "until": FIRST + timedelta(days=7)}


async def _play(database: db.Database, *, begin: int = 0) -> None:
    """The market went through the live path from candle `begin` on."""
    await equality.keep(database, KEY, ROWS, MARKET.tick)
    await equality.replay(database, KEY, ROWS, [(WATCH, THROWN)], MARKET.tick, begin=begin)


@pytest.fixture(scope="module")
def _played_once(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copy(_sqlite_template, tmp_path_factory.mktemp("drift") / "played.db"))

    async def play() -> None:
        database = db.Database(f"sqlite:///{path}")
        await _play(database)
        await database.close()

    conftest.alone(play())
    return path


@pytest.fixture
async def played(dice_strategy: None, _played_once: Path, tmp_path: Path) -> AsyncIterator[db.Database]:
    """An SQLite database of this test alone, in which the whole market went through the live path."""
    database = db.Database(f"sqlite:///{shutil.copy(_played_once, tmp_path)}")
    yield database
    await database.close()


async def _published(database: db.Database) -> list[models.Signal]:
    async with database.reading() as session:
        return list(await session.scalars(select(models.Signal).order_by(models.Signal.candle)))


async def _reasons(database: db.Database, **span: datetime) -> list[tuple[str, str]]:
    (found,) = await drift.compared(database, BOOK, **{**WEEK, **span})
    return [(one.kind, one.reason) for one in found.differences]


async def test_what_was_played_is_the_same(dice_strategy: None, database: db.Database) -> None:
    await _play(database)
    signals = await _published(database)
    (found,) = await drift.compared(database, BOOK, **WEEK)
    assert (found.watch, found.same, found.late, found.differences) == (WATCH.key, len(signals), 0, ())
    assert len(signals) > 20


async def test_a_part_of_the_time_is_compared_with_what_was_open_when_it_began(played: db.Database) -> None:
    signals = await _published(played)
    for signal in signals[:10]:
        # In the middle of the position.
        since = clock.from_ms(signal.candle + dice.HOUR)
        assert await _reasons(played, since=since) == []


async def test_what_nobody_judged_is_not_missing(dice_strategy: None, sqlite_database: db.Database) -> None:
    await _play(sqlite_database, begin=60)
    assert await _reasons(sqlite_database) == []


async def test_a_pause_is_the_reason_of_what_is_missing(played: db.Database) -> None:
    signals = await _published(played)
    gone = signals[7]
    async with played.transaction() as session:
        await session.execute(update(models.Signal).where(models.Signal.id == gone.id).values(watch="another"))
    assert ("missing", "") in await _reasons(played)
    async with played.transaction() as session:
        for action, hours in (("signals_paused", 0), ("signals_resumed", 3)):
            at = clock.from_ms(gone.candle + hours * dice.HOUR)
            session.add(models.Audit(at=at, actor="telegram:1", action=action, details={}))
    assert ("missing", "signals were paused") in await _reasons(played)


async def test_a_corrected_candle_is_the_reason_of_what_is_not_the_same(played: db.Database) -> None:
    signals = await _published(played)
    at = next(place for place, row in enumerate(ROWS) if row.open_time == signals[5].candle)
    other = ROWS[at]._replace(close=ROWS[at].low)
    await equality.keep(played, KEY, [other], MARKET.tick)
    assert ("different", "its candle was corrected afterwards") in await _reasons(played)


async def test_a_signal_that_the_candles_do_not_say_any_more_is_extra(played: db.Database) -> None:
    signals = await _published(played)
    async with played.transaction() as session:
        await session.execute(
            update(models.Signal).where(models.Signal.id == signals[5].id).values(candle=_quiet(signals))
        )
    assert any(kind == "extra" and "do not say this any more" in why for kind, why in await _reasons(played))


def _quiet(signals: Sequence[models.Signal]) -> int:
    """A candle within the time of no signal, at which the dice say nothing."""
    said = THROWN.entries(candles.series(ROWS)).direction
    held = [range(one.candle, (one.close_candle or one.candle) + 1) for one in signals]
    return next(
        row.open_time
        for place, row in enumerate(ROWS[3:], 3)
        if not said[place] and not any(row.open_time in span for span in held)
    )


async def test_an_operator_who_closed_one_is_named(played: db.Database) -> None:
    signals = await _published(played)
    async with played.transaction() as session:
        values = {"status": models.SignalStatus.CLOSED}
        await session.execute(update(models.Signal).where(models.Signal.id == signals[4].id).values(**values))
        event = update(models.SignalEvent).where(models.SignalEvent.signal_id == signals[4].id)
        await session.execute(event.where(models.SignalEvent.event != "opened").values(event="closed"))
    assert ("different", "an operator closed it") in await _reasons(played)


async def test_each_operator_is_told_once_a_week(dice_strategy: None, database: db.Database) -> None:
    await _play(database)
    signals = await _published(database)
    chats = [("telegram", "7"), ("discord", "8")]
    monday = datetime(2023, 1, 9, 5, tzinfo=UTC)
    assert not await drift.tell(database, BOOK, [], now=monday)
    assert await drift.tell(database, BOOK, chats, now=monday)
    assert not await drift.tell(database, BOOK, chats, now=monday + timedelta(days=3))
    async with database.reading() as session:
        query = select(models.Delivery).where(models.Delivery.key.startswith("drift:"))
        rows = (await session.scalars(query.order_by(models.Delivery.platform.desc()))).all()
    assert [(row.platform, row.address) for row in rows] == chats
    words = messages.notices.drift_report(rows[0].payload, catalogue.Service()).plain
    assert "2 Jan 2023 to 8 Jan 2023, 1 watch:" in words
    inside = [one for one in signals if one.candle >= clock.to_ms(datetime(2023, 1, 2, tzinfo=UTC))]
    assert f"{len(inside)} signals the same" in words


async def test_nobody_is_told_of_a_week_in_which_nothing_was_judged(
    dice_strategy: None, sqlite_database: db.Database
) -> None:
    later = datetime(2024, 1, 9, 5, tzinfo=UTC)
    assert not await drift.tell(sqlite_database, BOOK, [("telegram", "7")], now=later)
    await _play(sqlite_database)
    assert not await drift.tell(sqlite_database, BOOK, [("telegram", "7")], now=later)
