"""What closed candles do to an open position: filled at the first open, targets, stop, expiry.

A position counts from the open of the candle after the deciding one: the first price that a reader could have had.
Each candle is judged by `exits.touched`. A target that is not the last takes its share out and may move the stop, which
counts from the next candle on. Where finer candles are at hand, they decide a candle that touched both stop and target.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from core.columns import Level
from core.market import candles, timeframes
from core.models import Signal, SignalStatus
from core.signals import exits

WHOLE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Position:
    """A position as it stands; `stop` is where the stop is now, `banked` the sum of share times price that left.

    `expires` is when its last candle closes, epoch milliseconds; `length` of a candle in milliseconds.
    """

    long: bool
    entry: Decimal
    stop: Decimal
    levels: tuple[Level, ...]
    expires: int
    length: int
    reached: int = 0
    filled: Decimal | None = None
    left: Decimal = WHOLE
    banked: Decimal = Decimal(0)

    @property
    def closed(self) -> bool:
        """Whether nothing of it is left."""
        return not self.left


@dataclass(frozen=True, slots=True)
class Change:
    """`share` left at `price` in the candle that opened at `candle`; the stop stands at `stop` from then on.

    `event` is "target1" and so on for a target that is not the last, else the status that closed the position.
    """

    event: str
    price: Decimal
    share: Decimal
    stop: Decimal
    candle: int


def position(signal: Signal) -> Position:
    """How this signal stands."""
    return Position(
        long=signal.direction == "long",
        entry=signal.entry,
        stop=signal.stop if signal.stop_now is None else signal.stop_now,
        levels=signal.levels,
        expires=signal.expires,
        length=timeframes.ms(signal.timeframe),
        reached=signal.reached,
        filled=signal.filled,
        left=signal.left,
        banked=signal.banked,
    )


def step(
    now: Position, candle: candles.Candle, finer: Sequence[candles.Candle] = ()
) -> tuple[Position, tuple[Change, ...]]:
    """The position after this candle, the next after those it has seen, and what changed, in order.

    `finer` are shorter candles that make up exactly this one, or none.
    """
    changes: list[Change] = []
    if now.filled is None:
        now = replace(now, filled=candle.open)
    walked = finer if finer and unclear(now, candle) else (candle,)
    for part in walked:
        now = _walked(now, part, candle.open_time, changes)
        if now.closed:
            break
    if not now.closed and candle.open_time + now.length >= now.expires:
        now = leave(now, SignalStatus.EXPIRED, candle.close, candle.open_time, changes)
    return now, tuple(changes)


def leave(now: Position, event: str, price: Decimal, candle: int, changes: list[Change]) -> Position:
    """The position after all that was left of it went out at this price, which is one more change."""
    changes.append(Change(str(event), price, now.left, now.stop, candle))
    return replace(now, left=Decimal(0), banked=now.banked + now.left * price, filled=now.filled or now.entry)


def unclear(now: Position, candle: candles.Candle) -> bool:
    """Whether the candle touched both the stop and the next target."""
    target = now.levels[now.reached].price
    if now.long:
        return candle.low <= now.stop and candle.high >= target
    return candle.high >= now.stop and candle.low <= target


def _walked(now: Position, candle: candles.Candle, at: int, changes: list[Change]) -> Position:
    """The position after the touches of one candle; changes are told of the candle that opened `at`."""
    stop = now.stop  # one that moves in this candle counts from the next candle on
    while not now.closed:
        level = now.levels[now.reached]
        prices = map(float, (stop, level.price, candle.open, candle.high, candle.low))
        match int(exits.touched(now.long, *prices)):
            case exits.STOP:
                return leave(now, SignalStatus.STOPPED, stop, at, changes)
            case exits.STOP_AT_OPEN:
                return leave(now, SignalStatus.STOPPED, candle.open, at, changes)
            case exits.TARGET:
                now = _reach(now, level, level.price, at, changes)
            case exits.TARGET_AT_OPEN:
                now = _reach(now, level, candle.open, at, changes)
            case _:
                return now
    return now


def _reach(now: Position, level: Level, price: Decimal, at: int, changes: list[Change]) -> Position:
    now = replace(now, reached=now.reached + 1)
    if now.reached == len(now.levels):
        return leave(now, SignalStatus.TARGET, price, at, changes)
    stop = now.stop if level.stop is None else level.stop
    changes.append(Change(f"target{now.reached}", price, level.share, stop, at))
    return replace(now, stop=stop, left=now.left - level.share, banked=now.banked + level.share * price)
