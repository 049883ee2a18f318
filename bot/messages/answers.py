"""What we answer to questions about ourselves, and to what we did not understand."""

from collections.abc import Mapping, Sequence

from bot.messages import figures, text
from core import catalogue, health, models

_PLANS = text.Button("Plans and prices", data="/plans")
_LATEST = text.Button("Latest results", data="/latest")
_STATUS = text.Button("My status", data="/status")
_BILLING = text.Button("Billing", data="/billing")
_HELP = text.Button("Help", data="/help")


TOPICS = {
    "signals": "Signals and results",
    "membership": "Your membership",
    "delivery": "How signals reach you",
    "data": "Your data",
    "about": "About us",
    "operator": "For operators",
}
"""The headings of the help text, by the topic of a command."""


def start(book: catalogue.Catalogue, *, paying: bool, gated: bool = False, several: bool = False) -> text.Message:
    """A welcome that says what this service does and what the next step is.

    `gated` says whether there are places for subscribers on this chat, `several` whether we are on other chats too.
    """
    service = book.service
    doing = "Subscribers get each signal the moment it is found. Everybody may read how past ones ended."
    if paying:
        where = (
            "in the places for subscribers and in this chat, as you choose in your settings"
            if gated
            else "in this chat"
        )
        doing = f"Your access is on: new signals arrive {where}."
    buttons = [[_LATEST, _STATUS], [_HELP]] if paying else [[_PLANS], [_LATEST, _HELP]]
    buttons[-1] += [text.Button("Places", data="/join")] if gated and paying else []
    linking = [text.line("Already a member on another chat? ", text.command("/link"), " brings it here.")]
    return text.message(
        text.line(text.bold(f"Welcome to {service.name}.")),
        f"We watch {_markets(book)} and send a signal when our rules find one: direction, entry, target, stop loss and "
        "the reason in figures. Afterwards you hear how it ended, losses included.",
        text.BLANK,
        doing,
        *(linking if several and not paying else []),
        *([text.line(text.bold(service.notice))] if service.notice else []),
        text.BLANK,
        text.line(text.italic(service.risk)),
        buttons=buttons,
    )


def _markets(book: catalogue.Catalogue) -> str:
    symbols = sorted({watch.symbol for watch in book.watches})
    named = ", ".join(symbols[:6])
    return f"{named} and {len(symbols) - 6} more" if len(symbols) > 6 else named or "the markets"


def usage(topics: Mapping[str, Sequence[tuple[str, str]]], service: catalogue.Service) -> text.Message:
    """Every command with its description, under the heading of its topic."""
    rows: list[text.Line] = []
    for topic, heading in TOPICS.items():
        listed = [text.line(text.command(f"/{name}"), f" – {said}") for name, said in topics.get(topic, ())]
        rows += [text.BLANK, text.line(text.bold(heading)), *listed] if listed else []
    return text.message(
        text.line(text.bold(f"{service.name}: what you can ask")),
        *rows,
        *_support(service),
        buttons=[[_PLANS, _LATEST], [_STATUS]],
    )


def _support(service: catalogue.Service) -> list[text.Line]:
    return [text.BLANK, text.line("Questions? ", text.Span(service.support, live=True))] if service.support else []


def service(report: health.Report, paused: models.Switch | None = None) -> text.Message:
    """Whether every part of the product is getting somewhere, with the age of its last progress, and a pause."""
    slow = [part for part in report.parts if not part.ok]
    if not report.parts:
        head = "Starting up: no part has reported yet."
    elif slow:
        head = "Not everything is working right now. We are on it; nothing that was paid for is lost."
    else:
        head = "Everything is working."
    alarms = len(report.alarms)
    since = [f"The operator has paused new signals since {figures.moment(paused.at)}."] if paused else []
    return text.message(
        text.line(text.bold(head)),
        *since,
        *(text.line(f"{'✓' if part.ok else '✕'} {_name(part)}: {figures.age(part.age)} ago") for part in report.parts),
        *([f"The operator has been told about {figures.counted(alarms, 'problem')}."] if alarms else []),
    )


def _name(part: health.Part) -> str:
    return part.name.replace(".", " ").replace(":", " ").replace("_", " ")


def terms(service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"{service.name}: terms")),
        *text.paragraphs(service.terms),
        *_operator(service),
        text.BLANK,
        text.line(text.italic(service.risk)),
    )


def privacy(service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"{service.name}: privacy")),
        *text.paragraphs(service.privacy),
        text.line(text.command("/export"), " sends you a copy of all of it, ", text.command("/delete"), " deletes it."),
        *_operator(service),
        buttons=[[text.Button("Send me a copy", data="/export"), text.Button("Delete my data", data="/delete")]],
    )


def _operator(service: catalogue.Service) -> Sequence[text.Line]:
    if not service.operator:
        return _support(service)
    return [text.BLANK, text.line("Operator: ", text.Span(service.operator, live=True)), *_support(service)[1:]]


def paysupport(service: catalogue.Service) -> text.Message:
    """Where to turn with questions about a payment."""
    contact: list[text.Line] = (
        [text.line("Write to ", text.Span(service.support, live=True), " and say what happened; we answer personally.")]
        if service.support
        else [text.line("The operator answers questions about payments and refunds personally.")]
    )
    return text.message(
        text.line(text.bold("Questions about a payment")),
        "Invoices, your card and cancellation are in the billing portal. Never send card numbers in a chat.",
        *contact,
        *_operator(service)[: 2 if service.operator else 0],
        buttons=[[_BILLING]],
    )


def hint() -> text.Message:
    return text.message(
        text.line("I understand commands; ", text.command("/help"), " lists them."), buttons=[[_HELP, _LATEST]]
    )


def unknown() -> text.Message:
    return text.message(
        text.line("I do not know that command; ", text.command("/help"), " lists the ones I know."), buttons=[[_HELP]]
    )


def refused(reason: str) -> text.Message:
    """Something cannot be done; the reason says what to do instead."""
    return text.message(reason, buttons=[[_HELP]])


def sent_privately() -> text.Message:
    """The only thing said in a public chat to somebody we know."""
    return text.message("I've sent it to you privately.")


def come_privately(payload: str) -> text.Message:
    """The only thing said in a public chat to somebody we cannot write to yet."""
    return text.message(
        "I answer that in our private chat.", buttons=[[text.Button("Open the private chat", start=payload)]]
    )


def turned_away(place_name: str, service: catalogue.Service) -> text.Message:
    """Why a request to join a gated place was declined, and how one gets in."""
    return text.message(
        text.line(text.bold(f"{place_name} is for subscribers.")),
        "Your account has no plan that opens it at the moment, so your request to join was declined.",
        text.line(text.command("/plans"), " shows what there is, ", text.command("/subscribe"), " gets you in."),
        "As soon as your subscription is on, ask to join again; you will be let in at once.",
        text.line("Paid and still outside? Send ", text.command("/fix"), " in our private chat."),
        *_support(service),
        text.BLANK,
        text.line(text.italic(service.name)),
        buttons=[[text.Button("Plans and prices", start="plans")]],
    )
