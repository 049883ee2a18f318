"""An operator's directory of strategies: what is in it is known, and what is wrong with it is said in sentences."""

import os
from pathlib import Path

import pytest

from core import errors, strategies
from core.strategies import indicators, own

GOOD = """
from __future__ import annotations
import numpy as np
import pydantic
from core.market.series import Series
from core.strategies import base, indicators

class Params(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    window: int = pydantic.Field(5, ge=1, le=100, description="Candles.")

class Mine(base.Strategy):
    name = "mine"
    Params = Params
    @property
    def warmup(self): return self.params.window
    @property
    def expires_after(self): return 3
    def entries(self, series):
        candles = np.arange(len(series))
        ones = np.ones(len(series), np.int8)
        return base.sound_entries(
            series, self.warmup, candles, direction=ones, target=series.close + 1, stop=series.close - 1)
    def explain(self, series, i): return "Always.", {"close": float(series.close[i])}
"""

pytestmark = pytest.mark.usefixtures("nothing_loaded")


def write(folder: Path, **files: str) -> Path:
    for stem, text in files.items():
        (folder / f"{stem}.py").write_text(text, encoding="utf-8")
    return folder


def faults(folder: Path) -> tuple[str, ...]:
    """What is said of this directory; nothing of it may be known afterwards."""
    before = strategies.names()
    with pytest.raises(errors.ConfigError) as caught:
        strategies.load(folder)
    assert strategies.names() == before
    for sentence in caught.value.faults:
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert "Traceback" not in sentence
    return caught.value.faults


def test_every_file_is_a_plug_in_like_ours(tmp_path: Path) -> None:
    write(tmp_path, first=GOOD, second=GOOD.replace('"mine"', '"other"'), _draft="raise SystemExit")
    (tmp_path / "notes.txt").write_text("not read")
    assert strategies.load(tmp_path) == ["mine", "other"]
    assert strategies.create("mine", {"window": 7}).warmup == 7
    assert {"mine", "other", "mean_reversion"} <= set(strategies.names())
    with pytest.raises(errors.ConfigError, match="param 'window' of strategy 'mine': Input should be greater"):
        strategies.create("mine", {"window": 0})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_draft.py", "first.py", "notes.txt", "second.py"]


def test_loading_twice_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, mine=GOOD)
    strategies.load(tmp_path)
    kind = type(strategies.create("mine", {}))
    monkeypatch.chdir(tmp_path.parent)
    assert strategies.load(Path(tmp_path.name)) == ["mine"]
    assert type(strategies.create("mine", {})) is kind


def test_two_directories_may_have_files_of_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, same=GOOD.replace('"mine"', f'"{name}"'))
        assert strategies.load(tmp_path / name) == [name]
    assert {"one", "two"} <= set(strategies.names())


def test_a_file_named_like_a_library_hides_nothing(tmp_path: Path) -> None:
    write(tmp_path, numpy=GOOD, core=GOOD.replace('"mine"', '"other"'))
    assert strategies.load(tmp_path) == ["mine", "other"]
    import numpy as np

    assert np.array([1.0]).sum() == 1


def test_a_file_that_was_corrected_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path, mine=GOOD + "\nnonsense\n")
    (fault,) = faults(tmp_path)
    assert "line 26: NameError: name 'nonsense' is not defined" in fault
    write(tmp_path, mine=GOOD)
    assert strategies.load(tmp_path) == ["mine"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import pandaz\n", "cannot be loaded: line 1: ModuleNotFoundError: No module named 'pandaz'"),
        ("x = 1\nprint(\n", "cannot be loaded: line 2: SyntaxError: '(' was never closed"),
        ("raise SystemExit(3)", "cannot be loaded: line 1: SystemExit: 3"),
        ("\0", "cannot be loaded: "),
        ("def f():\n    1 / 0\nf()\n", "line 2: ZeroDivisionError: division by zero"),
        ("raise ValueError('a\\n  b' * 400)", "line 1: ValueError: a b"),
        ("x = 1", "bad.py defines no strategy; write a class that inherits from core.strategies.base.Strategy"),
        ("from core.strategies.rsi_reversal import RsiReversal", "bad.py defines no strategy"),
        (GOOD.replace("def explain", "def explane"), "bad.py defines no whole strategy: Mine lacks explain"),
        (GOOD.replace('name = "mine"', ""), "needs a `name` of small letters, digits and underscores"),
        (GOOD.replace('"mine"', '"My own"'), "at most 40, not 'My own'"),
        (GOOD.replace('"mine"', '"operator"'), "cannot be named 'operator': that is what signals by hand"),
        (GOOD.replace('"mine"', '"intake_mine"'), "cannot be named 'intake_mine'"),
        (GOOD.replace('"mine"', "7"), "at most 40, not 7"),
        (GOOD.replace("Params = Params", ""), "needs `Params`, a class that inherits from pydantic.BaseModel"),
        (GOOD.replace("Field(5, ", "Field("), "needs a default for its param 'window'"),
        (GOOD.replace('"mine"', '"mean_reversion"'), "cannot name a strategy 'mean_reversion': SignalStack has one"),
        (GOOD + "class Twin(Mine): pass", "'mine': bad.py has one already; choose another name"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (fault,) = faults(write(tmp_path, bad=text))
    assert words in fault
    assert "bad.py" in fault
    assert len(fault) < 500


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, a="1 / 0", b=GOOD, c=GOOD, d="x = 1")
    first, second, third = faults(tmp_path)
    assert first.startswith("The strategy file a.py cannot be loaded")
    assert second.endswith(
        f"c.py cannot name a strategy 'mine': {tmp_path / 'b.py'} has one already; choose another name."
    )
    assert third.startswith("The strategy file d.py defines no strategy")


def test_a_directory_that_is_not_there_or_empty_is_one_sentence(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path / "nowhere")
    assert fault.startswith(f"There is no directory '{tmp_path}/nowhere' of your own strategies; create it, or correct")
    assert "holds no strategy; put a file such as breakout.py into it" in faults(tmp_path)[0]
    write(tmp_path, mine=GOOD)
    assert "cannot be read: Not a directory" in faults(tmp_path / "mine.py")[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, mine=GOOD)
    (tmp_path / "mine.py").chmod(0)
    assert "mine.py cannot be loaded: PermissionError" in faults(tmp_path)[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("return self.params.windw", "cannot be made from these params: AttributeError"),
        ("return 0", "`warmup` of strategy 'mine' must be a whole number from 1 to 20000, not 0"),
        ("return 1_000_000", "from 1 to 20000, not 1000000"),
        ("return 2.5", "from 1 to 20000, not 2.5"),
        ("return True", "from 1 to 20000, not True"),
    ],
)
def test_a_strategy_that_cannot_be_made_is_one_sentence(tmp_path: Path, line: str, words: str) -> None:
    strategies.load(write(tmp_path, mine=GOOD.replace("return self.params.window", line)))
    with pytest.raises(errors.ConfigError) as caught:
        strategies.create("mine", {})
    (fault,) = caught.value.faults
    assert words in fault


def test_ours_are_found_and_are_no_rooms_of_the_package() -> None:
    ours = {"mean_reversion", "macd_trend", "donchian_breakout", "rsi_reversal"}
    assert ours <= set(strategies.names())
    assert list(own.defined(indicators)) == []
