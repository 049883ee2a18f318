"""What members who pay in Telegram Stars are told instead, where others have a card and a billing portal."""

from typing import Any

from bot.messages import figures, text

Facts = dict[str, Any]
_WHERE = "in Telegram: open Settings, then My Stars, and choose the subscription"


def paid(facts: Facts) -> bool:
    """Whether what the notice is about is paid in Stars."""
    return str(facts.get("amount") or "").endswith(" Stars")


def payment_failed(facts: Facts) -> text.Message:
    """The renewal was not paid, and what can be done."""
    return text.message(
        text.line(text.bold(f"{facts['plan']} could not be renewed.")),
        f"You did not have the {facts['amount']} that Telegram wanted to take for the next 30 days.",
        f"You keep your access until {figures.moment_of(facts.get('until'))}. Please get some more Stars and renew "
        f"{_WHERE}.",
    )


def grace_ends(facts: Facts) -> text.Message:
    """The renewal is still not paid."""
    return text.message(
        text.line(text.bold(f"Your access to {facts['plan']} ends soon.")),
        f"The renewal ({facts['amount']}) is still open. Without it your access ends on "
        f"{figures.moment_of(facts.get('until'))}.",
        f"If you would like to stay, please renew {_WHERE}. If not, there is nothing to do.",
    )
