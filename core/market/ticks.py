"""Ticks: prices in the domain are exact decimals and multiples of the market's smallest step."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

FINEST = Decimal("0.00000001")
"""The tick of a market whose exchange names none."""

_EXACT = Context(prec=60)


def exact(value: object) -> Decimal:
    """The number as it is written, without trailing zeros.

    Raises ValueError for what is no finite number, and for numbers with more than 20 digits before or 40 after the
    point: nothing is traded at such a price.
    """
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise ValueError(f"{value!r} is no number") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is no finite number")
    plain = number.normalize(_EXACT)
    exponent = int(plain.as_tuple().exponent)
    if plain.adjusted() >= 20 or exponent < -40:
        raise ValueError(f"{value!r} is no price")
    return plain if exponent <= 0 else plain.quantize(Decimal(1), context=_EXACT)


def nearest(price: float | Decimal, tick: Decimal) -> Decimal:
    """The multiple of the tick nearest to the price, with as many decimals as the tick has."""
    return _step(price, tick, ROUND_HALF_EVEN)


def below(price: float | Decimal, tick: Decimal) -> Decimal:
    """The largest multiple of the tick that is not above the price."""
    return _step(price, tick, ROUND_FLOOR)


def above(price: float | Decimal, tick: Decimal) -> Decimal:
    """The smallest multiple of the tick that is not below the price."""
    return _step(price, tick, ROUND_CEILING)


def _step(price: float | Decimal, tick: Decimal, rounding: str) -> Decimal:
    steps = _EXACT.divide(exact(price), tick).to_integral_value(rounding)
    return _EXACT.multiply(steps, tick).quantize(tick, context=_EXACT)
