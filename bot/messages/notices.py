"""What we tell members unasked about their access and payments, and operators about alarms."""

from collections.abc import Callable
from typing import Any

from bot.messages import buying, doubled, drifted, dunning, figures, giving, linked, record, signals, text
from core import catalogue

Facts = dict[str, Any]
_BILLING = ((text.Button("Manage billing", data="/billing"),),)
_SUBSCRIBE = ((text.Button("Plans", data="/plans"),),)


def access_started(facts: Facts, service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"Welcome! {facts['plan']} is on.")),
        text.line(_began(facts)),
        *_seats(facts),
        *_where(facts, "New signals arrive in this chat; those still open follow now."),
        *_simulated(service),
        text.BLANK,
        text.line(text.italic(service.risk)),
        buttons=[*([[text.Button("Give seats", data="/seats")]] if facts.get("seats") else []), *_first_steps(facts)],
    )


def _seats(facts: Facts) -> list[text.Line]:
    """What who pays for a team does next."""
    if not facts.get("seats"):
        return []
    return [text.line(f"You have {facts['seats']} seats. One is yours; ", text.command("/seats"), " gives the others.")]


def _began(facts: Facts) -> str:
    """What was paid, and what comes next."""
    until = figures.moment_of(facts.get("until"))
    if facts.get("trial"):
        price = f"{facts['amount']} is" if facts.get("amount") else "you are"
        later = f"Then {price} charged, unless you cancel before" if facts.get("renews", True) else "It does not renew"
        return f"Your free days have begun and last until {until}. {later}."
    term = (
        "It renews by itself until you cancel."
        if facts.get("renews", True)
        else f"It is paid until {until} and does not renew."
    )
    return f"Payment received, thank you. {term}"


def _where(facts: Facts, in_private: str) -> list[text.Line]:
    """Where signals arrive: in the places that the plan opens, where it opens any."""
    names = ", ".join(str(name) for name in facts.get("places") or ())
    if not names:
        return [text.line(f"{in_private} ", text.command("/status"))]
    return [
        text.line(f"Your plan opens {names}, where signals are posted; ", text.command("/join"), " takes you in."),
        text.line("Which of them also come to this chat is up to you: ", text.command("/settings")),
    ]


def _first_steps(facts: Facts) -> list[list[text.Button]]:
    steps = [[text.Button("Latest signals", data="/latest"), text.Button("Status", data="/status")]]
    return [[text.Button("Join your places", data="/join")], *steps] if facts.get("places") else steps


def _simulated(service: catalogue.Service) -> list[text.Line]:
    return [text.line(text.bold(service.notice))] if service.notice else []


def access_ended(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"Your access to {facts['plan']} has ended.")),
        "No new signals will come. Thank you for having been with us; you are welcome back at any time.",
        buttons=_SUBSCRIBE,
    )


def cancel_planned(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"Your cancellation of {facts['plan']} is noted.")),
        f"You keep everything until {figures.moment_of(facts.get('until'))}; nothing more will be charged.",
        "Changed your mind? You can undo it in the billing portal until then.",
        buttons=_BILLING,
    )


def cancel_undone(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"{facts['plan']} goes on.")),
        "Your cancellation is undone; it renews by itself as before.",
    )


def payment_pending(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"Thank you, your order of {facts['plan']} is in.")),
        "Your bank has not confirmed the payment yet. Access starts the moment it does; with some ways of paying "
        "this takes a few days. You will hear from us here.",
    )


def payment_refused(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"The payment for {facts['plan']} was refused.")),
        "Nothing was charged. You can try again with another card or way of paying.",
        buttons=[[text.Button("Try again", data="/subscribe")]],
    )


def granted(facts: Facts, service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"You have been given {facts['plan']}.")),
        f"It is yours until {figures.moment_of(facts.get('until'))}.",
        *_where(facts, "Signals arrive in this chat."),
        *_simulated(service),
        text.BLANK,
        text.line(text.italic(service.risk)),
        buttons=[*_first_steps(facts)],
    )


def revoked(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"The operator has ended the {facts['plan']} you were given.")),
        text.line("If you think this is a mistake, see ", text.command("/paysupport")),
    )


def link_asked(facts: Facts, _service: catalogue.Service) -> text.Message:
    return linked.question(facts)


def accounts_linked(facts: Facts, _service: catalogue.Service) -> text.Message:
    return linked.linked(facts)


def link_refused(facts: Facts, _service: catalogue.Service) -> text.Message:
    return linked.refused(facts)


def account_left(facts: Facts, _service: catalogue.Service) -> text.Message:
    return linked.left(facts)


def broadcast(facts: Facts, service: catalogue.Service) -> text.Message:
    """The operator's own words to all members; what looks like a link in them is one."""
    return text.message(
        text.line(text.bold(f"{service.name}: a message from the operator")),
        *text.paragraphs(str(facts.get("words", ""))),
        *_simulated(service),
        text.BLANK,
        text.line(text.italic(service.risk)),
    )


def hook_disabled(facts: Facts, _service: catalogue.Service) -> text.Message:
    number = facts["hook"]
    return text.message(
        text.line(text.bold(f"Your webhook {number} is switched off.")),
        f"{facts['host']} has not taken what we sent. {facts['said']}",
        text.line(
            "Nothing is lost: when it works again, ",
            text.Span(f"POST /api/v1/hooks/{number}/resume", "code"),
            " with your key goes on where it stopped.",
        ),
    )


def late_summary(facts: Facts, service: catalogue.Service) -> text.Message:
    return signals.late(facts["signals"], service)


def alarm(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold("Alarm for the operator")),
        str(facts["text"]),
        text.line(text.Span(str(facts["key"]), "code")),
    )


def daily(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(text.line(text.bold("Daily message for the operator")), str(facts["text"]))


def drift_report(facts: Facts, _service: catalogue.Service) -> text.Message:
    return drifted.report(facts)


def record_head(facts: Facts, service: catalogue.Service) -> text.Message:
    return record.head(facts, service)


NOTICES: dict[str, Callable[[Facts, catalogue.Service], text.Message]] = (
    {
        function.__name__: function
        for function in (
            access_started,
            access_ended,
            cancel_planned,
            cancel_undone,
            payment_pending,
            payment_refused,
            granted,
            revoked,
            link_asked,
            accounts_linked,
            link_refused,
            account_left,
            broadcast,
            hook_disabled,
            late_summary,
            alarm,
            daily,
            drift_report,
            record_head,
        )
    }
    | doubled.NOTICES
    | dunning.NOTICES
    | buying.NOTICES
    | giving.NOTICES
)
