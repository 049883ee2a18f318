"""What we tell members about payments before and after they fail, about what is charged next, and after /fix."""

from collections.abc import Callable
from typing import Any

from bot.messages import figures, starry, text
from core import catalogue

Facts = dict[str, Any]
_BILLING = ((text.Button("Manage billing", data="/billing"),),)
_PAY = ((text.Button("Pay or change the card", data="/billing"),),)
_STATUS = ((text.Button("Status", data="/status"), text.Button("Billing", data="/billing")),)


def payment_failed(facts: Facts, _service: catalogue.Service) -> text.Message:
    if starry.paid(facts):
        return starry.payment_failed(facts)
    return text.message(
        text.line(text.bold(f"A payment for {facts['plan']} did not go through.")),
        f"{_charged(facts, 'We could not charge', 'your card')}. This happens, for example when a card was replaced.",
        f"You keep your access until {figures.moment_of(facts.get('until'))}. Please look at your card in the billing "
        "portal, where you can also pay at once; otherwise the payment is tried again by itself.",
        buttons=_PAY,
    )


def payment_action(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"Your bank asks you to confirm the payment for {facts['plan']}.")),
        f"Please open the billing portal and pay the open invoice there{_amount(facts)}; your bank then asks you for "
        "the confirmation.",
        f"You keep your access until {figures.moment_of(facts.get('until'))}.",
        buttons=((text.Button("Confirm the payment", data="/billing"),),),
    )


def grace_ends(facts: Facts, _service: catalogue.Service) -> text.Message:
    if starry.paid(facts):
        return starry.grace_ends(facts)
    return text.message(
        text.line(text.bold(f"Your access to {facts['plan']} ends soon.")),
        f"The last payment is still open{_amount(facts)}. Without it your access ends on "
        f"{figures.moment_of(facts.get('until'))}.",
        "If you would like to stay, please pay in the billing portal or put in another card. If not, there is nothing "
        "to do.",
        buttons=_PAY,
    )


def access_ended_unpaid(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"Your access to {facts['plan']} has ended, because its last payment did not go through.")),
        "No new signals will come. As soon as the open payment is made in the billing portal, everything is on again; "
        "if nothing is open there any more, you can subscribe anew.",
        buttons=((text.Button("Billing", data="/billing"), text.Button("Plans", data="/plans")),),
    )


def trial_ends(facts: Facts, _service: catalogue.Service) -> text.Message:
    at = figures.moment_of(facts.get("at"))
    return text.message(
        text.line(text.bold(f"Your free days of {facts['plan']} end on {at}.")),
        f"{_charged(facts, 'Then', 'is charged', first=True)}, and the subscription goes on until you cancel.",
        "If you do not want that, cancel in the billing portal before then, and nothing is charged.",
        buttons=_BILLING,
    )


def renewal_ahead(facts: Facts, _service: catalogue.Service) -> text.Message:
    at = figures.moment_of(facts.get("at"))
    return text.message(
        text.line(text.bold(f"{facts['plan']} renews on {at}.")),
        f"{_charged(facts, 'Then', 'is charged', first=True)} for the next year.",
        "There is nothing to do if you would like to stay. If not, cancel in the billing portal before then; you keep "
        "your access until the end of what is paid.",
        buttons=_BILLING,
    )


def card_expires(facts: Facts, _service: catalogue.Service) -> text.Message:
    card = facts.get("card") or "The card"
    return text.message(
        text.line(text.bold(f"{card} is valid only until {_month(facts['expires'])}.")),
        f"The next payment for {facts['plan']}{_amount(facts)} is due on {figures.moment_of(facts.get('at'))}.",
        "Please put in your new card in the billing portal, so that nothing is interrupted.",
        buttons=((text.Button("Change the card", data="/billing"),),),
    )


def _amount(facts: Facts) -> str:
    return f" ({facts['amount']})" if facts.get("amount") else ""


def _charged(facts: Facts, before: str, after: str, *, first: bool = False) -> str:
    """What is charged from which card: "Then 29.00 USD is charged to Visa 4242", "We could not charge your card"."""
    amount, card = str(facts.get("amount") or ""), str(facts.get("card") or "")
    if first:
        return f"{before} {amount or 'the price of the plan'} {after}{f' to {card}' if card else ''}"
    return f"{before} {card or after}{_amount(facts)}"


def _month(said: str) -> str:
    """The month "2027-03" as people say it: March 2027."""
    year, _, month = said.partition("-")
    return f"{_MONTHS[int(month) - 1]} {year}"


_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def plan_changed(facts: Facts, _service: catalogue.Service) -> text.Message:
    seats = f" × {facts['seats']} seats" if int(facts.get("seats") or 1) > 1 else ""
    price = f": {facts['price']}{seats}" if facts.get("price") else seats
    return text.message(
        text.line(text.bold(f"Your subscription is changed. It is {facts['plan']} now{price}.")),
        text.line("If it was not you who changed it, please write to us: ", text.command("/paysupport")),
        buttons=_STATUS,
    )


# --- after /fix


def looked_again(facts: Facts, _service: catalogue.Service) -> text.Message:
    """The provider was asked; `changed` when something of the member's was not known before."""
    if facts.get("changed"):
        return text.message(
            text.line(text.bold("We have asked our payment provider, and brought your membership up to date.")),
            text.line(text.command("/status"), " says what stands now."),
            buttons=_STATUS,
        )
    return text.message(
        text.line(text.bold("We have asked our payment provider: nothing has changed.")),
        text.line(
            "Everything stands as ",
            text.command("/status"),
            " says. If that is not right, please write to us: ",
            text.command("/paysupport"),
        ),
        buttons=_STATUS,
    )


def look_waits(_facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold("Our payment provider does not answer at the moment.")),
        "We go on asking by ourselves, and write to you as soon as we know. What you have stays as it is meanwhile.",
    )


NOTICES: dict[str, Callable[[Facts, catalogue.Service], text.Message]] = {
    function.__name__: function
    for function in (
        payment_failed,
        payment_action,
        grace_ends,
        access_ended_unpaid,
        trial_ends,
        renewal_ahead,
        card_expires,
        plan_changed,
        looked_again,
        look_waits,
    )
}
