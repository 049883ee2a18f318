"""Markets that jump and gap, candles within candles, and a strategy that throws dice: much happens in few candles."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import numpy as np
import pydantic
from hypothesis import strategies as draws

from core import catalogue
from core.market import ticks
from core.market.candles import Candle
from core.market.series import Series
from core.strategies import base

HOUR, QUARTER = 3_600_000, 900_000
START = 1_672_531_200_000
LADDERS = (
    (),
    (catalogue.Exit(at=Decimal("0.5"), share=Decimal("0.5"), stop="entry"), catalogue.Exit(at=1, share=Decimal("0.5"))),
    (
        catalogue.Exit(at=Decimal("0.3333"), share=Decimal("0.25")),
        catalogue.Exit(at=Decimal("0.6667"), share=Decimal("0.25"), stop="previous"),
        catalogue.Exit(at=1, share=Decimal("0.5")),
    ),
)


class DiceParams(pydantic.BaseModel):
    seed: int = 1
    often: int = 3
    reach: float = 0.02
    expires_after: int = 6


class Dice(base.Strategy):
    """Enters at about one candle in `often`, in any direction, with levels up to `reach` away."""

    name: ClassVar[str] = "dice"
    Params: ClassVar[type[pydantic.BaseModel]] = DiceParams
    params: DiceParams

    @property
    def warmup(self) -> int:
        return 2

    @property
    def expires_after(self) -> int:
        return self.params.expires_after

    def entries(self, series: Series) -> base.Entries:
        thrown = self._thrown(series.open_time)
        candles = np.flatnonzero(thrown % self.params.often == 0)
        thrown, close = thrown[candles], series.close[candles]
        direction = np.where(thrown >> 8 & 1, 1, -1).astype(np.int8)
        target = close * (1 + direction * self.params.reach * (1 + (thrown >> 9 & 63)) / 64)
        stop = close * (1 - direction * self.params.reach * (1 + (thrown >> 15 & 63)) / 64)
        return base.sound_entries(series, self.warmup, candles, direction=direction, target=target, stop=stop)

    def explain(self, series: Series, i: int) -> tuple[str, dict[str, float]]:
        return "The dice said so.", {"close": float(series.close[i])}

    def _thrown(self, open_time: np.ndarray) -> np.ndarray:
        mixed = (open_time // 60_000 + 1) * (2 * self.params.seed + 1) * 2_654_435_761 % (1 << 40)
        return mixed * 40_503 % (1 << 40) >> 14


@dataclass(frozen=True)
class Jumps:
    """A recipe of a market: quarters of an hour that move by about `swing`, hours made of them, and some missing."""

    seed: int
    hours: int = 40
    swing: float = 0.006
    price: float = 100.0
    tick: Decimal = Decimal("0.01")
    gaps: float = 0.05
    holes: float = 0.1

    def quarters(self) -> list[Candle]:
        """Quarters of an hour, of which the share `holes` is missing."""
        chance = np.random.default_rng(self.seed)
        kept = chance.random(4 * self.hours) >= self.holes
        return [row for row, keep in zip(self._quarters(), kept, strict=True) if keep]

    def candles(self) -> list[Candle]:
        """Hours, of which about the share `gaps` is missing, together with one or two after it."""
        rows = self._quarters()
        whole = [_joined(rows[at : at + 4]) for at in range(0, len(rows), 4)]
        missing = np.random.default_rng(self.seed + 1).random(self.hours) < self.gaps
        missing |= np.roll(missing, 1) & (np.arange(self.hours) % 3 > 0)
        return [row for row, gone in zip(whole, missing, strict=True) if not gone]

    def _quarters(self) -> list[Candle]:
        chance = np.random.default_rng(self.seed + 2)
        count = 4 * self.hours
        moves = chance.normal(0, self.swing, (4, count)) * chance.choice([0.3, 1, 3], count)
        opened, rows = self.price, []
        for at in range(count):
            jump, move, up, down = moves[:, at]
            opened = opened * (1 + jump * (at % 7 == 0))
            close = max(opened * (1 + move), self.price / 50)
            high, low = max(opened, close) * (1 + abs(up)), min(opened, close) * (1 - min(abs(down), 0.5))
            prices = [max(ticks.nearest(price, self.tick), self.tick) for price in (opened, high, low, close)]
            rows.append(Candle(START + at * QUARTER, *prices, Decimal(1)))
            opened = close
        return rows


def _joined(rows: Sequence[Candle]) -> Candle:
    highest, lowest = max(row.high for row in rows), min(row.low for row in rows)
    return Candle(rows[0].open_time, rows[0].open, highest, lowest, rows[-1].close, Decimal(len(rows)))


def jumps() -> draws.SearchStrategy[Jumps]:
    """Recipes of all kinds: cheap and dear coins, coarse and fine ticks, with and without gaps."""
    grid = [(100.0, "0.01"), (100.0, "1"), (27_412.1, "0.01"), (0.00123, "0.00000001"), (1.5, "0.25"), (5e8, "0.1")]
    return draws.builds(
        lambda seed, place, gaps, holes: Jumps(
            seed, price=grid[place][0], tick=Decimal(grid[place][1]), gaps=gaps, holes=holes
        ),
        draws.integers(0, 1 << 30),
        draws.integers(0, len(grid) - 1),
        draws.sampled_from([0.0, 0.05, 0.2]),
        draws.sampled_from([0.0, 0.1]),
    )
