"""Other backtesters on the same candles and entries; run by tests/bench/backtest.py with the Python of their own venv.

`python peers.py NAME GIVEN.npz FOUND.npz`: each line on the standard input makes it run once more, answered by the
processor seconds that took; at the end its trades (entry, exit, price) are in FOUND. Nothing of this project is used.
"""

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

# A level that is reached exactly must be reached in its arithmetic of shares of the price too.
_NUDGE = 1 - 1e-10


def vectorbt(given: Any) -> Callable[[], Any]:
    """Fills at the deciding close, because its stops count from the candle after the fill on only."""
    import pandas as pd
    import vectorbt as vbt

    columns = {name: pd.Series(given[name]) for name in ("open", "high", "low", "close")}
    direction, close = given["direction"], given["close"]
    stop = np.abs(close - given["stop"]) / close * _NUDGE
    target = np.abs(given["target"] - close) / close * _NUDGE

    def run() -> Any:
        portfolio = vbt.Portfolio.from_signals(
            columns["close"],
            entries=direction > 0,
            short_entries=direction < 0,
            open=columns["open"],
            high=columns["high"],
            low=columns["low"],
            sl_stop=stop,
            tp_stop=target,
            size=1.0,
            init_cash=1e12,
            upon_opposite_entry="ignore",
            freq="1h",
        )
        trades = portfolio.trades.records
        trades = trades[trades["status"] == 1]
        return trades["entry_idx"].to_numpy(), trades["exit_idx"].to_numpy(), trades["exit_price"].to_numpy()

    return run


def backtesting(given: Any) -> Callable[[], Any]:
    """Fills at the open of the next candle, like ours."""
    import pandas as pd
    from backtesting import Backtest, Strategy

    names = {"Open": "open", "High": "high", "Low": "low", "Close": "close"}
    index = pd.to_datetime(given["open_time"], unit="ms")
    frame = pd.DataFrame({name: given[column] for name, column in names.items()}, index=index)
    direction, stop, target = (given[name] for name in ("direction", "stop", "target"))

    class Given(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            at = len(self.data) - 1
            if direction[at] and not self.position:
                order = self.buy if direction[at] > 0 else self.sell
                order(size=1, sl=stop[at], tp=target[at])

    def run() -> Any:
        trades = Backtest(frame, Given, cash=1e12, commission=0.0).run()["_trades"]
        # The trade is filled one candle after the deciding one.
        return trades["EntryBar"].to_numpy() - 1, trades["ExitBar"].to_numpy(), trades["ExitPrice"].to_numpy()

    return run


def main() -> None:
    """Runs as often as lines come in."""
    name, given, found = sys.argv[1:]
    warnings.simplefilter("ignore")
    run = {"vectorbt": vectorbt, "backtesting": backtesting}[name](np.load(given))
    trades = None
    for _ in sys.stdin:
        began = time.process_time()
        trades = run()
        print(time.process_time() - began, flush=True)
    if trades is not None:
        np.savez(found, entry=trades[0], exit=trades[1], price=trades[2])


if __name__ == "__main__":
    main()
