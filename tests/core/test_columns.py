"""Values that come back from both databases exactly as they were put in."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Select, select
from sqlalchemy.exc import StatementError

from core import clock, db, models
from tests.core import people

QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001
PRICES = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), places=12)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


async def stored(database: db.Database, row: models.Base, query: Select[Any]) -> Any:
    """What a fresh session reads of this row; nothing stays in the database."""
    async with database.reading() as session:
        session.add(row)
        await session.flush()
        session.expunge_all()
        return await session.scalar(query)


@QUICK
@given(st.lists(MOMENTS, min_size=2, max_size=5, unique=True))
async def test_moments_come_back_in_utc_and_in_order(database: db.Database, moments: list[datetime]) -> None:
    async with database.reading() as session:
        for moment in moments:
            session.add(models.Member(created_at=moment))
        await session.flush()
        session.expunge_all()
        found = (await session.scalars(select(models.Member.created_at).order_by(models.Member.created_at))).all()
        assert found == sorted(moments)
        assert {moment.tzinfo for moment in found} == {UTC}
        middle = sorted(moments)[1]
        earlier = select(models.Member.created_at).where(models.Member.created_at < middle)
        assert (await session.scalars(earlier)).all() == [min(moments)]


async def test_a_moment_without_a_zone_is_refused(database: db.Database, now: datetime) -> None:
    with pytest.raises(StatementError, match="without a time zone"):
        async with database.transaction() as session:
            session.add(models.Member(created_at=now.replace(tzinfo=None)))


async def test_an_empty_moment_stays_empty(database: db.Database, now: datetime) -> None:
    member = models.Member(created_at=now, deleted_at=None)
    assert await stored(database, member, select(models.Member.deleted_at)) is None


@QUICK
@given(PRICES)
async def test_c11_prices_come_back_to_the_last_digit(database: db.Database, now: datetime, price: Decimal) -> None:
    row = models.Market(exchange="binance", symbol=people.BTC, tick=price, updated_at=now)
    found = await stored(database, row, select(models.Market.tick))
    assert isinstance(found, Decimal)
    assert found == price


async def test_an_empty_price_stays_empty(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await people.signal(session, now)
    async with database.reading() as session:
        assert await session.scalar(select(models.Signal.close_price)) is None
        assert await session.scalar(select(models.Signal.id).where(models.Signal.close_price.is_(None)))


@QUICK
@given(st.dictionaries(TEXT, JSON, max_size=4))
async def test_json_comes_back_as_it_was(database: db.Database, now: datetime, value: dict[str, Any]) -> None:
    row = models.Audit(at=now, actor="a", action="b", details=value)
    assert await stored(database, row, select(models.Audit.details)) == value


async def test_empty_json_is_empty_in_both_databases(database: db.Database, now: datetime) -> None:
    row = {"kind": "reply", "priority": 0, "platform": "t", "address": "1", "not_before": now, "created_at": now}
    async with database.transaction() as session:
        await session.execute(db.insert(session, models.Delivery).values(**row, payload=None))
        found = await session.scalars(select(models.Delivery).where(models.Delivery.payload.is_(None)))
        assert [delivery.payload for delivery in found] == [None]


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_become_a_moment_and_come_back(milliseconds: int) -> None:
    assert clock.to_ms(clock.from_ms(milliseconds)) == milliseconds


def test_the_clock_is_aware_and_in_utc() -> None:
    assert clock.utcnow().tzinfo is UTC
