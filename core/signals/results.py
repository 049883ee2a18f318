"""What a signal brought: the one place that computes a result, for chat, pages and records alike."""

from decimal import Decimal

from core.models import Signal

_PERCENT = Decimal("0.01")
_R = Decimal("0.01")


def percent(signal: Signal, price: Decimal | None = None) -> Decimal:
    """Gain in percent of the entry at `price` (default: the price it closed at), two decimals; losses are negative.

    Raises ValueError for an open signal without a price. Fees are not counted.
    """
    return (_gain(signal, price) / signal.entry * 100).quantize(_PERCENT)


def r(signal: Signal, price: Decimal | None = None) -> Decimal:
    """Gain in multiples of what was risked between entry and stop, two decimals; -1.00 is a clean stop."""
    return (_gain(signal, price) / abs(signal.entry - signal.stop)).quantize(_R)


def reward_risk(signal: Signal) -> Decimal:
    """How many times the risk the target would bring, two decimals."""
    return r(signal, signal.target)


def _gain(signal: Signal, price: Decimal | None) -> Decimal:
    at = signal.close_price if price is None else price
    if at is None:
        raise ValueError(f"Signal {signal.id} is open; its result needs a price.")
    return at - signal.entry if signal.direction == "long" else signal.entry - at
