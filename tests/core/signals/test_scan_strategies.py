"""A strategy that fails or dawdles hurts itself only, and the operator hears of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import structlog

from core import models, scheduler, strategies
from core.market.series import Series
from core.signals import judge
from core.strategies import base, mean_reversion
from tests.core import people
from tests.core.signals.stage import BTC, ETH, NEWEST, Stage, notes, opening, watch

NAME = "a_strategy_with_a_name_as_long_as_can_be"
"""Forty letters: everything that is made of it must still be told apart."""


class Fragile(mean_reversion.MeanReversion):
    """A plug-in that raises an error at these candles."""

    name: ClassVar[str] = NAME
    breaks_at: ClassVar[set[int]] = set()

    def entries(self, series: Series) -> base.Entries:
        if int(series.open_time[-1]) in self.breaks_at:
            raise ZeroDivisionError("a figure was\n\0 not there")
        return super().entries(series)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Fragile]]:
    """The plug-in is installed and breaks at nothing yet."""
    monkeypatch.setitem(strategies._registry(), NAME, Fragile)
    yield Fragile
    Fragile.breaks_at.clear()


BROKEN, HEALTHY = watch(BTC, strategy=NAME), watch(BTC)
SAID = (
    f"{NAME} binance BTC/USDT 1h: the strategy failed: ZeroDivisionError: a figure was not there. "
    "It gives no signals; the other watches go on."
)


async def failures(stage: Stage) -> dict[str, int]:
    return {mark.watch: mark.failures for mark in await stage.rows(models.ScanMark)}


async def told(stage: Stage) -> list[tuple[str, str]]:
    """Who was told which alarm, in the order in which it was written down."""
    rows = await people.deliveries(stage.database)
    return [(row.address, row.payload["text"]) for row in rows if row.payload.get("name") == "alarm"]


async def test_a_failing_strategy_stops_no_other_watch(stage: Stage, fragile: type[Fragile]) -> None:
    fragile.breaks_at.add(opening(NEWEST))
    stage.write((NEWEST, 95.0))
    stage.write((NEWEST, 95.0), symbol=ETH)
    await stage.pay()
    with structlog.testing.capture_logs() as lines:
        verdicts = await (await stage.scan(BROKEN, HEALTHY, watch(ETH))).run()
    assert [verdict.broken for verdict in verdicts] == [True, False, False]
    assert notes(verdicts)[0] == "the strategy failed: ZeroDivisionError: a figure was not there"
    signals = await stage.rows(models.Signal)
    assert [(row.strategy, row.symbol) for row in signals] == [("mean_reversion", BTC), ("mean_reversion", ETH)]
    assert await failures(stage) == {BROKEN.key: 1, HEALTHY.key: 0, watch(ETH).key: 0}
    (line,) = [line for line in lines if line["event"] == "strategy_failed"]
    assert (line["watch"], line["candle"]) == (BROKEN.key, opening(NEWEST))


async def test_a_strategy_cannot_end_the_process(sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(self: base.Strategy, series: Series) -> base.Entries:
        raise SystemExit("enough")

    monkeypatch.setitem(strategies._registry(), NAME, type("Quitting", (Fragile,), {"entries": entries}))
    verdicts = await (await sqlite_stage.scan(BROKEN, HEALTHY)).run()
    assert notes(verdicts) == ["the strategy failed: SystemExit: enough", "no entry"]


async def test_the_alarm_is_told_once_and_is_over_when_the_strategy_works_again(
    stage: Stage, fragile: type[Fragile]
) -> None:
    fragile.breaks_at.update(opening(NEWEST + candle) for candle in (0, 1, 3))
    settings = stage.held.settings.model_copy(update={"admins": "telegram:700000001,telegram:700000002"})
    clerk = scheduler.Scheduler(replace(stage.held, settings=settings))
    scanned = await stage.scan(BROKEN, HEALTHY)
    expected = [(1, [SAID], 2), (2, [SAID], 2), (2, [], 2), (3, [SAID], 4), (3, [], 4)]
    for failed, alarms, letters in expected:
        await scanned.run()
        await clerk._raise_alarms()
        assert await failures(stage) == {BROKEN.key: failed, HEALTHY.key: 0}
        assert await stage.alarms() == alarms
        assert len(await told(stage)) == letters
        stage.close_candle()
    assert {address for address, _ in await told(stage)} == {"700000001", "700000002"}
    assert {text for _, text in await told(stage)} == {SAID}


async def test_a_candle_that_broke_a_strategy_is_not_judged_again(stage: Stage, fragile: type[Fragile]) -> None:
    fragile.breaks_at.add(opening(NEWEST))
    stage.write((NEWEST, 95.0), (NEWEST + 2, 90.0))
    scanned = await stage.scan(BROKEN)
    await scanned.run()
    fragile.breaks_at.clear()
    await scanned.run()
    await (await stage.scan(BROKEN)).run()
    assert await stage.signals() == []  # whoever repairs a strategy gets no signals of yesterday
    stage.close_candle(2)
    await scanned.run()
    assert await stage.signals() == [NEWEST + 2]
    assert await failures(stage) == {BROKEN.key: 1}


async def test_an_alarm_of_an_earlier_process_is_cleared_too(stage: Stage, fragile: type[Fragile]) -> None:
    fragile.breaks_at.add(opening(NEWEST))
    await (await stage.scan(BROKEN)).run()
    assert await stage.alarms() == [SAID]
    stage.close_candle()
    await (await stage.scan(BROKEN)).run()
    assert await stage.alarms() == []


async def test_a_strategy_that_takes_long_is_named_in_the_log(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience, named in ((judge._PATIENCE, []), (0.0, [HEALTHY.key])):
        monkeypatch.setattr(judge, "_PATIENCE", patience)
        with structlog.testing.capture_logs() as lines:
            await (await sqlite_stage.scan(HEALTHY)).run()
        slow = [line for line in lines if line["event"] == "strategy_dawdled"]
        assert [line["watch"] for line in slow] == named
        assert all(line["log_level"] == "warning" and line["seconds"] >= 0 for line in slow)
        sqlite_stage.close_candle()


OWN = """
import numpy as np
import pydantic
from core.strategies import base

class Params(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

class Always(base.Strategy):
    name = "always"
    Params = Params
    warmup = 2
    expires_after = 3

    def entries(self, series):
        ones = np.ones(len(series), np.int8)
        return base.sound_entries(
            series, 2, np.arange(len(series)), direction=ones, target=series.close + 1, stop=series.close - 1)

    def explain(self, series, i):
        return "  Always:\\n again. ", {"bars": np.int64(2), "close": np.float32(series.close[i])}
"""


async def test_a_strategy_of_the_operator_gives_signals_like_ours(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = dict(strategies._registry())
    monkeypatch.setattr(strategies, "_registry", lambda: registry)
    monkeypatch.setattr(strategies, "_files", {})
    (tmp_path / "always.py").write_text(OWN, encoding="utf-8")
    assert strategies.load(tmp_path) == ["always"]
    await (await stage.scan(watch(BTC, strategy="always", params={}))).run()
    (signal,) = await stage.rows(models.Signal)
    assert (signal.strategy, signal.candle) == ("always", opening(NEWEST))
    assert signal.figures == {"bars": 2.0, "close": pytest.approx(100.5)}
    assert signal.reason == "Always: again."
    assert await failures(stage) == {watch(BTC, strategy="always").key: 0}
