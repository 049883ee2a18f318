"""The benchmark runs and fills its table; how fast anything is depends on the machine and is asserted nowhere."""

import json
import math
from pathlib import Path

import pytest

from tests import databases
from tests.bench import suite, table

PARTS = (
    "candle arrives → first message",
    "/status → answer",
    "/latest → answer",
    "/status during a fan-out",
    "fan-out on PostgreSQL, CPU",
    "fan-out on PostgreSQL, one core's rate",
    "fan-out on PostgreSQL, messages by the clock",
    "fan-out on SQLite, CPU",
    "fan-out on SQLite, one core's rate",
    "fan-out on SQLite, messages by the clock",
    "B1: telegram.api.call",
    "B1: telegram.sending.send",
    "B3: pacing, worst",
    "B3: pacing, 429",
    "B3: pacing, 120 ms stall",
    "C1: planning",
    "C2: claim, begin, settle",
    "/signals/latest on SQLite",
    "/signals/latest on PostgreSQL",
    "F: chart",
    "G: signalstack --help",
    "entries over",
    "D1: strategy, walk and results",
    "D1: walk of",
    "D2: signalstack backtest",
    "E: provider event",
)


@pytest.mark.timeout(300)
async def test_a_small_dose_fills_the_whole_table(tmp_path: Path, database_maker: databases.Maker) -> None:
    rows = await suite.measured(tmp_path, database_maker, suite.QUICK)
    text = table.as_text(rows, suite.notes(suite.QUICK))
    assert [part for part in PARTS if part not in text] == []
    figures = [row.figure for row in rows] + [row.ratio for row in rows if row.ratio is not None]
    assert all(math.isfinite(figure) for figure in figures)
    assert all(row.met is not None for row in rows if row.goal)
    told = json.loads(json.dumps(table.as_values(rows, [], table.machine())))
    assert len(told["rows"]) == len(rows) >= len(PARTS)


def test_a_goal_bounds_the_figure_or_the_ratio() -> None:
    slow = table.compared("a", "µs", "b", [4.0, 6.0, 5.0], [4.0, 4.0, 4.0], table.Goal("ratio", "≤", 1.2))
    assert (slow.figure, slow.ratio, slow.met) == (5.0, 1.25, False)
    assert table.Row("a", 5.0, "ms", goal=table.Goal("figure", "≤", 5, "ms")).met
    assert table.Row("a", 5.0, "ms").met is None


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0.0"), (0.04123, "0.0412"), (3.14159, "3.14"), (1234.5, "1,234"), (99.96, "100.0")]
)
def test_figures_are_short(value: float, shown: str) -> None:
    assert table.number(value) == shown


def test_a_share_of_the_values_does_not_exceed_its_quantile() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (table.quantile(values, 0.5), table.quantile(values, 0.99), table.quantile([7.0], 0.99)) == (50, 99, 7)
