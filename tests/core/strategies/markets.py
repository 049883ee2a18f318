"""Markets drawn by Hypothesis: calm and wild, flat, stepped, tiny and huge, with gaps and broken figures."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pydantic
from hypothesis import settings
from hypothesis import strategies as draws

from core.market.series import Series

HOUR = 3_600_000
START = 1_672_531_200_000

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Market:
    """A recipe rather than arrays, so that Hypothesis shrinks it quickly and prints it in one line."""

    seed: int
    length: int
    scale: float
    kind: str
    gaps: tuple[float, ...] = ()
    broken: tuple[tuple[float, str, float], ...] = ()

    def series(self) -> Series:
        """Candles made from the recipe, the same every time; places of gaps and faults are shares of the length."""
        chance = np.random.default_rng(self.seed)
        close = self.scale * _path(chance, self.length, self.kind)
        opened = np.concatenate([close[:1], close[:-1]])
        spread = np.abs(chance.normal(0, 0.002, (2, self.length))) * (self.kind != "constant")
        high, low = np.maximum(opened, close) * (1 + spread[0]), np.minimum(opened, close) * (1 - spread[1])
        open_time = START + HOUR * np.arange(self.length, dtype=np.int64)
        for share in self.gaps:
            open_time[int(share * self.length) :] += 3 * HOUR
        columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.ones(self.length)}
        for share, column, value in self.broken if self.length else ():
            columns[column][int(share * self.length)] = value
        return Series(open_time=open_time, **columns)


def _path(chance: np.random.Generator, length: int, kind: str) -> np.ndarray:
    if kind == "constant":
        return np.full(length, 1.1)
    moves = chance.normal(0, 0.01, length)
    if kind == "stepped":
        moves *= chance.random(length) < 0.05
    path = np.exp(np.cumsum(moves))
    return np.round(path, 2) if kind == "ticks" else path


_SHARES = draws.floats(0, 0.999)
_FAULTS = draws.tuples(
    _SHARES,
    draws.sampled_from(["open", "high", "low", "close", "volume"]),
    draws.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e308]),
)


def candles(*closes: float) -> Series:
    """Each candle opens at the close before and reaches half a unit beyond both."""
    opens = [closes[0], *closes[:-1]]
    return Series.from_rows(
        [
            (START + i * HOUR, o, max(o, c) + 0.5, min(o, c) - 0.5, c, 1.0)
            for i, (o, c) in enumerate(zip(opens, closes, strict=True))
        ]
    )


def markets(faulty: bool = True) -> draws.SearchStrategy[Market]:
    """Markets of up to 300 candles; with `faulty` also gaps and figures that no exchange should give."""
    return draws.builds(
        Market,
        seed=draws.integers(0, 2**32),
        length=draws.integers(0, 300),
        scale=draws.sampled_from([1e-300, 1e-12, 1.234e-5, 1.0, 27_412.1, 1e12, 1e150, 1e300]),
        kind=draws.sampled_from(["walk", "walk", "ticks", "stepped", "constant"]),
        gaps=draws.lists(_SHARES, max_size=2).map(tuple) if faulty else draws.just(()),
        broken=draws.lists(_FAULTS, max_size=2).map(tuple) if faulty else draws.just(()),
    )


def walk(seed: int, warmup: int) -> Series:
    """A long random walk with two gaps and two broken figures, and enough candles between them for this warmup."""
    chance = np.random.default_rng(seed)
    places = (np.array([0.2, 0.4, 0.6, 0.8]) + chance.uniform(0, 0.05, 4)).tolist()
    broken = ((places[1], "close", np.nan), (places[3], "low", np.inf))
    length = 600 + 6 * warmup
    return Market(seed, length, 27_412.1, "walk", gaps=(places[0], places[2]), broken=broken).series()


def params(model: type[pydantic.BaseModel]) -> draws.SearchStrategy[dict[str, object]]:
    """Values within the declared bounds of any strategy's params, near the lower ones so that windows are short."""
    fields = model.model_json_schema().get("properties", {})
    # Whole numbers are windows: a default would often be longer than the whole market.
    windows = {name: _values(field) for name, field in fields.items() if field.get("type") == "integer"}
    others = {name: _values(field) for name, field in fields.items() if name not in windows}
    return draws.fixed_dictionaries(windows, optional=others)


def _values(field: dict[str, object]) -> draws.SearchStrategy[object]:
    least = field.get("minimum", field.get("exclusiveMinimum", 0))
    most = field.get("maximum", field.get("exclusiveMaximum", 100))
    assert isinstance(least, int | float)
    assert isinstance(most, int | float)
    if "enum" in field:
        return draws.sampled_from(list(cast("list[object]", field["enum"])))
    match field.get("type"):
        case "integer":
            return draws.integers(int(least), int(min(most, least + 40)))
        case "number":
            return draws.floats(least, min(most, least + 3), exclude_min="exclusiveMinimum" in field)
        case "boolean":
            return draws.booleans()
        case _:
            return draws.just(field["default"])
