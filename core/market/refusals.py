"""What an exchange may say instead of candles, by what has to happen next."""

from core import errors


class UnusableError(errors.UnreachableError):
    """The exchange answered, but not with something one may trust; treated as an outage, no signal is made of it."""


class BannedError(errors.UnreachableError):
    """The exchange wants no request from us for so many `seconds`; until then none is sent."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


class BarredError(errors.SignalStackError):
    """It will not work until the operator acts: blocked region, refused key, unknown or delisted market."""


class DelistedError(BarredError):
    """The exchange no longer trades this market, or no longer knows it."""
