"""What is said of a backtest: honest about its history, its few trades and the past; always fits a caption."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import messages
from core import catalogue
from core.delivery import claims

SERVICE = catalogue.Service(notice="simulated market")
SUMMARY: dict[str, Any] = {
    "trades": 41,
    "target": 18,
    "stopped": 20,
    "expired": 3,
    "win_rate": 43.9,
    "expectancy_r": 0.1512,
    "profit_factor": 1.32,
    "total_r": 6.2,
    "drawdown_r": 4.1,
    "sharpe": 1.1,
    "exposure": 12.34,
    "losing_run": 5,
    "open": False,
}
FACTS: dict[str, Any] = {
    "id": 3,
    "symbol": "BTC/USDT",
    "exchange": "binance",
    "timeframe": "1h",
    "strategy": "mean_reversion",
    "params": {"threshold": 2.25, "window": 48},
    "exits": [],
    "since": "2023-01-03T00:00:00Z",
    "until": "2023-06-14T00:00:00Z",
    "candles": 3888,
    "gaps": 0,
    "costs": {"fee_percent": "0.1000", "slippage_percent": "0.0500"},
    "summary": SUMMARY,
}


def said(message: messages.Message) -> str:
    return message.plain.replace("\u202f", " ").replace("\u2060", "")


def told(**given: Any) -> str:
    return said(messages.backtests.result(FACTS | given, SERVICE))


def summed(**given: Any) -> str:
    return told(summary=SUMMARY | given)


def test_a_result_says_on_what_with_what_and_what_came_of_it() -> None:
    message = messages.backtests.result(FACTS, SERVICE)

    assert said(message).splitlines() == [
        "Backtest · BTC/USDT · 1h · mean_reversion",
        "3 Jan 2023 to 14 Jun 2023: 3888 candles of binance",
        "",
        "41 trades: 18 at the target, 20 stopped, 3 expired",
        "Together +6.20 R, −4.10 R at the deepest fall",
        "A trade brings +0.15 R on average, profit factor 1.32, 5 losses in a row at most",
        "With a gain: 43.9 %",
        "In the market 12.3 % of the time, Sharpe ratio +1.10 a year",
        "",
        "With threshold 2.25, window 48",
        "Counted: 0.1 % fee and 0.05 % slippage at each side.",
        "This is computed from the past. It promises nothing about what comes.",
        "simulated market",
        "Not financial advice. Trading can lose money.",
    ]
    assert (message.picture, message.about, message.paid) == (True, "backtest:3", False)


def test_few_trades_have_no_rate() -> None:
    words = summed(trades=29, win_rate=None)

    assert "Too few trades for a rate: we name one from 30 on." in words
    assert "With a gain" not in words


def test_a_short_history_and_its_gaps_are_said() -> None:
    words = told(until="2023-02-02T00:00:00Z", gaps=4)

    assert "of binance, 4 missing\nA short history: 30 days.\n" in words


def test_nothing_found_and_nothing_to_look_at_are_said() -> None:
    empty = {"trades": 0, "win_rate": None, "expectancy_r": None, "profit_factor": None, "sharpe": None, "open": True}

    words = summed(**empty)

    assert "No trade: the strategy never found an entry.\nOne position is open at the end and not counted." in words
    assert "Together" not in words
    assert "too few stored candles" in told(since=None, until=None, candles=0, summary=SUMMARY | empty)


def test_figures_that_there_are_not_are_left_out() -> None:
    words = summed(profit_factor=None, sharpe=None, losing_run=0, expired=0)

    assert "41 trades: 18 at the target, 20 stopped\n" in words
    assert "A trade brings +0.15 R on average\n" in words
    assert "12.3 % of the time\n" in words
    assert "Fees and slippage are not counted." in told(costs={"fee_percent": "0", "slippage_percent": "0.00"})
    assert "With 3 targets" in told(params={}, exits=[{}, {}, {}])


def test_a_failure_is_one_sentence() -> None:
    facts = {name: FACTS[name] for name in ("id", "symbol", "strategy", "timeframe")}

    message = messages.backtests.result(facts | {"error": "There are no stored 1h candles."}, SERVICE)

    assert said(message) == (
        "The backtest of BTC/USDT · 1h · mean_reversion has no result.\nThere are no stored 1h candles."
    )
    assert not message.picture


def test_a_delivery_of_facts_is_said_in_the_same_words() -> None:
    values = dict.fromkeys(claims.Parcel.__slots__) | {"kind": "reply", "payload": {"backtest": FACTS}}

    message = messages.render(claims.Parcel(**values), None, catalogue.Catalogue(service=SERVICE))

    assert message == messages.backtests.result(FACTS, SERVICE)


@given(
    risk=st.text(min_size=1, max_size=200),
    notice=st.text(max_size=60),
    params=st.dictionaries(st.text(max_size=30), st.text(max_size=60), max_size=20),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_result_always_fits_a_caption(risk: str, notice: str, params: dict[str, str]) -> None:
    service = catalogue.Service(risk=risk, notice=notice)
    longest = {"symbol": f"{'X' * 20}/{'Y' * 20}", "strategy": "s" * 40, "gaps": 1000, "candles": 1_000_000}
    summary = SUMMARY | {"trades": 100_000, "total_r": -12345.67, "drawdown_r": 12345.67, "open": True}

    message = messages.backtests.result(FACTS | longest | {"params": params, "summary": summary}, service)

    assert messages.units(message.plain) <= messages.signals.CAPTION


@pytest.mark.parametrize("choices", [1, 2, 3, 30])
def test_choices_are_buttons(choices: int) -> None:
    made = [(f"pair {number}", f"/backtest P{number}") for number in range(choices)]

    message = messages.backtests.which("pair", made, unknown="x" * 200)

    assert [button.data for row in message.buttons for button in row] == [line for _, line in made]
    assert len(message.plain) < 200
