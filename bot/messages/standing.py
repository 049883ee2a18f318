"""What we answer about what a member has, which places are open to them, and how signals arrive."""

from collections.abc import Mapping, Sequence

from bot.messages import figures, people, text
from core import access, models, places

_PLANS = text.Button("Plans and prices", data="/plans")
_STATUS = text.Button("My status", data="/status")
_BILLING = text.Button("Billing", data="/billing")
_JOIN = text.Button("Places", data="/join")
_SETTINGS = text.Button("Settings", data="/settings")
_ARRIVE = {
    "private": "in our private chat",
    "place": "in the places for subscribers",
    "both": "in the places for subscribers, and in our private chat while you are not inside one",
}
_MEANING = {
    "private": "every signal comes to you in our private chat",
    "place": "you read signals in the places for subscribers, without a copy in private",
    "both": "you read signals in the places for subscribers, and while you are not inside a place that carries a "
    "signal it comes in private, so you get each one once",
}


def status(
    standing: access.Standing,
    seats: Sequence[places.Seat] = (),
    accounts: Sequence[models.Identity] = (),
    here: models.Identity | None = None,
) -> text.Message:
    """What the member has, until when, which places are theirs, and how signals reach each of their accounts."""
    if not standing.paying:
        return text.message(
            text.line(text.bold("You have no subscription at the moment.")),
            *_muted(standing),
            "Choose a plan to get signals in this chat. If you have just paid, you will hear from us in a minute.",
            text.line("Paid and nothing happened? ", text.command("/fix"), " looks again."),
            *(_accounts(accounts, here, seats) if len(accounts) > 1 else []),
            buttons=[[_PLANS]],
        )
    opened = [seat for seat in seats if seat.may or seat.inside]
    waiting = [_JOIN] if any(seat.may and not seat.inside for seat in opened) else []
    return text.message(
        *(text.line(text.bold(holding.plan.name), f": {_holding(holding)}") for holding in standing.holdings),
        f"Open signals now: {standing.open_signals}",
        *(f"{seat.place.name} ({people.platform(seat.place.platform)}): {_inside(seat)}" for seat in opened),
        *_muted(standing),
        *_accounts(accounts, here, seats),
        buttons=[
            [text.Button("Latest signals", data="/latest"), _BILLING],
            [_mute_button(muted=standing.muted), _SETTINGS, *waiting],
        ],
    )


def _inside(seat: places.Seat) -> str:
    return "you are inside" if seat.inside else "open to you"


def _holding(holding: access.Holding) -> str:
    if holding.given:
        return _given(holding)
    until = figures.moment(holding.until) if holding.until else "further notice"
    if not holding.renews:
        return f"cancelled, yours until {until}"
    if holding.status == "past_due":
        return f"the last payment failed; access until {until}. Please look at your card in the billing portal."
    if holding.status == "trialing":
        return f"free until {until}; then it is charged and renews by itself, unless you cancel before"
    return f"active, paid until {until}, renews by itself"


def _given(holding: access.Holding) -> str:
    until = f" until {figures.moment(holding.until)}" if holding.until else ""
    by = holding.by or "another member"
    if holding.source == "seat":
        goes_on = "; it goes on as long as they pay" if holding.renews else ""
        return f"a seat that {by} pays for{until}{goes_on}"
    if holding.source == "gift":
        return f"a gift from {by}{until}"
    return f"given by the operator{until}" if until else "given without end"


def _muted(standing: access.Standing) -> list[text.Line]:
    return [text.line("Signals are muted. ", text.command("/unmute"), " brings them back.")] if standing.muted else []


def _mute_button(*, muted: bool) -> text.Button:
    return text.Button("Unmute signals", data="/unmute") if muted else text.Button("Mute signals", data="/mute")


def _accounts(
    accounts: Sequence[models.Identity], here: models.Identity | None, seats: Sequence[places.Seat]
) -> list[text.Line]:
    """How signals reach each account; nothing where there is but one account and no place."""
    if not accounts or (len(accounts) == 1 and not seats):
        return []
    rows = [text.line(f"· {people.account(one)}: {_arrives(one, here, seats)}") for one in accounts]
    return [text.BLANK, text.line("How signals reach your accounts:"), *rows]


def _arrives(one: models.Identity, here: models.Identity | None, seats: Sequence[places.Seat]) -> str:
    mine = " (this one)" if here is not None and one.id == here.id else ""
    if one.blocked_at is not None:
        return f"our messages do not arrive there{mine}"
    return _ARRIVE[route(one) if any(seat.identity.id == one.id for seat in seats) else "private"] + mine


def route(one: models.Identity) -> str:
    """How signals reach this account: as chosen, or as is usual on its platform."""
    return one.route or access.USUAL_ROUTE.get(one.platform, "private")


def fixed(shown: text.Message, *, asked: bool | None) -> text.Message:
    """The standing after everything was looked at again; `asked`: the provider is being asked, or was a moment ago."""
    said = {
        True: "We are asking our payment provider as well; you hear from us here within seconds.",
        False: "Our payment provider was asked less than a minute ago; you hear from us here.",
        None: "No payment of yours is known to us, so there was nobody to ask.",
    }[asked]
    return text.Message(
        (text.line("I have looked at your access again."), text.line(said), *shown.lines), shown.buttons
    )


def muted(*, now_muted: bool) -> text.Message:
    """Whether signals come from now on."""
    words = (
        "Muted: no signals in this chat until you unmute. Your subscription goes on, and notices about it still "
        "arrive. Places for subscribers are not muted; your chat app can do that."
        if now_muted
        else "Unmuted: signals arrive in this chat again."
    )
    return text.message(words, buttons=[[_mute_button(muted=now_muted), _STATUS]])


def settings(
    here: models.Identity, accounts: Sequence[models.Identity], *, muted: bool, gated: bool, said: str = ""
) -> text.Message:
    """How signals arrive on this account and how to change it; `gated` says whether there are places on its chat."""
    now, chat = route(here), people.platform(here.platform)
    usual = access.USUAL_ROUTE.get(here.platform, "private")
    choice = [
        text.line(text.bold(f"{name}: ") if name == now else f"{name}: ", f"{_MEANING[name]}{_mark(name, now, usual)}.")
        for name in access.ROUTES
    ]
    none = f"There is no place for subscribers on {chat} at the moment, so signals come in our private chat."
    others = [one for one in accounts if one.id != here.id]
    linked = ", ".join(people.account(one) for one in others) or "none"
    return text.message(
        *([text.line(text.bold(said))] if said else []),
        text.line(text.bold(f"How signals reach you on {chat}")),
        *choice,
        *([] if gated else [text.line(none)]),
        "Signals in private are muted." if muted else "Signals in private are not muted.",
        text.line(f"Linked accounts: {linked}. ", text.command("/link"), " adds one."),
        buttons=[
            [text.Button(name.capitalize(), data=f"/settings {name}") for name in access.ROUTES if name != now],
            [_mute_button(muted=muted)],
            [
                text.Button("Link an account", data="/link"),
                *([text.Button("Unlink", data="/unlink")] if others else []),
            ],
        ],
    )


def _mark(name: str, now: str, usual: str) -> str:
    marks = [word for word, true in (("as it is now", name == now), ("usual here", name == usual)) if true]
    return f" ({', '.join(marks)})" if marks else ""


ROUTE_UNKNOWN = "That way is not known; these are the ones there are."
ROUTE_SAVED = "Saved. You can change it back at any time."


def join(
    seats: Sequence[places.Seat],
    opening: Mapping[str, Sequence[str]],
    elsewhere: Sequence[models.Place],
    *,
    paying: bool,
) -> text.Message:
    """The way into each place of this chat; `opening` names the plans that open a place, by its key."""
    if not seats:
        when = "" if paying else ", as soon as your subscription is on"
        words = f"There is nothing to join here: your signals come to you in this chat{when}."
        return text.message(words, *_elsewhere(elsewhere), buttons=[[_STATUS] if paying else [_PLANS, _STATUS]])
    doors = [
        [text.Button(seat.place.name, place=seat.place.key)]
        for seat in seats
        if seat.may and not (seat.inside or seat.asked or seat.place.fault)
    ]
    closed = any(not seat.may and not seat.inside for seat in seats)
    return text.message(
        text.line(text.bold("Places for subscribers")),
        *(text.line(text.bold(seat.place.name), f": {_door(seat, opening.get(seat.place.key, ()))}") for seat in seats),
        *_elsewhere(elsewhere),
        buttons=[*doors, [_PLANS] if closed else [], [_STATUS]],
    )


def _door(seat: places.Seat, plans: Sequence[str]) -> str:
    if seat.inside:
        return "you are inside."
    if not seat.may:
        return f"opens with {' or '.join(plans)}." if plans else "no plan opens it at the moment."
    if seat.place.fault:
        return "yours, but nobody can be let in right now. The operator has been told; please try again later."
    return "your request has arrived, you will be let in in a moment." if seat.asked else "open to you; tap its name."


def _elsewhere(found: Sequence[models.Place]) -> list[text.Line]:
    if not found:
        return []
    named = ", ".join(f"{place.name} ({people.platform(place.platform)})" for place in found)
    return [
        text.line(f"On your other chat: {named}. ", text.command("/link"), " makes your account there a member too.")
    ]
