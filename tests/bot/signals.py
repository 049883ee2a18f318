"""Signals for tests of what is said about them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from core import models
from core.models import SignalStatus

HOUR = 3_600_000
CANDLE = 1_678_780_800_000  # 14 March 2023, 08:00 UTC


def make(**given: Any) -> models.Signal:
    """An open long signal on BTC/USDT, not in any database; every field can be given."""
    values: dict[str, Any] = {
        "id": 12,
        "watch": "mean_reversion binance BTC/USDT 1h",
        "strategy": "mean_reversion",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "candle": CANDLE,
        "direction": "long",
        "entry": Decimal("27412.1"),
        "target": Decimal(27900),
        "stop": Decimal(27100),
        "tick": Decimal("0.01"),
        "reason": "Close 27412 is 2.31 standard deviations below its 48-candle mean 27900; ATR 14 = 125.",
        "figures": {},
        "params": {},
        "expires": CANDLE + 49 * HOUR,
        "followed_to": CANDLE,
        "status": SignalStatus.OPEN,
        "created_at": datetime(2023, 3, 14, 9, tzinfo=UTC),
        "closed_at": None,
        "close_candle": None,
        "close_price": None,
        "late": False,
    }
    return models.Signal(**(values | given))


def ended(status: SignalStatus, price: str, candles: int = 7, **given: Any) -> models.Signal:
    """The same signal with an end after so many candles."""
    end = {"status": status, "close_price": Decimal(price), "close_candle": CANDLE + candles * HOUR}
    return make(**(end | {"closed_at": datetime(2023, 3, 15, tzinfo=UTC)} | given))
