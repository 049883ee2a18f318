"""What we answer to questions about ourselves, about a member's standing, and to what we did not understand."""

from collections.abc import Iterable, Sequence

from bot.messages import figures, text
from core import access, catalogue, health

_PLANS = text.Button("Plans and prices", data="/plans")
_LATEST = text.Button("Latest results", data="/latest")
_STATUS = text.Button("My status", data="/status")
_BILLING = text.Button("Billing", data="/billing")
_HELP = text.Button("Help", data="/help")


def start(book: catalogue.Catalogue, *, paying: bool) -> text.Message:
    """A welcome that says what this service does and what the next step is."""
    service = book.service
    doing = (
        "Your access is on: new signals arrive in this chat."
        if paying
        else "Subscribers get each signal in this chat the moment it is found. Everybody may read how past ones ended."
    )
    buttons = [[_LATEST, _STATUS], [_HELP]] if paying else [[_PLANS], [_LATEST, _HELP]]
    return text.message(
        text.line(text.bold(f"Welcome to {service.name}.")),
        f"We watch {_markets(book)} and send a signal when our rules find one: direction, entry, target, stop loss and "
        "the reason in figures. Afterwards you hear how it ended, losses included.",
        text.BLANK,
        doing,
        *([text.line(text.bold(service.notice))] if service.notice else []),
        text.BLANK,
        text.line(text.italic(service.risk)),
        buttons=buttons,
    )


def _markets(book: catalogue.Catalogue) -> str:
    symbols = sorted({watch.symbol for watch in book.watches})
    named = ", ".join(symbols[:6])
    return f"{named} and {len(symbols) - 6} more" if len(symbols) > 6 else named or "the markets"


def usage(commands: Iterable[tuple[str, str]], service: catalogue.Service) -> text.Message:
    """Every command with its description."""
    return text.message(
        text.line(text.bold(f"{service.name}: what you can ask")),
        *(text.line(text.command(f"/{name}"), f" – {description}") for name, description in commands),
        *_support(service),
        buttons=[[_PLANS, _LATEST], [_STATUS]],
    )


def _support(service: catalogue.Service) -> list[text.Line]:
    return [text.BLANK, text.line("Questions? ", text.Span(service.support, live=True))] if service.support else []


def status(standing: access.Standing) -> text.Message:
    """What the member has, until when, and how signals reach them."""
    if not standing.paying:
        return text.message(
            text.line(text.bold("You have no subscription at the moment.")),
            *_muted(standing),
            "Choose a plan to get signals in this chat. If you have just paid, you will hear from us in a minute.",
            text.line("Paid and nothing happened? ", text.command("/fix"), " looks again."),
            buttons=[[_PLANS]],
        )
    number = standing.open_signals
    return text.message(
        *(text.line(text.bold(holding.plan.name), f": {_holding(holding)}") for holding in standing.holdings),
        f"Open signals now: {number}",
        *_muted(standing),
        buttons=[[text.Button("Latest signals", data="/latest"), _BILLING], [_mute_button(muted=standing.muted)]],
    )


def _holding(holding: access.Holding) -> str:
    if holding.source == "operator":
        return f"given by the operator until {figures.moment(holding.until)}" if holding.until else "given without end"
    until = figures.moment(holding.until) if holding.until else "further notice"
    if not holding.renews:
        return f"cancelled, yours until {until}"
    if holding.status == "past_due":
        return f"the last payment failed; access until {until}. Please look at your card in the billing portal."
    return f"active, paid until {until}, renews by itself"


def _muted(standing: access.Standing) -> list[text.Line]:
    return [text.line("Signals are muted. ", text.command("/unmute"), " brings them back.")] if standing.muted else []


def _mute_button(*, muted: bool) -> text.Button:
    return text.Button("Unmute signals", data="/unmute") if muted else text.Button("Mute signals", data="/mute")


def fixed(standing: access.Standing) -> text.Message:
    """The standing after everything was looked at again."""
    shown = status(standing)
    return text.Message((text.line("I have looked at your access again."), *shown.lines), shown.buttons)


def muted(*, now_muted: bool) -> text.Message:
    """Whether signals come from now on."""
    words = (
        "Muted: no signals in this chat until you unmute. Your subscription goes on, and notices about it still arrive."
        if now_muted
        else "Unmuted: signals arrive in this chat again."
    )
    return text.message(words, buttons=[[_mute_button(muted=now_muted), _STATUS]])


def join() -> text.Message:
    return text.message(
        "There is nothing to join: your signals come to you in this chat, as soon as your subscription is on.",
        buttons=[[_PLANS, _STATUS]],
    )


def service(report: health.Report) -> text.Message:
    """Whether every part of the product is getting somewhere, with the age of its last progress."""
    slow = [part for part in report.parts if not part.ok]
    if not report.parts:
        head = "Starting up: no part has reported yet."
    elif slow:
        head = "Not everything is working right now. We are on it; nothing that was paid for is lost."
    else:
        head = "Everything is working."
    alarms = len(report.alarms)
    return text.message(
        text.line(text.bold(head)),
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
        text.line(text.bold(f"{service.name}: privacy")), *text.paragraphs(service.privacy), *_operator(service)
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


def sent_privately() -> text.Message:
    """The only thing said in a public chat to somebody we know."""
    return text.message("I've sent it to you privately.")


def come_privately(payload: str) -> text.Message:
    """The only thing said in a public chat to somebody we cannot write to yet."""
    return text.message(
        "I answer that in our private chat.", buttons=[[text.Button("Open the private chat", start=payload)]]
    )
