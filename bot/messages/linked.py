"""What we say about accounts that share one membership: codes, the question to both sides, and what came of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.messages import figures, people, text
from core import linking, models

_STATUS = text.Button("My status", data="/status")
_LINK = text.Button("Link an account", data="/link")
_WARNING = (
    "Only link accounts that are your own. Whoever is linked to you has your membership, so never use a code that "
    "somebody else gave you, and never give yours away."
)


def offered(code: str, until: datetime, asked: text.Message | None = None) -> text.Message:
    """A fresh code and how it is used; after it the question that waits for this account's answer, if there is one."""
    minutes = round(linking.CODE_LIFE.total_seconds() / 60)
    waiting = [text.BLANK, *asked.lines] if asked else []
    return text.message(
        text.line(text.bold("Link another account")),
        "Give this code to our bot from the account that should share your membership, in private:",
        text.line(text.Span(f"/link {code}", "code")),
        "On Telegram, send that line as it is. On Discord, choose /membership link and put in what follows “/link”.",
        f"The code works once, for {minutes} minutes (until {figures.moment(until)}). Then both accounts are asked, "
        "and nothing changes before both have said yes.",
        text.line(text.bold(_WARNING)),
        *waiting,
        buttons=asked.buttons if asked else (),
    )


def facts(pair: linking.Pair, side: models.Identity) -> dict[str, Any]:
    """What the question says to this side of the pair."""
    other = pair.other(side)
    leaves = "" if pair.moves is None else "here" if pair.moves.id == side.id else "there"
    return {"request": pair.request.id, "here": people.facts(side), "there": people.facts(other), "leaves": leaves}


def question(facts: Mapping[str, Any]) -> text.Message:
    """Whether these two accounts shall share one membership, with what it means and a way to say no."""
    here, there = (people.described(facts.get(side) or {}) for side in ("here", "there"))
    number = facts.get("request", 0)
    return text.message(
        text.line(text.bold("Shall these two accounts share one membership?")),
        f"This account: {here}",
        f"The other one: {there}",
        *_consequence(str(facts.get("leaves", "")), here, there),
        text.line(text.bold(_WARNING)),
        f"If you did not ask for this yourself a moment ago, refuse. You are asked for {_minutes()} minutes.",
        buttons=[
            [text.Button("Confirm", data=f"/link yes {number}"), text.Button("Refuse", data=f"/link no {number}")]
        ],
    )


def _minutes() -> int:
    return round(linking.CODE_LIFE.total_seconds() / 60)


def _consequence(leaves: str, here: str, there: str) -> list[text.Line]:
    if not leaves:
        words = "Afterwards both have the same subscription, and each of them can change or cancel it."
        return [text.line(words)]
    old, new = (here, there) if leaves == "here" else (there, here)
    return [
        text.line(text.bold("Both are on the same chat, so the membership MOVES.")),
        text.line(f"{new} gets it, and {old} loses it: no more signals there, and out of the places for subscribers."),
    ]


def waiting(facts: Mapping[str, Any]) -> text.Message:
    """This side has said yes; the other has not answered yet."""
    there = people.described(facts["there"])
    return text.message(
        text.line(text.bold("Noted: you said yes.")),
        text.line(
            f"Now {there} has to say yes too. The question lies in its private chat with our bot; ",
            text.Span("/link", "code"),
            " there brings it up again. Nothing has changed so far.",
        ),
        buttons=[[text.Button("Take it back", data=f"/link no {facts['request']}")]],
    )


def linked(facts: Mapping[str, Any]) -> text.Message:
    """Both sides said yes, and what is true now."""
    here, there = (people.described(facts.get(side) or {}) for side in ("here", "there"))
    leaves = facts.get("leaves", "")
    what = {
        "here": f"The membership is now with {there}. This account no longer has it.",
        "there": f"The membership is now with this account. {there} no longer has it.",
    }.get(str(leaves), f"{here} and {there} now share one membership.")
    wrong = (text.command("/paysupport"), " says how to reach the operator.")
    if leaves != "here":
        wrong = (text.command("/unlink"), " takes an account out again, and the operator helps.")
    return text.message(
        text.line(text.bold("Done.")),
        what,
        text.line("If this was not you: ", *wrong),
        buttons=[[_STATUS] if leaves == "here" else [_STATUS, text.Button("Accounts", data="/unlink")]],
    )


def refused(facts: Mapping[str, Any]) -> text.Message:
    """The other side said no."""
    there = people.described(facts.get("there") or {})
    return text.message(
        text.line(text.bold("The accounts were not linked.")),
        f"{there} said no. Nothing has changed.",
        buttons=[[_LINK]],
    )


def not_linked() -> text.Message:
    """This side said no."""
    return text.message(
        text.line(text.bold("Refused: nothing was linked.")),
        "If you do not know who asked, somebody may want your membership: do not use codes that others give you.",
        buttons=[[_STATUS]],
    )


def left(facts: Mapping[str, Any]) -> text.Message:
    """An account no longer has the membership, said to that account."""
    account = people.described(facts.get("account") or {})
    return text.message(
        text.line(text.bold("This account no longer has the membership.")),
        f"{account} was taken out of it. Signals and places for subscribers end here; the other accounts of the "
        "membership keep everything.",
        text.line("If it was not you, write to the operator: ", text.command("/paysupport")),
        buttons=[[text.Button("Plans", data="/plans")]],
    )


def accounts(found: Sequence[models.Identity], here: models.Identity) -> text.Message:
    """The accounts of the membership, each with a button that takes it out."""
    if len(found) < 2:
        return text.message(
            "Only this account belongs to your membership, so there is nothing to unlink.", buttons=[[_LINK, _STATUS]]
        )
    return text.message(
        text.line(text.bold("Accounts of your membership")),
        *(f"· {people.account(one)}{' (this one)' if one.id == here.id else ''}" for one in found),
        "Which one shall no longer have it?",
        buttons=[[text.Button(f"Unlink {people.account(one)}"[:60], data=f"/unlink {one.id}")] for one in found],
    )


def unlink_asked(leaving: models.Identity, here: models.Identity) -> text.Message:
    """What it means to take this account out, before it is done."""
    hours = round(linking.COOLDOWN.total_seconds() / 3600)
    who = "this account" if leaving.id == here.id else people.account(leaving)
    return text.message(
        text.line(text.bold(f"Take {people.account(leaving)} out of the membership?")),
        f"Then {who} gets no more signals and leaves the places for subscribers; it is told so. The subscription goes "
        "on for the other accounts.",
        f"For {hours} hours after that only the same account can be linked again, with a new code.",
        buttons=[
            [
                text.Button("Yes, take it out", data=f"/unlink {leaving.id} yes"),
                text.Button("No, keep it", data="/unlink"),
            ]
        ],
    )


def unlinked(left: models.Identity, here: models.Identity) -> text.Message:
    """The account is out."""
    if left.id == here.id:
        return text.message(
            "Done: this account no longer belongs to the membership, the others keep it.",
            text.line("To come back, send ", text.command("/link"), " from one of them and use the code here."),
            buttons=[[text.Button("Plans", data="/plans")]],
        )
    return text.message(
        f"Done: {people.account(left)} no longer belongs to your membership, and has been told.",
        text.line("It can come back: ", text.command("/link"), " gives you a code to use there."),
        buttons=[[_LINK, _STATUS]],
    )
