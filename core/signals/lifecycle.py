"""What a closed candle does to an open signal: stop, target, expiry, or nothing.

When one candle touches both stop and target, the stop counts: nobody can know which came first, and the worse case is
the honest one. A candle that opens beyond a level closes the signal at its open, where a real order would have filled.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.market import candles, timeframes
from core.models import Signal, SignalStatus


@dataclass(frozen=True, slots=True)
class Close:
    """How a signal ended: `price` in quote units, `candle` the open time of the deciding candle."""

    status: SignalStatus
    price: Decimal
    candle: int


def step(signal: Signal, candle: candles.Candle) -> Close | None:
    """How this candle, closed after the signal was published, ends the signal; None when it stays open."""
    long = signal.direction == "long"
    stopped = candle.low <= signal.stop if long else candle.high >= signal.stop
    reached = candle.high >= signal.target if long else candle.low <= signal.target
    worse, better = (min, max) if long else (max, min)
    if stopped:
        return Close(SignalStatus.STOPPED, worse(signal.stop, candle.open), candle.open_time)
    if reached:
        return Close(SignalStatus.TARGET, better(signal.target, candle.open), candle.open_time)
    if candle.open_time + timeframes.ms(signal.timeframe) >= signal.expires:
        return Close(SignalStatus.EXPIRED, candle.close, candle.open_time)
    return None
