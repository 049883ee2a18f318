"""What we tell members about how their buying began: free days that they have had before."""

from typing import Any

from bot.messages import text
from core import catalogue


def trial_used(facts: dict[str, Any], _service: catalogue.Service) -> text.Message:
    """The free days were had before, so the first payment is due now."""
    card = f"by you or with your card {facts['card']}" if facts.get("card") else "by you"
    return text.message(
        text.line(text.bold("Your free days have been used before.")),
        f"They are for everybody once, and they were had {card} already. So your subscription begins with "
        "its first payment now, and your access with it; you need not do anything.",
        "If that is not what you want, cancel it in the billing portal and write to us.",
        buttons=[[text.Button("Billing", data="/billing")]],
    )


NOTICES = {"trial_used": trial_used}
