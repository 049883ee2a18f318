"""What every strategy promises, as checks that raise AssertionError; `test_promises.py` shows that they can fail."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import pydantic

from core.market.series import Series
from core.strategies import base

COLUMNS = ("open", "high", "low", "close", "volume")


def said_of(entries: base.Entries, i: int) -> bytes:
    """What was said of candle `i`, bit for bit."""
    return b"".join(column[i].tobytes() for column in (entries.direction, entries.target, entries.stop))


def said_from(entries: base.Entries, start: int, stop: int) -> tuple[bytes, ...]:
    """What was said of these candles, bit for bit."""
    return tuple(column[start:stop].tobytes() for column in (entries.direction, entries.target, entries.stop))


def telling(entries: base.Entries) -> list[int]:
    """Candles worth a look: those with entries, and others evenly over the history."""
    n = len(entries.direction)
    return sorted({*np.flatnonzero(entries.direction)[:40].tolist(), *range(n - 1, -1, -7)})


def other(series: Series, start: int, stop: int, seed: int) -> Series:
    """The same times with other prices and volumes at these candles, some of them wild and some missing."""
    chance = np.random.default_rng(seed)
    factors = np.ones(len(series))
    changed = factors[start:stop]
    changed[:] = np.exp(chance.normal(0, 0.5, len(changed)).cumsum())
    changed[chance.random(len(changed)) < 0.02] = np.nan
    with np.errstate(all="ignore"):
        return dataclasses.replace(series, **{name: getattr(series, name) * factors for name in COLUMNS})


def sees_no_later_candle(strategy: base.Strategy, series: Series, known: int, seed: int = 1) -> None:
    """Cutting or changing what comes after the first `known` candles changes nothing that is said of these.

    Nor do cuts right after candles that are worth a look: who peeks one candle ahead errs at the last one only.
    """
    whole = strategy.entries(series)
    worth = telling(whole)
    for end in {known, *(i + 1 for i in worth[:: len(worth) // 40 + 1])}:
        said = said_from(whole, 0, end)
        assert said_from(strategy.entries(series.head(end)), 0, end) == said, f"candles from {end} on were cut off"
        changed = strategy.entries(other(series, end, len(series), seed))
        assert said_from(changed, 0, end) == said, f"candles from {end} on were changed"


def remembers_its_warmup_only(strategy: base.Strategy, series: Series, seed: int = 1) -> None:
    """The word on a candle is the same, bit for bit, when it sees `warmup` candles only or another past before them."""
    whole, warmup = strategy.entries(series), strategy.warmup
    for i in telling(whole):
        assert said_of(strategy.entries(series.window(i + 1, warmup)), -1) == said_of(whole, i), f"alone at candle {i}"
    for past in {0, 1, len(series) // 3, len(series) // 2}:
        first = past + warmup - 1
        changed = strategy.entries(other(series, 0, past, seed))
        assert said_from(changed, first, len(series)) == said_from(whole, first, len(series)), "another past"


def says_live_what_the_backtest_says(strategy: base.Strategy, series: Series, candles: Iterable[int]) -> None:
    """`decide`, asked at the close of each of these candles, gives exactly the entry that `entries` has there."""
    whole = strategy.entries(series)
    for i in candles:
        decision = strategy.decide(series.head(i + 1))
        if not whole.direction[i]:
            assert decision is None, i
            continue
        assert decision is not None, i
        assert decision.direction == (base.Direction.LONG if whole.direction[i] > 0 else base.Direction.SHORT)
        assert (decision.entry, decision.target, decision.stop) == (series.close[i], whole.target[i], whole.stop[i])
        assert decision.candle_open_time == series.open_time[i]
        assert decision.expires_after == strategy.expires_after
        assert (decision.reason, decision.figures) == strategy.explain(series, i)


def leaves_the_series_alone(strategy: base.Strategy, series: Series) -> None:
    """No figure of the series has changed, and whoever asks again hears the same."""

    def bits() -> list[bytes]:
        return [column.tobytes() for column in (series.open_time, *series.prices, series.volume)]

    before, n = bits(), len(series)
    said = said_from(strategy.entries(series), 0, n)
    assert bits() == before, "entries() changed the series"
    strategy.decide(series)
    assert bits() == before, "decide() changed the series"
    assert said_from(strategy.entries(series), 0, n) == said, "the second answer differs"


def gives_sound_levels(strategy: base.Strategy, series: Series) -> None:
    """Entries are whole: the right types and lengths, the entry between stop and target, the window without a fault."""
    entries = strategy.entries(series)
    assert [column.dtype.char for column in (entries.direction, entries.target, entries.stop)] == ["b", "d", "d"]
    assert len(entries.direction) == len(entries.target) == len(entries.stop) == len(series)
    silent = entries.direction == 0
    assert np.isnan(entries.target[silent]).all()
    assert np.isnan(entries.stop[silent]).all()
    for i in np.flatnonzero(~silent):
        low, high = sorted([entries.target[i], entries.stop[i]])
        assert 0 < low < series.close[i] < high < np.inf, "the entry is not between stop and target"
        assert (entries.target[i] > series.close[i]) == (entries.direction[i] > 0), "target and stop are exchanged"
        window = series.window(int(i) + 1, strategy.warmup)
        assert len(window) == strategy.warmup, "the window was not full"
        assert len(set(np.diff(window.open_time))) <= 1, "a gap lies inside"
        assert all(np.isfinite(column).all() for column in (*window.prices, window.volume)), "a broken figure"


def declares_its_params(kind: type[base.Strategy]) -> None:
    """Params are frozen and refuse unknown fields; each has a default, a description and bounds at both ends."""
    assert kind.Params.model_config.get("frozen"), 'write ConfigDict(frozen=True, extra="forbid")'
    assert kind.Params.model_config.get("extra") == "forbid", 'write ConfigDict(frozen=True, extra="forbid")'
    for field, schema in kind.Params.model_json_schema().get("properties", {}).items():
        assert schema.get("description"), f"{field} has no description"
        assert "default" in schema, f"{field} has no default"
        assert _bounded(schema), f"{field} has no bounds"
    kind.Params.model_validate(kind.Params().model_dump())  # defaults keep the bounds too


def _bounded(schema: dict[str, object]) -> bool:
    match schema.get("type"):
        case "boolean":
            return True
        case "integer" | "number":
            low, high = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
            return "enum" in schema or bool(low & set(schema) and high & set(schema))
        case _:
            return bool({"enum", "const", "pattern", "maxLength"} & set(schema))


Check = Callable[[base.Strategy, Series], None]


def keeps_all(strategy: base.Strategy, series: Series) -> None:
    """The strategy keeps every promise on this series, asked at every candle."""
    leaves_the_series_alone(strategy, series)
    gives_sound_levels(strategy, series)
    for part in (3, 2):
        sees_no_later_candle(strategy, series, len(series) * (part - 1) // part)
    remembers_its_warmup_only(strategy, series)
    says_live_what_the_backtest_says(strategy, series, range(len(series)))


class NoParams(pydantic.BaseModel):
    """For strategies without any."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
