"""What we say about a member's own data: the copy of it, and its end."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bot.messages import people, text
from core import catalogue, models

_LINE = 400
"""Units of a line of the copy; short enough to fill messages, long enough to keep marks of formatting few."""
_SECTIONS = (
    "your member number and settings, your accounts on the chats, subscriptions, customer numbers at the payment "
    "provider, checkouts, plans given to you, places you are in or were seen at, requests to link accounts, what "
    "operators did about you, everything that was sent to you and when, and what you and the payment "
    "provider told us that we still hold"
)


def copy(kept: Mapping[str, Any], service: catalogue.Service) -> text.Message:
    """Everything we keep about the member, as JSON that can be put together from all parts of the message."""
    return text.message(
        text.line(text.bold(f"{service.name}: everything we keep about you")),
        f"It holds {_SECTIONS}. It is JSON; when it comes in several messages, put them together in their order. Card "
        "data is with the payment provider and not here.",
        text.BLANK,
        *(text.line(text.Span(one, "code")) for one in _lines(kept)),
        buttons=[[text.Button("Delete my data", data="/delete")]],
    )


def _lines(kept: Mapping[str, Any]) -> Iterable[str]:
    """Compact JSON in lines, broken only where JSON may be."""
    line = ""
    for piece in json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).iterencode(kept):
        shown = "".join(sign if sign.isprintable() else _escaped(sign) for sign in piece)
        if line and text.units(line + shown) > _LINE:
            yield line
            line = ""
        line += shown
    yield line


def _escaped(sign: str) -> str:
    return json.dumps(sign)[1:-1]


def delete_asked(accounts: Sequence[models.Identity], *, paid_until: str) -> text.Message:
    """What deleting means, before it is done."""
    named = ", ".join(people.account(one) for one in accounts)
    lost = (
        [text.line(text.bold(f"You have paid until {paid_until}; the rest of that time is lost."))]
        if paid_until
        else []
    )
    return text.message(
        text.line(text.bold("Delete everything about you?")),
        f"It concerns {named}.",
        "Your names, numbers, settings, links and everything we noted about you are gone, at once and for good. You "
        "get no more signals and leave the places for subscribers. We cannot undo it, and if you write again "
        "you are new to us.",
        *lost,
        "What the law makes us keep about payments stays, under a number that is not your name. The payment provider "
        "keeps its own records.",
        text.line("A copy first? ", text.command("/export")),
        buttons=[
            [text.Button("Yes, delete everything", data="/delete yes")],
            [text.Button("No, keep it", data="/status")],
        ],
    )


def still_charged(plans: Sequence[str]) -> text.Message:
    """Deleting has to wait until nothing is charged any more."""
    return text.message(
        text.line(text.bold(f"You still pay for {' and '.join(plans)}.")),
        "If we deleted you now, you would go on being charged for nothing. Cancel first, in the billing portal; as "
        "soon as it is cancelled, you can delete everything, even before the paid time ends.",
        text.line("Then send ", text.command("/delete"), " again."),
        buttons=[[text.Button("Cancel", data="/cancel"), text.Button("Billing", data="/billing")]],
    )


def still_paying() -> text.Message:
    """A payment is on its way, and would arrive for nobody."""
    return text.message(
        "A payment of yours is still on its way. As soon as it has arrived or failed, you can delete everything; we "
        "tell you when that is.",
        buttons=[[text.Button("My status", data="/status")]],
    )


def deleted(service: catalogue.Service) -> text.Message:
    """The last thing somebody hears who is gone."""
    return text.message(
        text.line(text.bold("Done: everything about you is deleted.")),
        "You get nothing more from us. This last message is forgotten within a day as well.",
        f"Thank you for having been with {service.name}. If you write again, you are new to us.",
    )
