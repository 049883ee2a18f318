"""What we say about seats and gifts: to who pays for them, to who has them, and unasked when something changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.messages import figures, people, text
from core import catalogue, grants, models
from core.billing import seats

Facts = Mapping[str, Any]
_STATUS = text.Button("My status", data="/status")
_PLANS = text.Button("Plans and prices", data="/plans")
_SEATS = text.Button("Seats", data="/seats")
_GIFT = text.Button("My gifts", data="/gift")
_PAYSUPPORT = text.command("/paysupport")


def _from(facts: Facts) -> str:
    return str(facts.get("by") or "another member")


def _who(facts: Facts) -> str:
    return str(facts.get("who") or "Somebody")


# --- unasked, to who has a seat or a gift


def seat_began(facts: Facts, service: catalogue.Service) -> text.Message:
    head = f"You have {'your seat in' if facts.get('again') else 'a seat in'} {facts['plan']}"
    paid = f"{facts.get('by') or 'Another member'} pays for it"
    until = figures.moment_of(facts.get("until"))
    words = f"{paid}, now until {until}, and it goes on with each payment. Nothing is charged to you."
    if not facts.get("goes_on", True):
        words = f"{paid}, and it lasts until {until}. Nothing is charged to you."
    again = " again." if facts.get("again") else "."
    return _began(text.line(text.bold(head + again)), words, facts, service)


def gift_began(facts: Facts, service: catalogue.Service) -> text.Message:
    head = f"{facts['plan']} is yours{' again' if facts.get('again') else ''}: a gift from {_from(facts)}."
    words = f"It lasts until {figures.moment_of(facts.get('until'))}. Nothing is charged to you, and it does not renew."
    return _began(text.line(text.bold(head)), words, facts, service)


def _began(head: text.Line, words: str, facts: Facts, service: catalogue.Service) -> text.Message:
    names = ", ".join(str(name) for name in facts.get("places") or ())
    where = (
        text.line(f"It opens {names}; ", text.command("/join"), " takes you in.")
        if names
        else text.line("Signals arrive in this chat; those still open follow now.")
    )
    join = [[text.Button("Join your places", data="/join")]] if names else []
    return text.message(
        head,
        words,
        where,
        *([text.line(text.bold(service.notice))] if service.notice else []),
        text.BLANK,
        text.line(text.italic(service.risk)),
        buttons=[*join, [text.Button("Latest signals", data="/latest"), _STATUS]],
    )


_SEAT_ENDS = {
    seats.FREED: "{by} has taken the seat back, to give it to somebody else.",
    seats.FEWER: "{by} pays for fewer seats now, and yours was one of those that ended.",
    seats.OVER: "The subscription that paid for it is over.",
}


def seat_ended(facts: Facts, _service: catalogue.Service) -> text.Message:
    usual = "The subscription that pays for it gives no access at the moment. If it goes on, your seat does too."
    words = _SEAT_ENDS.get(str(facts.get("why")), usual).format(by=_from(facts))
    return _ended(f"Your seat in {facts['plan']} has ended.", words)


_GIFT_ENDS = {
    "refunded": "The payment for this gift was given back to its buyer.",
    "disputed": "The payment for this gift is being disputed at the bank. If that ends well, the gift comes back.",
}


def gift_ended(facts: Facts, _service: catalogue.Service) -> text.Message:
    usual = "Its time is over. We hope you liked it; you are welcome to go on by yourself."
    return _ended(f"Your gift of {facts['plan']} has ended.", _GIFT_ENDS.get(str(facts.get("why")), usual))


def _ended(head: str, words: str) -> text.Message:
    return text.message(
        text.line(text.bold(head)),
        text.line(words[:1].upper() + words[1:]),
        "No new signals will come; nothing is charged to you.",
        buttons=[[_PLANS]],
    )


# --- unasked, to who pays


def seat_taken(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"{_who(facts)} has taken seat {facts.get('seat')} of {facts['plan']}.")),
        "You can free the seat at any time and give it to somebody else.",
        buttons=[[_SEATS]],
    )


def gift_taken(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"{_who(facts)} has taken your gift of {facts['plan']}.")),
        f"It lasts until {figures.moment_of(facts.get('until'))}. Thank you for giving it.",
        buttons=[[text.Button("Give another one", data="/gift new")]],
    )


def gift_bought(facts: Facts, _service: catalogue.Service) -> text.Message:
    """The link is made when the buyer asks for it, so that it stands nowhere before."""
    return text.message(
        text.line(text.bold(f"Your gift of {facts['plan']} is paid, thank you.")),
        f"It was one payment, and nothing renews. Whoever uses your link first has {facts['plan']} for "
        f"{facts.get('period', 'one period')}, from that moment on.",
        buttons=[[text.Button("Get the link", data=f"/gift link {facts['gift']}")]],
    )


def gift_payment_pending(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"Thank you, your order of a gift of {facts['plan']} is in.")),
        "Your bank has not confirmed the payment yet; with some ways of paying this takes a few days. You get the "
        "link to hand on here, the moment it does.",
    )


def gift_payment_refused(facts: Facts, _service: catalogue.Service) -> text.Message:
    return text.message(
        text.line(text.bold(f"The payment for your gift of {facts['plan']} was refused.")),
        "Nothing was charged. You can try again with another card or way of paying.",
        buttons=[[text.Button("Try again", data="/gift new")]],
    )


def gift_withdrawn(facts: Facts, _service: catalogue.Service) -> text.Message:
    refunded = facts.get("why") == "refunded"
    what = "was given back to you" if refunded else "is being disputed at your bank"
    back = "" if refunded else " If the dispute ends in favour of the payment, the gift comes back."
    taken = "So it has ended, and whoever has taken it has been told."
    return text.message(
        text.line(text.bold(f"The payment for your gift of {facts['plan']} {what}.")),
        f"{taken if facts.get('taken') else 'So nobody can take it now.'}{back}",
        text.line("Questions? ", _PAYSUPPORT),
    )


def gift_restored(facts: Facts, _service: catalogue.Service) -> text.Message:
    words = (
        "Whoever has taken it has it again for the rest of its time, and has been told."
        if facts.get("taken")
        else "It can be taken again, with the link that you have."
    )
    return text.message(
        text.line(text.bold(f"Your gift of {facts['plan']} is good again.")),
        f"The payment for it stands. {words}",
        buttons=[[_GIFT]],
    )


NOTICES = {
    function.__name__: function
    for function in (
        seat_began,
        seat_ended,
        seat_taken,
        gift_began,
        gift_ended,
        gift_taken,
        gift_bought,
        gift_payment_pending,
        gift_payment_refused,
        gift_withdrawn,
        gift_restored,
    )
}


# --- asked: codes


def which_code() -> text.Message:
    """The code has to be said."""
    return text.message(
        "Whoever gives you a seat or a gift has a code for you.",
        text.line("Send it so: ", text.Span("/redeem CODE", "code")),
        "On Discord, choose /membership redeem and put the code in.",
    )


def redeemed(offer: grants.Offered, facts: Facts, held: Sequence[str]) -> text.Message:
    """The code has worked; `held` are other ways in which the member has the plan."""
    thing = "a seat in" if offer.seat else "a gift:"
    also = [f"You also have it otherwise ({', '.join(held)}); that goes on as before."] if held else []
    if held and offer.seat:
        also = [f"You also have it otherwise ({', '.join(held)}); what you pay yourself goes on until you cancel it."]
    return text.message(
        text.line(text.bold(f"That code is good: you have {thing} {facts['plan']}.")),
        *also,
        buttons=[[_STATUS]],
    )


def sure(plan: str, code: str) -> text.Message:
    """The member has the plan already, and a gift of it would run at the same time."""
    return text.message(
        text.line(text.bold(f"You have {plan} already.")),
        "The gift would begin now and run at the same time, so you would gain less by it. The code stays good; you "
        "can also use it later, or pass it on.",
        buttons=[[text.Button("Take it now", data=f"/redeem {code} yes"), text.Button("Keep it", data="/status")]],
    )


# --- asked: seats


def teams(found: Sequence[tuple[str, seats.Team]], url: str) -> text.Message:
    """Who has a seat of what the member pays for, and the way to the page where seats are given."""
    lines = [line for name, team in found for line in _team(name, team)]
    return text.message(
        *lines,
        "On the page you invite people, free seats, and buy more. The link is yours alone and works for one hour.",
        buttons=[[text.Button("Give and free seats", url=url)]],
    )


def _team(name: str, team: seats.Team) -> list[text.Line]:
    rows = [text.line(f"· Seat {seat.grant.seat}: {_named(seat)}") for seat in team.seats]
    waiting = f", {figures.counted(len(team.invited), 'invitation')} open" if team.invited else ""
    return [
        text.line(text.bold(f"{name}: {figures.counted(team.subscription.quantity, 'seat')}"), f", {team.free} free"),
        text.line("· Seat 1: you"),
        *rows,
        *([text.line(f"· {waiting[2:]}")] if waiting else []),
    ]


def _named(seat: seats.Seat) -> str:
    who = people.account(seat.people[0]) if seat.people else "a member without an account"
    return f"{who} ({seat.note})" if seat.note else who


def no_seats(*, seated: str, sold: bool) -> text.Message:
    """The member pays for no seats; `seated`: who pays for theirs, `sold`: whether a plan with seats is sold at all."""
    if seated:
        return text.message(
            f"You have a seat that {seated} pays for; only who pays can give seats.", buttons=[[_STATUS]]
        )
    more = " One of the plans is for teams." if sold else ""
    return text.message(f"You pay for no seats that could be given to others.{more}", buttons=[[_PLANS]])


# --- asked: gifts


def gifts(found: Sequence[tuple[models.Gift, str]], url: str, *, sold: bool) -> text.Message:
    """The member's gifts that nobody has taken, and the way to the page where one is bought."""
    if not found and not sold:
        return text.message("Nothing can be bought as a gift at the moment.", buttons=[[_PLANS]])
    listed = [
        text.line(f"· {name}, bought on {figures.day(gift.created_at)}: nobody has taken it yet")
        for gift, name in found
    ]
    links = [
        [text.Button(f"Link for {name} of {figures.day(gift.created_at)}"[:60], data=f"/gift link {gift.id}")]
        for gift, name in found[:5]
    ]
    buying = (
        "Buy one period of a plan for somebody else: one payment, nothing renews. You get a link to hand on. Our link "
        "to the page is yours alone and works for 24 hours."
    )
    return text.message(
        text.line(text.bold("Your gifts" if found else "Give it to somebody")),
        *listed,
        *([buying] if sold else []),
        buttons=[*links, [text.Button("Choose a gift", url=url)] if sold else []],
    )


def handed(plan: str, code: str, url: str, until: datetime) -> text.Message:
    """The link to hand on; it is shown here and nowhere else."""
    return text.message(
        text.line(text.bold(f"Your gift of {plan}, to hand on")),
        text.line("The link for whoever shall have it: ", text.Span(url, live=True)),
        text.line("Or, in a chat with our bot: ", text.Span(f"/redeem {code}", "code")),
        f"It works once, until {figures.day(until)}, for whoever uses it first. We keep no copy: if you lose it, "
        "ask for a new one here, and this one is worth nothing any more.",
        buttons=[[_GIFT]],
    )
