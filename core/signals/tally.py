"""The public results in figures: every closed signal counted, losses included, by strategy, market and month."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import ColumnElement, Float, String, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from core import clock
from core.models import Signal, SignalStatus
from core.signals import results

ENOUGH = 30
"""From so many closed signals on, a share of gains says something."""
_CLOSED = (Signal.status != SignalStatus.OPEN, Signal.close_price.is_not(None))


@dataclass(frozen=True, slots=True)
class Group:
    """Closed signals together. `gains` brought more than nothing, `losses` less; `r` their sum, after assumed costs."""

    name: str
    closed: int
    gains: int
    losses: int
    r: Decimal

    @property
    def rate(self) -> Decimal | None:
        """The share of gains in percent, None while there are too few to speak of one."""
        return Decimal(100 * self.gains) / self.closed if self.closed >= ENOUGH else None


@dataclass(frozen=True, slots=True)
class Tally:
    """How all closed signals ended.

    `late` of them came too late to be sent as fresh, and `bare` were published before costs were assumed. `first` and
    `last` are when the first of them was published and the last one closed, `oldest` is when the one of those `running`
    was published that is open for longest. Months are named 2026-01, newest first.
    """

    whole: Group
    ends: dict[str, int]
    late: int
    bare: int
    running: int
    first: datetime | None
    last: datetime | None
    oldest: datetime | None
    strategies: tuple[Group, ...]
    markets: tuple[Group, ...]
    months: tuple[Group, ...]

    @property
    def closed(self) -> int:
        """How many are closed."""
        return self.whole.closed


class _Bucket(NamedTuple):
    """Closed signals that are alike in what they are counted by; `r` in hundredths."""

    strategy: str
    symbol: str
    month: str
    status: str
    late: bool
    bare: bool
    closed: int
    gains: int
    losses: int
    r: int


async def count(session: AsyncSession) -> Tally:
    """The tally of everything that was ever published."""
    buckets = [*await _kept(session), *[_alone(signal) for signal in await _unkept(session)]]
    spans = await session.execute(select(func.min(Signal.created_at), func.max(Signal.closed_at)).where(*_CLOSED))
    first, last = spans.one()
    waiting = select(func.count(), func.min(Signal.created_at)).where(Signal.status == SignalStatus.OPEN)
    running, oldest = (await session.execute(waiting)).one()
    ends: Counter[str] = Counter()
    for bucket in buckets:
        ends[bucket.status] += bucket.closed
    return Tally(
        whole=_group("", buckets),
        ends=dict(ends),
        late=sum(bucket.closed for bucket in buckets if bucket.late),
        bare=sum(bucket.closed for bucket in buckets if bucket.bare),
        running=running,
        first=first,
        last=last,
        oldest=oldest,
        strategies=_groups((bucket.strategy, bucket) for bucket in buckets),
        markets=_groups((bucket.symbol, bucket) for bucket in buckets),
        months=_groups((bucket.month, bucket) for bucket in buckets)[::-1],
    )


async def curve(session: AsyncSession) -> list[tuple[int, float]]:
    """The sum of all results so far, in R, after each closed signal: (epoch milliseconds, R), in the order of time."""
    kept = select(Signal.closed_at, Signal.brought).where(*_CLOSED, Signal.brought.is_not(None))
    ends = [(at, brought or 0) for at, brought in await session.execute(kept) if at]
    ends += [(signal.closed_at, _hundredths(signal)) for signal in await _unkept(session) if signal.closed_at]
    points, total = [], 0
    for at, brought in sorted(ends):
        total += brought
        points.append((clock.to_ms(at), total / 100))
    return points


async def closed(session: AsyncSession) -> int:
    """How many signals are closed."""
    return await session.scalar(select(func.count()).select_from(Signal).where(*_CLOSED)) or 0


async def _kept(session: AsyncSession) -> list[_Bucket]:
    """Those whose result is kept, added up by the database."""
    bare = (cast(Signal.fee, Float) + cast(Signal.slippage, Float) == 0).label("bare")
    alike = (Signal.strategy, Signal.symbol, _month(session).label("month"), Signal.status, Signal.late, bare)
    # As a table of its own, whose columns can be named twice: PostgreSQL takes an expression with parameters, given
    # twice, for two expressions.
    each = select(*alike, Signal.brought).where(*_CLOSED, Signal.brought.is_not(None)).subquery().c
    same = (each.strategy, each.symbol, each.month, each.status, each.late, each.bare)
    gains = func.sum(case((each.brought > 0, 1), else_=0))
    losses = func.sum(case((each.brought < 0, 1), else_=0))
    asked = select(*same, func.count(), gains, losses, func.sum(each.brought)).group_by(*same)
    return [
        _Bucket(strategy, symbol, month, str(status), bool(late), bool(bare), *map(int, counted))
        for strategy, symbol, month, status, late, bare, *counted in await session.execute(asked)
    ]


def _month(session: AsyncSession) -> ColumnElement[str]:
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", Signal.closed_at), "YYYY-MM")
    return func.substr(cast(Signal.closed_at, String), 1, 7)


async def _unkept(session: AsyncSession) -> Sequence[Signal]:
    """Those that closed before results were kept."""
    needed = (Signal.strategy, Signal.symbol, Signal.status, Signal.direction, Signal.entry, Signal.stop, Signal.late)
    ended = (Signal.filled, Signal.close_price, Signal.closed_at, Signal.fee, Signal.slippage)
    rows = select(Signal).where(*_CLOSED, Signal.brought.is_(None)).options(load_only(*needed, *ended))
    return (await session.scalars(rows)).all()


def _hundredths(signal: Signal) -> int:
    return int(results.r(signal).scaleb(2))


def _alone(signal: Signal) -> _Bucket:
    r = _hundredths(signal)
    month = signal.closed_at.strftime("%Y-%m") if signal.closed_at else ""
    bare = not signal.fee + signal.slippage
    what = (signal.strategy, signal.symbol, month, str(signal.status), signal.late, bare)
    return _Bucket(*what, 1, int(r > 0), int(r < 0), r)


def _groups(named: Iterable[tuple[str, _Bucket]]) -> tuple[Group, ...]:
    """A group for each name, in the order of the names."""
    found: dict[str, list[_Bucket]] = {}
    for name, bucket in named:
        found.setdefault(name, []).append(bucket)
    return tuple(_group(name, found[name]) for name in sorted(found))


def _group(name: str, buckets: Iterable[_Bucket]) -> Group:
    closed = gains = losses = r = 0
    for bucket in buckets:
        closed, gains, losses = closed + bucket.closed, gains + bucket.gains, losses + bucket.losses
        r += bucket.r
    return Group(name, closed, gains, losses, Decimal(r).scaleb(-2))
