"""Timeframes: how long a candle is, where it begins, when it closes. All epochs are UTC milliseconds."""

import re

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(timeframe: str) -> int:
    """The length of a candle in seconds; raises ValueError for what is no timeframe."""
    match = re.fullmatch(r"([1-9]\d{0,2})([mhdw])", timeframe)
    if not match:
        raise ValueError("write a timeframe such as 5m, 1h, 4h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def ms(timeframe: str) -> int:
    """The length of a candle in milliseconds."""
    return seconds(timeframe) * 1000


def floor(timeframe: str, moment_ms: int) -> int:
    """The open time of the candle that contains this moment; weeks begin on Monday, as on the exchanges."""
    length = ms(timeframe)
    shift = 4 * 86_400_000 if timeframe.endswith("w") else 0  # the epoch was a Thursday
    return (moment_ms - shift) // length * length + shift


def last_closed(timeframe: str, now_ms: int) -> int:
    """The open time of the newest candle that is closed at this moment of the exchange's clock."""
    return floor(timeframe, now_ms) - ms(timeframe)


def staleness(timeframe: str) -> float:
    """How many seconds after its candle's close an opening may still be sent: min(15 minutes, half the timeframe)."""
    return min(900.0, seconds(timeframe) / 2)
