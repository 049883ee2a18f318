"""The table of rights, written down apart from the product: who may have which answer, where, and what can be in it.

Nothing here is read from the product's code. The words are those that a person reads, as patterns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# --- who asks

STRANGER, FREE, TRIAL, PAYING, PAST_DUE, LAPSED = "stranger", "free", "trial", "paying", "past due", "lapsed"
OPERATOR, ANONYMOUS, BOT = "operator", "anonymous group admin", "bot"
OTHER_ADMIN, LINKED, DELETED = "other server's admin", "linked second account", "deleted member"
ACTORS = (
    STRANGER, FREE, TRIAL, PAYING, PAST_DUE, LAPSED, OPERATOR, ANONYMOUS, BOT, OTHER_ADMIN, LINKED, DELETED,
)  # fmt: skip
HOLDERS = frozenset({TRIAL, PAYING, PAST_DUE, LINKED})
"""Who has access now: a trial is access, and so are the days of grace after a payment failed."""
CUSTOMERS = HOLDERS | {LAPSED}
"""Who has something to manage at the payment provider."""
UNKNOWN = frozenset({STRANGER, DELETED})
"""Whom we know nothing of, so that we cannot write to them before they write to us."""
HIDDEN = frozenset({ANONYMOUS, BOT})
"""Who is nobody in particular: they are not heard, so nothing is answered, noted, or done."""
EVERYBODY = frozenset(ACTORS)
OUTSIDERS = EVERYBODY - HOLDERS - HIDDEN - {OPERATOR}

# --- where


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody asks: `context` is one of CONTEXTS, `answers` how one is answered there."""

    name: str
    platform: str
    context: str
    answers: str

    def __str__(self) -> str:
        return self.name


AT_HOME, POINTED, SILENT = "in the asker's own chat", "at home, with a pointer to it", "not at all"
CONTEXTS = ("private", "public group", "gated group", "public channel", "gated channel", "DM")
PRIVATE = Place("telegram private", "telegram", "private", AT_HOME)
GROUP = Place("telegram public group", "telegram", "public group", POINTED)
GATED_GROUP = Place("telegram gated group", "telegram", "gated group", POINTED)
CHANNEL = Place("telegram public channel", "telegram", "public channel", SILENT)
GATED_CHANNEL = Place("telegram gated channel", "telegram", "gated channel", SILENT)
LOBBY = Place("discord public channel", "discord", "public channel", AT_HOME)
ELSEWHERE = Place("discord other server", "discord", "public channel", AT_HOME)
GATED_ROOM = Place("discord gated channel", "discord", "gated channel", AT_HOME)
DM = Place("discord DM", "discord", "DM", AT_HOME)
TELEGRAM = (PRIVATE, GROUP, GATED_GROUP, CHANNEL, GATED_CHANNEL)
DISCORD = (LOBBY, ELSEWHERE, GATED_ROOM, DM)
PLACES = TELEGRAM + DISCORD

# --- what

PAID, CHECKOUT, PORTAL, WAY_IN, CODE = "an open signal", "a checkout link", "a portal link", "a way in", "a link code"
PERSONAL = "personal data"


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say after a command, and its answer: `yes` for those who `may`, `no` for all others.

    `secrets` may be in the answer of those who may. In braces stand things of the scene that only it knows.
    """

    said: str
    may: frozenset[str]
    yes: str
    no: str = ""
    secrets: frozenset[str] = frozenset()

    def words(self, actor: str) -> str:
        return self.yes if actor in self.may else self.no

    def may_hold(self, actor: str) -> frozenset[str]:
        return self.secrets if actor in self.may else frozenset()


@dataclass(frozen=True, slots=True)
class Right:
    """One command, and everything that is tried with it; the first line is how it is commonly said."""

    lines: Sequence[Line]
    operator: bool = False


def _anybody(*said: str, words: str, secrets: frozenset[str] = frozenset()) -> list[Line]:
    return [Line(one, EVERYBODY, words, secrets=secrets) for one in said or ("",)]


def _holders(*said: str, yes: str, no: str, secrets: frozenset[str] = frozenset({PAID})) -> list[Line]:
    return [Line(one, HOLDERS, yes, no, secrets) for one in said or ("",)]


def _operator(*lines: tuple[str, str]) -> Right:
    secrets = frozenset({PERSONAL})
    return Right([Line(said, frozenset({OPERATOR}), yes, NOT_KNOWN, secrets) for said, yes in lines], operator=True)


NOT_KNOWN = r"^I do not know that command; /help lists the ones I know\.$"
_WELCOME, _LATEST, _RESULTS = r"^Welcome to", r"^Latest signals\n.*#\d+ · open\n", r"^Latest results\n"
_BUYERS = EVERYBODY - HOLDERS
_PORTAL, _PAGE = frozenset({PORTAL}), frozenset({CHECKOUT})
_NOTHING = r"^You have no subscription, so nothing is charged"
_KEPT, _GONE = r"^You still pay for Everything\.", r"^Done: everything about you is deleted\."

RIGHTS: dict[str, Right] = {
    "start": Right([
        *_anybody("", "pause", "grant_7", words=_WELCOME),
        *_holders("latest", yes=_LATEST, no=_RESULTS),
    ]),
    "latest": Right(_holders("", "BTC", yes=_LATEST, no=_RESULTS)),
    "open": Right(_holders(yes=r"^Open signals\n", no=r"^Open signals go to subscribers\.")),
    "signal": Right([
        *_holders("{open}", yes=r"^▲ Long BTC/USDT .* · open\n", no=r"^There is no signal #\d+ that you can read\."),
        *_anybody("{closed}", words=r"^▼ Short ETH/USDT · 1h · #\d+\n"),
    ]),
    "history": Right(_anybody("", "ETH", words=r"^Closed signals")),
    "record": Right(_anybody(words=r"^All results: ")),
    "plans": Right(_anybody(words=r"^Plans\n")),
    "subscribe": Right([
        Line("", _BUYERS, r"^Subscribe to Everything for ", r"^You already have Everything\.", _PAGE),
        Line("all", _BUYERS, r"^Subscribe to Everything for ", r"^You already have Everything\.", _PAGE),
    ]),
    "status": Right(_holders(yes=r"^Everything: ", no=r"^You have no subscription at the moment\.", secrets=frozenset())),
    "billing": Right([Line("", CUSTOMERS, r"in the billing portal\. The link is yours alone", _NOTHING, _PORTAL)]),
    "cancel": Right([Line("", CUSTOMERS, r"^You cancel in the billing portal", _NOTHING, _PORTAL)]),
    "fix": Right(
        _holders(
            yes=r"^I have looked at your access again\.\nEverything: ",
            no=r"^I have looked at your access again\.\nYou have no subscription",
        )
    ),
    "join": Right(
        _holders(yes=r"open to you; tap its name|you are inside", no=r"opens with Everything", secrets=frozenset({WAY_IN}))
    ),
    "link": Right([
        *_anybody(words=r"^Link another account\n", secrets=frozenset({CODE})),
        *_anybody("nobodys-code", words=r"^That code is not valid"),
        Line("yes {request}", frozenset({PAYING}), r"^Noted: you said yes\.", r"^That request has ended\."),
    ]),
    "unlink": Right([Line("", frozenset({LINKED}), r"^Accounts of your membership\n", r"^Only this account belongs")]),
    "settings": Right(_anybody("", "private", words=r"How signals reach you on ")),
    "mute": Right(_anybody(words=r"^Muted: ")),
    "unmute": Right(_anybody(words=r"^Unmuted: ")),
    "privacy": Right(_anybody(words=r": privacy\n")),
    "export": Right(_anybody(words=r": everything we keep about you\n")),
    "service": Right(_anybody(words=r"^(Everything is working|Not everything is working|Starting up)")),
    "terms": Right(_anybody(words=r": terms\n")),
    "paysupport": Right(_anybody(words=r"^Questions about a payment\n")),
    "help": Right([Line("", frozenset({OPERATOR}), r"\nFor operators\n", r"^(?!.*operator).*: what you can ask\n")]),
    "admin": _operator(("", r"^Operator's desk\n")),
    "grant": _operator(("", r"^Write it so: "), ("{target} all 30", r" has Everything until ")),
    "who": _operator(("{target}", r"^Member \d+, known since ")),
    "why": _operator(("{target}", r"^Member \d+ has Everything\.|^No access now\.")),
    "revoke": _operator(("{target} all", r" has no grant of Everything any more\.")),
    "drift": _operator(("", r"^Places: who is inside"), ("release", r"^Released: 7 are put out")),
    "delivery": _operator(("1", r"^Delivery 1: ")),
    "stats": _operator(("", r"^Figures of this moment\n")),
    "pause": _operator(("for a test", r"^New signals are paused\.")),
    "resume": _operator(("", r"^New signals are published again\.")),
    "broadcast": _operator(("Hello everybody", r"^Send this to "), ("yes {draft}", r"^On its way to ")),
    # Last, because afterwards there is nobody to ask: what is charged is kept, everybody else is gone.
    "delete": Right([
        Line("", HOLDERS, _KEPT, r"^Delete everything about you\?"),
        Line("yes", HOLDERS, _KEPT, _GONE),
    ]),
}  # fmt: skip

# --- what cannot be


@dataclass(frozen=True, slots=True)
class Bar:
    """Why these people cannot ask there; of `operator` commands only, where it says so."""

    places: Sequence[Place]
    actors: frozenset[str]
    why: str
    operator: bool = False


BARS = (
    Bar((PRIVATE,), frozenset({ANONYMOUS}), "administrators hide behind their group, and a private chat is none"),
    Bar((PRIVATE,), frozenset({BOT}), "bots cannot write to bots"),
    Bar((GATED_GROUP,), OUTSIDERS, "who is not inside writes nothing in a group"),
    Bar((CHANNEL,), EVERYBODY - {OTHER_ADMIN, ANONYMOUS}, "only its administrators post in a channel"),
    Bar((GATED_CHANNEL,), EVERYBODY - {OPERATOR, ANONYMOUS}, "only its administrators post in a channel"),
    Bar(DISCORD, frozenset({ANONYMOUS}), "nobody is anonymous there: every interaction names its user"),
    Bar(DISCORD, frozenset({BOT}), "bots have no slash commands and press no buttons"),
    Bar((GATED_ROOM,), OUTSIDERS, "who does not have the role does not see the channel"),
    Bar((LOBBY, GATED_ROOM), EVERYBODY - {OPERATOR}, "it is offered to the server's administrators only", operator=True),
    Bar((ELSEWHERE,), EVERYBODY - {OTHER_ADMIN}, "it is offered to the server's administrators only", operator=True),
)
"""What a platform does not let people do. All of it is tried all the same, with updates as a forger would write them."""


def why_not(place: Place, actor: str, *, operator: bool) -> str:
    """Why this cannot happen on the real platform; empty when it can."""
    bars = (bar for bar in BARS if place in bar.places and actor in bar.actors and (operator or not bar.operator))
    return next((bar.why for bar in bars), "")


def combinations(place: Place | None = None) -> Iterator[tuple[str, str, str]]:
    """Every command, actor and place (of one place, when it is named)."""
    for where in PLACES if place is None else (place,):
        for command in RIGHTS:
            for actor in ACTORS:
                yield command, actor, where.name
