"""`signalstack backtest` as an operator meets it: from a file, from an exchange, with every wrong word answered."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from core import strategies
from tests.bot.test_front_door import Run, Sandbox, run, sandbox  # noqa: F401 - fixtures
from tests.core.backtest import dice

FAULTY = """
import pydantic
from core.strategies import base

class FaultyParams(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

class FaultyOne(base.Strategy):
    name = "faulty_one"
    Params = FaultyParams
    warmup = 2
    expires_after = 2

    def entries(self, series):
        raise RuntimeError("the moon is not full")

    def explain(self, series, i):
        return "Never.", {}
"""
HEAD = "ts,open,high,low,close,volume"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Six hundred hours that move enough for mean reversion, beside the quarters they are made of."""
    market = dice.Jumps(seed=9, hours=600, gaps=0.002, holes=0.0)
    for name, rows in (("candles.csv", market.candles()), ("quarters.csv", market.quarters())):
        lines = [",".join([str(row[0]), *(f"{figure:f}" for figure in row[1:])]) for row in rows]
        (tmp_path / name).write_text("\n".join([HEAD, *lines]))
    return "candles.csv"


@pytest.fixture
def _forgotten() -> Iterator[None]:
    """What a test makes known of an operator's own strategies is forgotten after it."""
    known = (strategies._registry(), strategies._files)
    before = [dict(one) for one in known]
    yield
    for one, kept in zip(known, before, strict=True):
        one.clear()
        one.update(kept)


def _words(file: str, *more: str) -> tuple[str, ...]:
    return ("backtest", "BTC/USDT", "-s", "mean_reversion", "--csv", file, "-p", "window=24", *more)


def test_a_file_needs_nothing_else_and_leaves_nothing_behind(run: Run, file: str, tmp_path: Path) -> None:  # noqa: F811
    before = sorted(tmp_path.iterdir())
    code, output, errors = run(*_words(file))
    assert (code, errors) == (0, "")
    assert "mean_reversion on BTC/USDT 1h (binance)" in output
    assert "Win rate" in output
    assert sorted(tmp_path.iterdir()) == before, "no database, no key"


def test_the_printed_command_gives_the_same_again(run: Run, file: str) -> None:  # noqa: F811
    exits = ("--exits", "0.5:0.5:entry,1:0.5", "--fee", "0.2", "--slippage", "0", "--finer", "quarters.csv")
    _, output, _ = run(*_words(file, *exits, "--since", "2023-01-05", "--until", "2023-01-20T12:00", "--json"))
    first = json.loads(output)
    assert first["summary"]["trades"] == len([trade for trade in first["trades"] if trade["r"]]) > 0
    words = shlex.split(first["command"])
    code, output, _ = run(*words[1:], "--json")
    assert code == 0
    assert json.loads(output) == first


def test_costs_make_results_worse_and_finer_candles_leave_nothing_unclear(run: Run, file: str) -> None:  # noqa: F811
    dear, free = (
        json.loads(run(*_words(file, "--json", "--fee", fee, "--slippage", fee))[1])["summary"] for fee in ("1", "0")
    )
    assert dear["trades"] == free["trades"]
    assert dear["total_r"] < free["total_r"]
    assert json.loads(run(*_words(file, "--json", "--finer", "quarters.csv"))[1])["summary"]["unclear"] == 0


def test_the_catalogue_gives_params_exits_and_costs(run: Run, file: str, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "signalstack.toml").write_text(
        "[costs]\nfee_percent = 0.3\n"
        "[[watches]]\nexchange = 'kraken'\nsymbol = 'BTC/USDT'\nstrategy = 'mean_reversion'\n"
        "params = { window = 30, threshold = 2.0 }\nexits = [{ at = 0.5, share = 0.5 }, { at = 1, share = 0.5 }]\n"
    )
    told = json.loads(run(*_words(file, "--json"))[1])
    assert (told["exchange"], told["costs"]["fee_percent"], len(told["exits"])) == ("kraken", "0.3", 2)
    assert (told["params"]["window"], told["params"]["threshold"]) == (24, 2.0)
    told = json.loads(run(*_words(file, "--json", "--exits", "none"))[1])
    assert told["exits"] == []


def test_a_picture_is_drawn(run: Run, file: str, tmp_path: Path) -> None:  # noqa: F811
    assert run(*_words(file, "--picture", "curve.png"))[0] == 0
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (1000, 600)
    code, _, errors = run(*_words(file, "--picture", "nowhere/curve.png"))
    assert (code, errors) == (1, "nowhere/curve.png cannot be written: No such file or directory.\n")


def test_a_sweep_warns(run: Run, file: str) -> None:  # noqa: F811
    sweep = ("--sweep", "threshold=1.5,2,2.5", "--sweep", "allow_short=true,false", "--folds", "2")
    code, output, _ = run(*_words(file, *sweep))
    assert code == 0
    assert "The best 6 of 6 combinations" in output
    assert "Warning: 6 combinations were tried on the same candles" in output
    told = json.loads(run(*_words(file, *sweep, "--json"))[1])
    assert told["tried"] == 6


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (("-t", "7q"), "'7q' is no timeframe: write a timeframe such as 5m, 1h, 4h or 1d."),
        (("-s", "none"), "There is no strategy 'none'; known are"),
        (("-p", "window=1"), "Param 'window' of strategy 'mean_reversion'"),
        (("-p", "windows=9"), "Param 'windows' of strategy 'mean_reversion'"),
        (("-p", "window"), "'window' names no value; write it like --param window=48."),
        (("--exits", "0.5:0.5"), "`at` of the exits must rise, and end at 1"),
        (("--exits", "x"), "--exits 'x':"),
        (("--exits", "1:1:sideways"), "--exits '1:1:sideways':"),
        (("--fee", "7"), "--fee is '7'; write a percentage from 0 to 5."),
        (("--slippage", "x"), "--slippage is 'x'"),
        (("--tick", "-1"), "--tick is '-1'; write the market's smallest step in price"),
        (("--since", "yesterday"), "'yesterday' is no date; write 2025-01-31"),
        (("--since", "2024-01-01", "--until", "2023-01-01"), "--since is after --until; exchange them."),
        (("--exchange", "No One"), "Write the exchange as ccxt spells it, not 'No One'."),
        (("--sweep", "window"), "'window' names no value; write it like --sweep window=24,48,96."),
        (("--sweep", "nothing=1"), "Param 'nothing' of strategy 'mean_reversion'"),
        (("--folds", "0"), "--folds"),
        (("--stored",), "--stored and --csv are two sources; name one."),
        (("--sweep", "window=9", "--picture", "a.png"), "--picture draws one backtest; leave --sweep out."),
    ],
)
def test_a_wrong_word_is_answered_with_one_sentence(run: Run, file: str, more: tuple[str, ...], part: str) -> None:  # noqa: F811
    code, output, errors = run(*_words(file, *more))
    assert (code, output) == (2, "")
    assert part in errors


def test_what_is_no_market_is_answered_too(run: Run, file: str) -> None:  # noqa: F811
    code, _, errors = run("backtest", "bitcoin", "-s", "mean_reversion", "--csv", file)
    assert (code, "Write the market as BTC/USDT, not 'bitcoin'." in errors) == (2, True)
    code, _, errors = run("backtest", "BTC/USDT", "-s", "mean_reversion", "--finer", file)
    assert (code, "--finer goes with --csv" in errors) == (2, True)
    code, _, errors = run("backtest", "BTC/USDT", "-s", "mean_reversion", "--tick", "1")
    assert (code, "--tick goes with --csv" in errors) == (2, True)


def test_a_time_without_candles_and_a_bad_file_fail_in_a_sentence(run: Run, file: str, tmp_path: Path) -> None:  # noqa: F811
    for since in ("2033-01-01", "9999-12-31T23:59:59"):
        assert run(*_words(file, "--since", since))[0] == 1
    assert run(*_words(file, "--since", "0001-01-01"))[0] == 0
    code, _, errors = run(*_words(file, "--since", "2033-01-01"))
    assert (code, errors) == (1, "There are no candles from --since to --until; name another time.\n")
    (tmp_path / "bad.csv").write_text(f"{HEAD}\n1672531200000,1,2,3,4,5\n1672531200000,x\n")
    code, _, errors = run(*_words("bad.csv"))
    assert code == 1
    assert [line.split(":")[0] for line in errors.splitlines()] == ["bad.csv, line 2", "bad.csv, line 3"]


def test_candles_come_from_the_exchange_and_stay(run: Run, sandbox: Sandbox) -> None:  # noqa: F811
    words = ("backtest", "BTC/USDT", "-s", "mean_reversion", "--json", "--until", "2023-02-01", "--since", "2023-01-10")
    code, output, _ = run(*words, **sandbox.environment)
    assert code == 0
    first = json.loads(output)
    assert first["candles"] == 22 * 24 + 1
    code, output, _ = run(*words, "--stored", **sandbox.environment)
    assert (code, json.loads(output)) == (0, first)
    code, output, errors = run(*words, **{**sandbox.environment, "EXCHANGE_API_URL": "http://127.0.0.1:9"})
    assert (code, json.loads(output)) == (0, first)
    assert "The candles in the database are used." in errors


@pytest.mark.usefixtures("_forgotten")
def test_an_own_strategy_that_fails_is_named_with_its_reason(run: Run, file: str, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "faulty_one.py").write_text(FAULTY)
    (tmp_path / "signalstack.toml").write_text("strategies = 'own'\n")
    code, output, errors = run("backtest", "BTC/USDT", "-s", "faulty_one", "--csv", file)
    assert (code, output) == (1, "")
    assert "The strategy faulty_one failed: RuntimeError. the moon is not full" in errors


def test_an_unknown_exchange_is_named(run: Run) -> None:  # noqa: F811
    code, _, errors = run("backtest", "BTC/USDT", "-s", "mean_reversion", "--exchange", "binanse")
    assert (code, errors) == (1, "Ccxt knows no exchange 'binanse'. Did you mean binance?\n")


def test_without_an_exchange_and_without_candles_it_fails_in_a_sentence(run: Run) -> None:  # noqa: F811
    code, _, errors = run("backtest", "BTC/USDT", "-s", "mean_reversion", "--stored")
    assert code == 1
    assert "There are no stored 1h candles of BTC/USDT on binance" in errors
