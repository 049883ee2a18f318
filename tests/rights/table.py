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
"""Who is nobody in particular."""
UNHEARD = {"telegram": HIDDEN, "discord": frozenset({ANONYMOUS})}
"""Who is not heard: nothing is answered, noted, or done. Discord has no word for bots that ask, so one is nobody's."""
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
KEY = "a key of the API"
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
    """One command: the line that tells most is said everywhere, the others before it in THOROUGH places."""

    line: Line
    more: Sequence[Line] = ()
    operator: bool = False

    def lines(self, place: Place) -> Sequence[Line]:
        return (*self.more, self.line) if place in THOROUGH else (self.line,)


THOROUGH = (PRIVATE, DM)


def _anybody(words: str, said: str = "", *secrets: str) -> Line:
    return Line(said, EVERYBODY, words, secrets=frozenset(secrets))


def _holders(yes: str, no: str, said: str = "", *secrets: str) -> Line:
    return Line(said, HOLDERS, yes, no, frozenset(secrets))


def _operator(words: str, said: str = "", *more: tuple[str, str]) -> Right:
    (line, *others) = (
        Line(one, frozenset({OPERATOR}), yes, NOT_KNOWN, frozenset({PERSONAL})) for one, yes in ((said, words), *more)
    )
    return Right(line, others, operator=True)


NOT_KNOWN = r"^I do not know that command; /help lists the ones I know\.$"
_WELCOME, _LATEST, _RESULTS = r"^Welcome to", r"^Latest signals\n.*#\d+ · open\n", r"^Latest results\n"
_BUY, _HAS = r"^Subscribe to Everything for ", r"^You already have Everything\."
_PORTAL, _NOTHING = (
    r"in the billing portal\. The link is yours alone",
    r"^You have no subscription, so nothing is charged",
)
_CANCEL = r"^You cancel in the billing portal"
_LOOKED = r"^I have looked at your access again\.\n(We are asking|Our payment|No payment)[^\n]*\.\n"
_COPY = r": everything we keep about you\n"
_KEPT, _GONE = r"^You still pay for Everything\.", r"^Done: everything about you is deleted\."
_HIDES, _LISTS = r"^(?!.*operator).*: what you can ask\n", r"\nFor operators\n"
_TESTS_ARE_PAID = r"^Backtests are for subscribers; the way to become one is "
_KEYS, _NO_KEYS = r"^Keys for your own tools\n", r"^Keys for your own tools come with a subscription\."
_MINE, _ALONE = r"^Accounts of your membership\n", r"^Only this account belongs"
_ASKED, _OVER = r"^Noted: you said yes\.", r"^That request has ended\."

RIGHTS: dict[str, Right] = {
    "start": Right(
        _holders(_LATEST, _RESULTS, "latest", PAID),
        [_anybody(_WELCOME), _anybody(_WELCOME, "pause"), _anybody(_WELCOME, "grant_7")],
    ),
    "latest": Right(_holders(_LATEST, _RESULTS, "", PAID), [_holders(_LATEST, _RESULTS, "BTC", PAID)]),
    "open": Right(_holders(r"^Open signals\n", r"^Open signals go to subscribers\.", "", PAID)),
    "signal": Right(
        _holders(r"^▲ Long BTC/USDT .* · open\n", r"^There is no signal #\d+ that you can read\.", "{open}", PAID),
        [_anybody(r"^▼ Short ETH/USDT · 1h · #\d+\n", "{closed}")],
    ),
    "history": Right(_anybody(r"^Closed signals")),
    "backtest": Right(
        _holders(r"^The backtest of BTC/USDT · 1h · mean_reversion is running", _TESTS_ARE_PAID, "btc mean_reversion"),
        [_holders(r"^Which (pair|strategy) shall be tested\?", _TESTS_ARE_PAID)],
    ),
    "record": Right(_anybody(r"^All results: ")),
    "verify": Right(
        _anybody(r"^Signal #\d+ in the record\n.*commitments", "{open}"),
        [_anybody(r"^The record has no entry about a signal #\d+\.", "{closed}")],
    ),
    "plans": Right(_anybody(r"^Plans\n")),
    "subscribe": Right(Line("", EVERYBODY - HOLDERS, _BUY, _HAS, frozenset({CHECKOUT}))),
    "status": Right(_holders(r"^Everything: ", r"^You have no subscription at the moment\.")),
    "billing": Right(Line("", CUSTOMERS, _PORTAL, _NOTHING, frozenset({PORTAL}))),
    "cancel": Right(Line("", CUSTOMERS, _CANCEL, _NOTHING, frozenset({PORTAL}))),
    "fix": Right(_holders(_LOOKED + "Everything: ", _LOOKED + "You have no subscription")),
    "redeem": Right(
        _anybody(r"^Whoever gives you a seat or a gift has a code for you\."),
        [_anybody(r"^That code is not valid", "nobodys-code")],
    ),
    "seats": Right(_anybody(r"^You pay for no seats that could be given")),
    "gift": Right(_anybody(r"^Nothing can be bought as a gift at the moment\.")),
    "join": Right(_holders(r"open to you; tap its name|you are inside", r"opens with Everything", "", WAY_IN)),
    "link": Right(
        _anybody(r"^Link another account\n", "", CODE),
        [
            _anybody(r"^That code is not valid", "nobodys-code"),
            Line("yes {request}", frozenset({PAYING}), _ASKED, _OVER),
        ],
    ),
    "unlink": Right(Line("", frozenset({LINKED}), _MINE, _ALONE)),
    "settings": Right(_anybody(r"How signals reach you on ", "private")),
    "mute": Right(_anybody(r"^Muted: ")),
    "unmute": Right(_anybody(r"^Unmuted: ")),
    "apikey": Right(
        _holders(r"^Your new key\n", _NO_KEYS, "new laptop", KEY),
        [_holders(_KEYS, _NO_KEYS), _anybody(r"^You have no such key\.", "revoke abcdefghij")],
    ),
    "privacy": Right(_anybody(r": privacy\n")),
    "export": Right(_holders(_COPY, _COPY, "", WAY_IN)),
    "service": Right(_anybody(r"^(Everything is working|Not everything is working|Starting up)")),
    "terms": Right(_anybody(r": terms\n")),
    "paysupport": Right(_anybody(r"^Questions about a payment\n")),
    "help": Right(Line("", frozenset({OPERATOR}), _LISTS, _HIDES)),
    "admin": _operator(r"^Operator's desk\n"),
    "grant": _operator(r" has Everything until ", "{target} all 30", ("", r"^Write it so: ")),
    "who": _operator(r"^Member \d+, known since ", "{target}"),
    "why": _operator(r"^Member \d+ has Everything\.", "{target}"),
    "revoke": _operator(r" has no grant of Everything any more\.", "{target} all"),
    "drift": _operator(r"^Released: 7 are put out", "release", ("", r"^Places: who is inside")),
    "delivery": _operator(r"^Delivery 1: ", "1"),
    "stats": _operator(r"^Figures of this moment\n"),
    "partners": _operator(r"^Partners\n", "", ("end nobodys", r"^There is no code nobodys that could end")),
    "pause": _operator(r"^New signals are paused\.", "for a test"),
    "resume": _operator(r"^New signals are published again\."),
    "broadcast": _operator(r"^On its way to ", "yes {draft}", ("Hello everybody", r"^Send this to ")),
    "post": _operator(r"^Publish this signal\?\n", "BTC long stop 95 targets 110", ("yes 1", r"^That draft is")),
    "close": _operator(r"^Close #\d+ BTC/USDT long at 100\.00\?\n", "{open}", ("yes 1", r"^That draft is")),
    # Last, because afterwards there is nobody to ask: what is charged is kept, everybody else is gone.
    "delete": Right(_holders(_KEPT, _GONE, "yes"), [_holders(_KEPT, r"^Delete everything about you\?")]),
}

PRESSED: dict[str, Line] = {
    "latest": RIGHTS["latest"].line,
    "billing": RIGHTS["billing"].line,
    "link": RIGHTS["link"].more[-1],
    "grant": RIGHTS["grant"].line,
    "revoke": RIGHTS["revoke"].line,
}
"""What is pressed as a button too, under a message that was for one of them: who presses counts, not whose it is."""

# --- what cannot be


@dataclass(frozen=True, slots=True)
class Bar:
    """Why these people cannot ask there; of `operator` commands only, where it says so."""

    places: Sequence[Place]
    actors: frozenset[str]
    why: str
    operator: bool = False


_NOT_OFFERED = "it is offered to the server's administrators only"
BARS = (
    Bar((PRIVATE,), frozenset({ANONYMOUS}), "administrators hide behind their group, and a private chat is none"),
    Bar((PRIVATE,), frozenset({BOT}), "bots cannot write to bots"),
    Bar((GATED_GROUP,), OUTSIDERS, "who is not inside writes nothing in a group"),
    Bar((CHANNEL,), EVERYBODY - {OTHER_ADMIN, ANONYMOUS}, "only its administrators post in a channel"),
    Bar((GATED_CHANNEL,), EVERYBODY - {OPERATOR, ANONYMOUS}, "only its administrators post in a channel"),
    Bar(DISCORD, frozenset({ANONYMOUS}), "nobody is anonymous there: every interaction names its user"),
    Bar(DISCORD, frozenset({BOT}), "bots have no slash commands and press no buttons"),
    Bar((GATED_ROOM,), OUTSIDERS, "who does not have the role does not see the channel"),
    Bar((LOBBY, GATED_ROOM), EVERYBODY - {OPERATOR}, _NOT_OFFERED, operator=True),
    Bar((ELSEWHERE,), EVERYBODY - {OTHER_ADMIN}, _NOT_OFFERED, operator=True),
)
"""What a platform does not let people do. All of it is tried all the same, as a forger would write it."""


def why_not(place: Place, actor: str, command: str) -> str:
    """Why this cannot happen on the real platform; empty when it can."""
    operator = RIGHTS[command].operator
    bars = (bar for bar in BARS if place in bar.places and actor in bar.actors and (operator or not bar.operator))
    return next((bar.why for bar in bars), "")


def combinations(place: Place | None = None) -> Iterator[tuple[str, str, str]]:
    """Every command, actor and place (of one place, when it is named)."""
    for where in PLACES if place is None else (place,):
        for command in RIGHTS:
            for actor in ACTORS:
                yield command, actor, where.name
