"""Where the sandbox's candles come from: real history where it can be had, otherwise a labelled simulation.

Order: files of recorded candles beside the project, Binance's public endpoint (kept in a cache), a seeded walk.
Whatever shows these candles to a person says which of the two kinds they are (`Candles.label`).
"""

import functools
import itertools
import json
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REAL = "real Binance history"
SIMULATED = "simulated market"

MINUTE = 60_000
LENGTHS = {
    **{f"{n}m": n * MINUTE for n in (5, 15, 30)},
    **{f"{n}h": n * 60 * MINUTE for n in (1, 2, 4, 6, 8, 12)},
    "1d": 24 * 60 * MINUTE,
    "1w": 7 * 24 * 60 * MINUTE,
}
_MONDAY = 4 * 24 * 60 * MINUTE  # 1970-01-01 was a Thursday; Binance's weeks open on Mondays

SHARED = Path(__file__).parents[3] / "shared" / "data"
PUBLIC_API = "https://data-api.binance.vision"  # Binance's market-data-only address: no key, no regional block
FIRST = datetime(2023, 1, 1, tzinfo=UTC)
LAST = datetime(2024, 1, 1, tzinfo=UTC)

_FIELDS = ("ts", "open", "high", "low", "close", "volume")
_unreachable: set[str] = set()


@dataclass(frozen=True)
class Candles:
    """Candles of one market, oldest first: `ts` is the open time in epoch milliseconds, `volume` in base units."""

    timeframe: str
    label: str
    ts: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def length(self) -> int:
        """One candle's length in milliseconds."""
        return LENGTHS[self.timeframe]

    def between(self, since: datetime, until: datetime | None) -> "Candles":
        """Only the candles that open at or after `since` and before `until`."""
        lo = int(np.searchsorted(self.ts, _ms(since)))
        hi = int(np.searchsorted(self.ts, _ms(until))) if until else len(self)
        return Candles(self.timeframe, self.label, *(getattr(self, name)[lo:hi] for name in _FIELDS))


def load(
    symbol: str,
    timeframe: str,
    *,
    since: datetime = FIRST,
    until: datetime | None = None,
    shared: Path | None = SHARED,
    cache: Path | None = None,
    api: str | None = PUBLIC_API,
    seed: int = 7,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> Candles:
    """Candles of the market from the best source there is, labelled; never fails for want of files or network.

    Without `until`, all recorded candles or else the year 2023. `shared` or `api` set to None switches that source off.
    """
    base = "5m" if LENGTHS[timeframe] < LENGTHS["1h"] else "1h"
    found = _recorded(symbol, base, shared)
    if found is None:
        found = _downloaded(_Wanted(symbol, base, since, until or LAST), cache, api, say)
    if found is None:
        found = simulate(symbol, since, until or LAST, seed)
    return aggregate(found.between(since, until), timeframe)


def load_markets(
    symbols: Iterable[str], timeframes: Iterable[str], **options: Any
) -> tuple[dict[str, dict[str, Candles]], str]:
    """All the markets as `Exchange` takes them, and one label for all: "real" only if each one is."""
    frames = tuple(timeframes)
    markets = {symbol: {frame: load(symbol, frame, **options) for frame in frames} for symbol in symbols}
    return markets, label_of(markets)


def label_of(markets: dict[str, dict[str, Candles]]) -> str:
    """What a page or message must say about these candles."""
    labels = {candles.label for frames in markets.values() for candles in frames.values()}
    return REAL if labels == {REAL} else SIMULATED


def aggregate(candles: Candles, timeframe: str) -> Candles:
    """The same candles in a coarser timeframe, exactly: no half bucket at either end, a gap stays a gap."""
    if timeframe == candles.timeframe or not len(candles):
        return candles if timeframe == candles.timeframe else Candles(timeframe, *_columns(candles))
    length = LENGTHS[timeframe]
    if length % candles.length:
        raise ValueError(f"{timeframe} candles cannot be made from {candles.timeframe} candles")
    buckets = opening(candles.ts, timeframe)
    whole = (buckets >= candles.ts[0]) & (buckets + length <= candles.ts[-1] + candles.length)
    ts, open_, high, low, close, volume = (getattr(candles, name)[whole] for name in _FIELDS)
    first = np.flatnonzero(np.diff(buckets[whole], prepend=-1))
    if not len(first):
        return Candles(timeframe, candles.label, ts, open_, high, low, close, volume)
    last = np.append(first[1:], len(ts)) - 1
    return Candles(
        timeframe,
        candles.label,
        buckets[whole][first],
        open_[first],
        np.maximum.reduceat(high, first),
        np.minimum.reduceat(low, first),
        close[last],
        np.around(np.add.reduceat(volume, first), 8).astype(np.float64),
    )


def opening(ts: Any, timeframe: str) -> Any:
    """When the candle opened that holds this moment; epoch milliseconds, one number or an array."""
    offset = _MONDAY if timeframe == "1w" else 0
    return (ts - offset) // LENGTHS[timeframe] * LENGTHS[timeframe] + offset


def _recorded(symbol: str, timeframe: str, folder: Path | None) -> Candles | None:
    path = folder / f"binance_{symbol.replace('/', '')}_{timeframe}.csv.gz" if folder else None
    return _read_csv(path, timeframe) if path and path.exists() else None


@functools.lru_cache(maxsize=8)
def _read_csv(path: Path, timeframe: str) -> Candles:
    return _from_table(np.loadtxt(path, delimiter=",", skiprows=1), timeframe, REAL)


def _from_table(table: NDArray[np.float64], timeframe: str, label: str) -> Candles:
    return Candles(timeframe, label, table[:, 0].astype(np.int64), *(table[:, n] for n in range(1, 6)))


def _columns(candles: Candles) -> tuple[Any, ...]:
    return candles.label, candles.ts, candles.open, candles.high, candles.low, candles.close, candles.volume


@dataclass(frozen=True)
class _Wanted:
    symbol: str
    timeframe: str
    since: datetime
    until: datetime

    @property
    def name(self) -> str:
        span = f"{self.since:%Y%m%dT%H%M}_{self.until:%Y%m%dT%H%M}"
        return f"binance_{self.symbol.replace('/', '')}_{self.timeframe}_{span}.npy"

    def pages(self, api: str) -> list[str]:
        step, until = 1000 * LENGTHS[self.timeframe], _ms(self.until)
        query = f"symbol={self.symbol.replace('/', '')}&interval={self.timeframe}&limit=1000"
        starts = range(_ms(self.since), until, step)
        return [f"{api}/api/v3/klines?{query}&startTime={at}&endTime={min(at + step, until) - 1}" for at in starts]


def _downloaded(wanted: _Wanted, cache: Path | None, api: str | None, say: Callable[[str], None]) -> Candles | None:
    kept = cache / wanted.name if cache else None
    table = _read_kept(kept)
    if table is None and api and api not in _unreachable:
        table = _ask(wanted, api, say)
        if table is not None and kept:
            _keep(kept, table)
    return None if table is None else _from_table(table, wanted.timeframe, REAL)


def _ask(wanted: _Wanted, api: str, say: Callable[[str], None]) -> NDArray[np.float64] | None:
    try:
        _get(f"{api}/api/v3/ping")
        with ThreadPoolExecutor(6) as pool:
            rows = list(itertools.chain.from_iterable(pool.map(_get, wanted.pages(api))))
        return np.array([[float(value) for value in row[:6]] for row in rows]) if rows else None
    except (OSError, ValueError, TypeError) as error:
        # A symbol Binance does not know says nothing about the next one; anything else will not get better soon.
        if not isinstance(error, urllib.error.HTTPError) or error.code != 400:
            _unreachable.add(api)
        say(f"market history: no answer for {wanted.symbol} from {api}, showing a {SIMULATED}")
        return None


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=4) as answer:  # noqa: S310 the address is this module's own or a test's
        return json.load(answer)


def _read_kept(path: Path | None) -> NDArray[np.float64] | None:
    try:
        return np.load(path) if path and path.exists() else None
    except (OSError, ValueError, EOFError):
        return None  # cut off while it was written: fetch it again


def _keep(path: Path, table: NDArray[np.float64]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.save(part, table)
        part.replace(path)
    except OSError:
        path.unlink(missing_ok=True)


@functools.lru_cache(maxsize=8)
def simulate(symbol: str, since: datetime, until: datetime, seed: int = 7) -> Candles:
    """Five-minute candles nobody traded: a geometric walk with clusters of unrest and stretches that revert."""
    ts = np.arange(_ms(since), _ms(until), LENGTHS["5m"], dtype=np.int64)
    rng = np.random.default_rng([seed, zlib.crc32(symbol.encode())])
    start, decimals = _scale(symbol, rng)
    unrest, closes = _walk(rng, len(ts), start)
    close = np.round(closes, decimals)
    open_ = np.concatenate(([round(start, decimals)], close[:-1]))
    reach = np.abs(rng.normal(0, 0.6, (2, len(ts)))) * unrest
    high = np.round(np.maximum(open_, close) * (1 + reach[0]), decimals)
    low = np.round(np.minimum(open_, close) * (1 - reach[1]), decimals)
    volume = np.round(rng.lognormal(0, 0.5, len(ts)) * unrest * (3e9 / start), 5)
    return Candles("5m", SIMULATED, ts, open_, high, low, close, volume)


def _scale(symbol: str, rng: np.random.Generator) -> tuple[float, int]:
    start = {"BTC": 16_540.0, "ETH": 1_195.0}.get(symbol.partition("/")[0]) or float(10 ** rng.uniform(-1, 2.5))
    return start, 2 if start >= 10 else 4


def _walk(rng: np.random.Generator, steps: int, start: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shocks = rng.standard_t(5, steps) / np.sqrt(5 / 3)
    moods = rng.normal(0, 0.12, steps)
    turns = rng.random(steps) < 1 / 144  # a stretch lasts half a day on average
    pulls = np.where(rng.random(steps) < 0.5, 0.015, 0.0)
    drifts = rng.normal(0, 4e-5, steps)
    unrest, logs = np.empty(steps), np.empty(steps)
    mood, price, anchor, pull, drift = 0.0, float(np.log(start)), float(np.log(start)), 0.015, 0.0
    for i in range(steps):
        if turns[i]:
            anchor, pull, drift = price, float(pulls[i]), float(drifts[i])
        mood = 0.98 * mood + float(moods[i])
        unrest[i] = 0.0011 * np.exp(mood)
        price += pull * (anchor - price) + (0.0 if pull else drift) + float(unrest[i] * shocks[i])
        logs[i] = price
    return unrest, np.exp(logs)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
