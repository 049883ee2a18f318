"""The front door knows the operator's strategies before it looks at the watches."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot import __main__ as door
from core import strategies
from tests.core.strategies.test_load import GOOD

Called = Callable[[str], tuple[int, str]]

pytestmark = pytest.mark.usefixtures("nothing_loaded")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Called:
    """Runs `signalstack members` with this catalogue, from another directory; its exit code and what it said."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'a.db'}")
    monkeypatch.setenv("SIGNALSTACK_CONFIG", str(tmp_path / "signalstack.toml"))
    monkeypatch.setattr("sys.argv", ["signalstack", "members"])

    def call(catalogue: str) -> tuple[int, str]:
        (tmp_path / "signalstack.toml").write_text(catalogue, encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            door.main()
        said = "".join(capsys.readouterr())
        assert "Traceback" not in said
        return int(ended.value.code or 0), said

    return call


WATCH = '[[watches]]\nsymbol = "BTC/USDT"\nstrategy = "mine"\nparams = { window = %d }\n'


def test_a_watch_may_name_a_strategy_of_the_directory(called: Called, tmp_path: Path) -> None:
    (tmp_path / "my_strategies").mkdir()
    (tmp_path / "my_strategies" / "mine.py").write_text(GOOD)
    code, _ = called('strategies = "my_strategies"\n' + WATCH % 7)
    assert code == 0
    assert "mine" in strategies.names()
    code, said = called('strategies = "my_strategies"\n' + WATCH % 0)
    assert code == 78
    assert "The watch 'mine binance BTC/USDT 1h': param 'window' of strategy 'mine'" in said


def test_without_the_directory_the_watch_is_refused(called: Called) -> None:
    code, said = called(WATCH % 7)
    assert code == 78
    assert "there is no strategy 'mine'; known are donchian_breakout, macd_trend, mean_reversion, rsi_reversal" in said


def test_everything_wrong_with_the_directory_is_one_line_each(called: Called, tmp_path: Path) -> None:
    code, said = called('strategies = "my_strategies"\n' + WATCH % 7)
    assert code == 78
    (line,) = said.splitlines()
    assert line.startswith(f"Configuration: There is no directory '{tmp_path}/my_strategies' of your own strategies;")
    (tmp_path / "my_strategies").mkdir()
    for stem, text in {"a": "import pandaz", "b": "x = 1", "c": GOOD + "\n1 / 0"}.items():
        (tmp_path / "my_strategies" / f"{stem}.py").write_text(text)
    code, said = called('strategies = "my_strategies"\n' + WATCH % 7)
    assert code == 78
    assert [line.partition(".py")[0][-1] for line in said.splitlines()] == ["a", "b", "c"]
    assert all(line.startswith("Configuration: The strategy file ") for line in said.splitlines())
