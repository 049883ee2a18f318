"""What is paid for in these scenes: one plan, an open signal with figures of its own, and closed ones."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core import access, catalogue, models, places
from core.billing import plans
from core.delivery import fanout
from core.market import candles
from core.models import SignalStatus
from core.signals import record
from tests.bot import signals
from tests.bot import stage as stages
from tests.core import people

ALL = catalogue.Plan(key="all", name="Everything", price_id="price_all")
ENTRY, TARGET, STOP = Decimal("31337.25"), Decimal("32888.75"), Decimal("30444.50")
FIGURES = frozenset({"31337.25", "32888.75", "30444.5"})
NEWS = "Hello everybody"
"""What operators say to all members."""
REASON = "unheard of deviation"
_HOUR = stages.HOUR_MS


def book(*gated: catalogue.Place) -> catalogue.Catalogue:
    """What the community watches and sells, with these places."""
    watches = tuple(catalogue.Watch(symbol=symbol) for symbol in (people.BTC, people.ETH))
    service = catalogue.Service(support="@help_desk", operator="Ann Smith, Bern")
    return catalogue.Catalogue(service=service, watches=watches, plans=(ALL,), places=gated)


async def stock(session: AsyncSession, held: catalogue.Catalogue, now: datetime) -> None:
    """The plan has a price, and the places are there."""
    await plans.keep(session, "stripe", [plans.Priced(ALL.key, ALL.price_id, 2900, "usd", "month", 1)], now=now)
    await places.sync(session, held, now=now)


async def publish(session: AsyncSession, held: catalogue.Catalogue, now: datetime) -> tuple[int, int]:
    """The numbers of an open signal, on its way to everybody and everywhere it belongs, and of a closed one."""
    candle = int(now.timestamp() * 1000) // _HOUR * _HOUR - 2 * _HOUR
    key = candles.Key("binance", people.BTC, "1h")
    await candles.keep(session, key, [stages.candle(candle - back * _HOUR) for back in range(8, -2, -1)])
    await candles.keep_tick(session, *key[:2], Decimal("0.01"), now=now)
    closed = [await _signal(session, candle, now, close) for close in (1, 2)]
    levels = {"entry": ENTRY, "target": TARGET, "stop": STOP, "reason": REASON}
    times = {"candle": candle, "expires": candle + 24 * _HOUR, "followed_to": candle + _HOUR, "created_at": now}
    row = signals.make(id=None, **levels, **times)
    session.add(row)
    await session.flush()
    opened = models.SignalEvent(signal_id=row.id, event="opened", price=row.entry, candle=row.candle, at=now)
    row.seal = await record.append(session, row, opened, now=now)
    who = await access.recipients(session, held, row.symbol, now=now)
    until = now + timedelta(hours=1)
    await fanout.open_up(session, row.id, who, now=now, expires_at=until)
    await fanout.post(session, row.id, await places.carrying(session, row.symbol), now=now, expires_at=until)
    return row.id, closed[-1]


async def _signal(session: AsyncSession, candle: int, now: datetime, number: int) -> int:
    """A short signal on ether that was stopped."""
    begun = candle - (10 * number + 10) * _HOUR
    times = {"candle": begun, "expires": begun + 24 * _HOUR, "followed_to": begun + 5 * _HOUR}
    levels = {"direction": "short", "entry": Decimal(2000), "target": Decimal(1900), "stop": Decimal(2050)}
    end = {"status": SignalStatus.STOPPED, "close_price": Decimal(2050), "close_candle": begun + 5 * _HOUR}
    made = {"id": None, "symbol": people.ETH, "closed_at": now, "created_at": now}
    row = signals.make(**made, **times, **levels, **end)
    session.add(row)
    await session.flush()
    for event, price in (("opened", row.entry), ("stopped", row.stop)):
        session.add(models.SignalEvent(signal_id=row.id, event=event, price=price, candle=begun, at=now))
    await session.flush()
    return row.id
