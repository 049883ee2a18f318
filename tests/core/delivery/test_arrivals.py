"""How the openings of the last signals arrived, and how long they took."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import update

from core import db, models
from core.delivery import arrivals
from core.models import Delivery, Signal, State


def signal(now: datetime, candle: int, status: str = "open") -> Signal:
    prices = {"entry": Decimal(100), "target": Decimal(110), "stop": Decimal(95), "tick": Decimal("0.01")}
    market = {"watch": "w", "strategy": "s", "exchange": "e", "symbol": "A/B", "timeframe": "1h", "direction": "long"}
    moments = {"expires": 9, "followed_to": 1, "created_at": now + timedelta(seconds=candle)}
    return Signal(candle=candle, status=status, reason="", figures={}, params={}, **market, **prices, **moments)


def opening(now: datetime, number: int, chat: int, state: State, took: float | None = None) -> Delivery:
    end = None if took is None else now + timedelta(seconds=took)
    what = {"kind": "opening", "priority": 2, "event": "opened", "platform": "telegram"}
    return Delivery(
        signal_id=number, address=str(chat), state=state, not_before=now, created_at=now, settled_at=end, **what
    )


async def test_every_state_has_its_word_in_a_fixed_order(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        assert await arrivals.last(session, limit=5) == []
        assert await arrivals.newest(session) is None
        session.add_all([signal(now, 1), signal(now, 2, "stopped"), signal(now, 3)])
        await session.flush()
        session.add_all(opening(now, 1, chat, state) for chat, state in enumerate(reversed(State)))
        session.add(opening(now, 2, 1, State.SENT, 7.5))
        await session.flush()
        third, second, first = await arrivals.last(session, limit=5)
        assert [one.signal_id for one in await arrivals.last(session, limit=1)] == [3]
        assert await arrivals.newest(session) == now + timedelta(seconds=7.5)
    assert list(first.counts.items()) == [
        ("delivered", 1),
        ("waiting", 3),
        ("unsure", 1),
        ("blocked", 1),
        ("failed", 1),
        ("left out", 1),
    ]
    assert (second.counts, third.counts) == ({"delivered": 1}, {})
    assert (first.open, second.open, second.at) == (True, False, now + timedelta(seconds=2))


async def test_what_is_final_is_not_counted_again_and_everything_else_is(
    sqlite_database: db.Database, now: datetime
) -> None:
    async with sqlite_database.transaction() as session:
        session.add_all([signal(now, 1, "stopped"), signal(now, 2, "stopped"), signal(now, 3)])
        await session.flush()
        session.add_all(opening(now, number, 1, State.SENT, 1.0) for number in (1, 3))
        session.add(opening(now, 2, 1, State.PENDING))
        before = await arrivals.last(session, limit=5)
        assert [one.final for one in before] == [False, False, True]
        await session.execute(update(models.Delivery).values(state=State.DEAD))
        after = await arrivals.last(session, limit=5, known=before)
    assert [one.counts for one in after] == [{"failed": 1}, {"failed": 1}, {"delivered": 1}]


async def test_times_are_in_order_and_only_of_openings_that_arrived(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        session.add_all([signal(now, 1), signal(now, 2)])
        await session.flush()
        session.add_all(opening(now, 1, chat, State.SENT, took) for chat, took in enumerate((3.0, 1.0, -1.0)))
        session.add(opening(now, 1, 9, State.DEAD, 2.0))
        session.add(opening(now, 2, 1, State.SENT, 4.0))
        await session.flush()
        assert await arrivals.seconds(session, [1]) == [0.0, 1.0, 3.0]
        assert await arrivals.seconds(session, []) == []
