"""What we tell a member who pays twice for one plan."""

from collections.abc import Callable
from typing import Any

from bot.messages import text
from core import catalogue

Facts = dict[str, Any]
_BILLING = ((text.Button("Manage billing", data="/billing"),),)


def second_subscription(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"You now have {facts['plan']} twice.")),
        text.line(
            "Two payments were made for the same plan. The operator has been told; see ", text.command("/paysupport")
        ),
        "You can also cancel one of the two in the billing portal.",
        buttons=_BILLING,
    )


def second_returning(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"You paid twice for {facts['plan']}; we are putting that right.")),
        "The newer of your two subscriptions is being cancelled, and all that you paid for it goes back to you. You "
        "need not do anything, and your access stays as it is.",
    )


def second_returned(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"What you paid a second time for {facts['plan']} has been given back.")),
        "The doubled subscription is cancelled, the first one goes on. The money is on your account as soon as your "
        "bank has booked it, usually within ten days.",
        text.line("If it does not come, please write to us: ", text.command("/paysupport")),
    )


NOTICES: dict[str, Callable[[Facts, catalogue.Service], text.Message]] = {
    function.__name__: function for function in (second_subscription, second_returning, second_returned)
}
