"""`signalstack drift-report`: the same in a word and an exit code."""

import asyncio
import json
from pathlib import Path

from bot.messages import drifted
from core import db
from tests.bot.test_front_door import Run, run  # noqa: F401 - a fixture
from tests.core.backtest import test_drift as played
from tests.core.backtest.conftest import dice_strategy  # noqa: F401 - a fixture

CATALOGUE = """
[[watches]]
symbol = "BTC/USDT"
strategy = "dice"
params = { expires_after = 4 }
"""
SPAN = ("drift-report", "--since", "2023-01-01", "--until", "2023-01-08")


def _play(folder: Path) -> int:
    """How many signals the market of that test has published in this folder's database."""

    async def played_once() -> int:
        database = db.Database(f"sqlite:///{folder / 'a.db'}")
        try:
            await played._play(database)
            return len(await played._published(database))
        finally:
            await database.close()

    return asyncio.run(played_once())


def test_live_and_backtest_are_compared(run: Run, tmp_path: Path, dice_strategy: None) -> None:  # noqa: F811
    (tmp_path / "signalstack.toml").write_text(CATALOGUE)
    code, output, _ = run(*SPAN)
    assert (code, output) == (0, "No watch was judged in this time, so there is nothing to compare.\n")
    count = _play(tmp_path)
    code, output, _ = run(*SPAN)
    assert code == 0
    assert f"· {count} signals the same\n· none that are not the same" in output
    (tmp_path / "signalstack.toml").write_text(CATALOGUE.replace("= 4", "= 2"))
    code, output, _ = run(*SPAN)
    assert code == 1
    assert "published otherwise than the backtest has it (the params were changed)" in output
    (tmp_path / "signalstack.toml").write_text(CATALOGUE.replace("= 4", "= 4, seed = 8"))
    code, output, _ = run(*SPAN, "--json")
    (watch,) = json.loads(output)["watches"]
    assert (code, watch["watch"]) == (1, "dice binance BTC/USDT 1h")
    assert watch["different"] > len(watch["differences"]) == 5


def test_many_differing_watches_are_cut_short() -> None:
    one = {"kind": "missing", "candle": "2026-01-05T00:00:00+00:00", "reason": ""}
    watches = [{"watch": f"w{n}", "same": 1, "late": n, "different": 9, "differences": [one] * 5} for n in range(12)]
    facts = {"since": "2026-01-05T00:00:00+00:00", "until": "2026-01-12T00:00:00+00:00", "watches": watches}
    words = drifted.report(facts).plain
    assert "And 4 watches more." in words
    assert "· and 4 more" in words
    assert "66 signals came too late" in words
    assert "reason unknown, look at it" in words
