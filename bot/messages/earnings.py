"""What an operator reads about the business: what comes in, who leaves, and what was sold."""

from decimal import Decimal

from bot.messages import figures, text
from core.billing import plans, revenue


def lines(taken: revenue.Revenue) -> list[text.Line | str]:
    """The figures, each with what it counts; docs/dunning.md says it exactly."""
    return [
        text.line(text.bold("Business")),
        *_monthly(taken),
        f"Paid subscriptions: {taken.paid}, of them in the days of grace: {taken.past_due}",
        f"In free days: {taken.trials}",
        f"Cancelled and still running: {taken.ending}",
        f"Left in the last 30 days: {_churn(taken)}",
        *([f"Team seats: {taken.seats} paid for, {taken.taken} taken"] if taken.seats else []),
        *([f"Gifts: {taken.gifts} bought, {taken.opened} taken"] if taken.gifts else []),
        *([f"Brought by partners: {_partners(taken)}"] if taken.brought else []),
    ]


def _monthly(taken: revenue.Revenue) -> list[str]:
    if not taken.monthly:
        return ["Monthly revenue (MRR): nothing yet"]
    sums = ", ".join(plans.written(amount, currency) for currency, amount in taken.monthly.items())
    missing = f" Not in it: {taken.unpriced}, whose price is not known." if taken.unpriced else ""
    return [f"Monthly revenue (MRR): {sums} (before discounts and taxes, without free days).{missing}"]


def _churn(taken: revenue.Revenue) -> str:
    if taken.churn is None:
        return "nobody paid 30 days ago yet"
    return f"{taken.ended} of the {taken.began} that were paid then ({_percent(taken.churn)})"


def _partners(taken: revenue.Revenue) -> str:
    return f"{taken.brought} of {taken.paid} paid ({_percent(taken.by_partners or Decimal(0))})"


def _percent(share: Decimal) -> str:
    return f"{share * 100:.1f}{figures.THIN}%"
