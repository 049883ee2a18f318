"""What the community of the sandbox's world sells: a plan for one and a plan for teams, each in two currencies."""

from dataclasses import dataclass
from typing import Any

from tests.sandbox import stripe

Price = dict[str, Any]

TRIAL_DAYS = 7
LEAST, MOST = 2, 10
"""Seats of the team's plan."""
STARS = 2000
"""What 30 days cost in Telegram Stars."""
CODE = "DEMO20"
"""Takes a fifth off the first payment."""
MONTHS_OF_A_YEAR = 10
"""A year costs as much as so many months."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The prices of one plan at Stripe, by the month and by the year."""

    month: Price
    year: Price

    def toml(self) -> str:
        """The prices as signalstack.toml names them."""
        rows = ((self.month, "month"), (self.year, "year"))
        return "".join(f'[[plans.prices]]\nid = "{price["id"]}"\nperiod = "{period}"\n' for price, period in rows)


def stocked(sandbox: stripe.Stripe, name: str, euros: int, dollars: int) -> Shelf:
    """Stripe has a product of this name, for so much a month in cents, and for ten times that a year."""
    month = sandbox.add_price(euros, "eur", "month", name=name, currency_options={"usd": dollars})
    many = MONTHS_OF_A_YEAR
    options = {"usd": dollars * many}
    year = sandbox.add_price(euros * many, "eur", "year", product=month["product"], currency_options=options)
    return Shelf(month, year)


def opened(sandbox: stripe.Stripe, one: Shelf) -> str:
    """Stripe has what else is sold, and a promotion code; gives what signalstack.toml says of the plans."""
    team = stocked(sandbox, "Team", 2400, 2600)
    sandbox.add_promotion_code(CODE, percent_off=20.0, duration="once")
    return f"""
[[plans]]
key = "signals"
name = "Signals"
description = "For you alone, in all your chats."
trial_days = {TRIAL_DAYS}
stars = {STARS}
gift = true
{one.toml()}
[[plans]]
key = "team"
name = "Team"
description = "The same for several people; one pays."
seats = {{ least = {LEAST}, most = {MOST} }}
{team.toml()}"""
