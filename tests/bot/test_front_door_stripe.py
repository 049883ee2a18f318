"""`signalstack stripe …` from the front door: what is shown before anything is made, and the doctor's lines."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bot import plainly
from tests.bot.test_front_door import Run, Sandbox, run, sandbox  # noqa: F401 - fixtures

Stripe = Callable[..., tuple[int, str, str]]
CATALOGUE = """
[[watches]]
symbol = "BTC/USDT"

[[plans]]
key = "pro"
name = "Pro"
prices = [{ period = "month", amount = 29, currency = "EUR" }, { period = "year", amount = 290, currency = "EUR" }]
"""


@pytest.fixture
def stripe(run: Run, sandbox: Sandbox, tmp_path: Path) -> Stripe:  # noqa: F811
    (tmp_path / "signalstack.toml").write_text(CATALOGUE)
    missing = {"STRIPE_WEBHOOK_SECRET", "STRIPE_PRICE_ID"}
    env = {name: value for name, value in sandbox.environment.items() if name not in missing}
    env |= {"PUBLIC_URL": "https://signals.example", "LOG_LEVEL": "error"}
    return lambda *line: run("stripe", *line, **env)


def test_dry_run_says_everything_and_does_nothing(stripe: Stripe) -> None:
    for _ in range(2):  # nothing was made, so it is still to be made
        code, output, _ = stripe("setup", "--dry-run")
        assert code == 0
        assert "Plan pro: make the price 29.00 EUR / month." in output
        assert output.endswith("Nothing was done.\n")
        assert "whsec_" not in output


def test_setup_makes_it_once_and_the_doctor_sees_what_is_left_to_do(
    stripe: Stripe,
) -> None:
    code, output, _ = stripe("setup", "--yes")
    assert code == 0
    assert 'id of the yearly price in EUR of the plan pro: "price_' in output
    assert "STRIPE_WEBHOOK_SECRET=whsec_" in output
    code, output, _ = stripe("setup")  # no terminal, so nobody is asked
    assert (code, "Everything stands; nothing was changed." in output) == (0, True)
    code, output, _ = stripe("doctor")
    assert code == 1
    assert "  FAIL prices: pro has 2 without an id (run: signalstack stripe setup)\n" in output
    assert "  FAIL secret: STRIPE_WEBHOOK_SECRET is missing" in output
    assert "  ok   webhooks: " in output


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_it_is_asked_first(
    answer: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(click, "confirm", lambda _: answer)
    assert plainly.agreed(dry_run=False, yes=False)(["make a price"]) is answer
    said = capsys.readouterr().out
    assert said.startswith("This is what would be done:\n  make a price\n")
    assert said.endswith("Nothing was done.\n") is not answer
    assert plainly.agreed(dry_run=False, yes=True)(["make a price"])
    assert not plainly.agreed(dry_run=True, yes=True)(["make a price"])
