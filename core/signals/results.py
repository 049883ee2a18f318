"""What a signal brought: the one place that computes a result, for chat, pages, backtests and records alike.

A result counts from the open of the candle after the deciding one, over the average price of all exits, less the
assumed fee and slippage at both sides. R measures it in what was at risk between the published entry and stop.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from core.models import Signal

_CENT = Decimal("0.01")
_ONE, _HUNDRED = Decimal(1), Decimal(100)
# Of their own, because libraries change the common one, and then the same trade would have two results.
_ROUNDING = Context(prec=28, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Trade:
    """What a result depends on: prices in quote units, `exit` the average of all exits, costs in percent at a side."""

    long: bool
    entry: Decimal
    stop: Decimal
    filled: Decimal
    exit: Decimal
    fee: Decimal = Decimal(0)
    slippage: Decimal = Decimal(0)

    @property
    def gain(self) -> Decimal:
        """What one unit brought after costs, in quote units; losses are negative."""
        with localcontext(_ROUNDING):
            moved = self.exit - self.filled if self.long else self.filled - self.exit
            return moved - (self.fee + self.slippage) / _HUNDRED * (self.filled + self.exit)

    @property
    def percent(self) -> Decimal:
        """The gain in percent of the price it was filled at, two decimals."""
        return _rounded(self.gain, self.filled, _HUNDRED)

    @property
    def r(self) -> Decimal:
        """The gain in multiples of the risk, two decimals; a clean stop is -1.00 less the costs."""
        return _rounded(self.gain, abs(self.entry - self.stop))


def _rounded(part: Decimal, whole: Decimal, times: Decimal = _ONE) -> Decimal:
    """The ratio, to two decimals, half to even, whatever anybody has set."""
    with localcontext(_ROUNDING):
        return (part / whole * times).quantize(_CENT)


def trade(signal: Signal, price: Decimal | None = None) -> Trade:
    """The signal as a trade that is over, or, with `price`, as if what is left of it were sold there.

    Raises ValueError for an open signal without a price.
    """
    at = signal.close_price if price is None else signal.banked + signal.left * price
    if at is None:
        raise ValueError(f"Signal {signal.id} is open; its result needs a price.")
    return Trade(
        long=signal.direction == "long",
        entry=signal.entry,
        stop=signal.stop,
        filled=signal.filled or signal.entry,
        exit=at,
        fee=signal.fee,
        slippage=signal.slippage,
    )


def percent(signal: Signal, price: Decimal | None = None) -> Decimal:
    """The result in percent, as `Trade.percent` says; open signals need a price."""
    return trade(signal, price).percent


def r(signal: Signal, price: Decimal | None = None) -> Decimal:
    """The result in R, as `Trade.r` says; open signals need a price."""
    return trade(signal, price).r


def planned_percent(signal: Signal, price: Decimal) -> Decimal:
    """How far a level is from the published entry in percent, two decimals, before costs; losses are negative."""
    return _rounded(_moved(signal, price), signal.entry, _HUNDRED)


def planned_r(signal: Signal, price: Decimal) -> Decimal:
    """The same in multiples of the risk; the first stop is -1.00."""
    return _rounded(_moved(signal, price), abs(signal.entry - signal.stop))


def reward_risk(signal: Signal) -> Decimal:
    """How many times the risk all targets together would bring, two decimals, before costs."""
    average = sum((level.share * level.price for level in signal.levels), Decimal(0))
    return planned_r(signal, average)


def _moved(signal: Signal, price: Decimal) -> Decimal:
    return price - signal.entry if signal.direction == "long" else signal.entry - price
