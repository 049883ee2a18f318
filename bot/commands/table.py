"""The table of everything that can be asked: what menus, help, slash commands and dispatch are made from."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import (
    about,
    announcing,
    arrival,
    asking,
    giving,
    granting,
    linking,
    membership,
    oversight,
    partnering,
    personal,
    posting,
    reading,
    testing,
    tools,
)
from bot.commands.asking import Command, Option
from core import places, rights

PAYLOADS = frozenset(
    {"plans", "subscribe", "latest", "status", "billing", "help", "service", "join", "record", "history", "settings"}
    | {"redeem", "seats", "gift"}
)
"""Commands that a link into the private chat may begin with."""


async def _start(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    name, _, argument = visit.argument.partition("_")
    if name in PAYLOADS:
        return await BY_NAME[name].answer(session, asking.Visit(visit.identity, argument, visit.desk))
    desk = visit.desk
    held = await rights.plans_of(session, visit.identity.member_id, now=desk.now)
    gated = bool(await places.active(session, visit.identity.platform))
    several = desk.settings.telegram and desk.settings.discord
    welcome = messages.answers.start(desk.catalogue, paying=bool(held), gated=gated, several=several)
    return await partnering.arrive(session, visit, argument, welcome) if name == partnering.START else welcome


async def _help(_session: AsyncSession, visit: asking.Visit) -> messages.Message:
    topics: dict[str, list[tuple[str, str]]] = {}
    for command in menu(group=False, operator=visit.operator):
        topics.setdefault(command.topic, []).append((command.name, command.description))
    return messages.answers.usage(topics, visit.desk.catalogue.service)


def menu(*, group: bool, operator: bool) -> Sequence[Command]:
    """The rows for a menu, in their order: of groups those that make sense there, of operators theirs too."""
    return [row for row in COMMANDS if (operator or not row.operator) and (row.group or not group)]


_PAIR = Option("pair", "One market, such as BTC", kind="pair")
_PLAN = Option("plan", "Which plan", kind="plan")
_WHO = Option("member", "Who is meant", required=True, kind="user")


def _for_operators(name: str, description: str, answer: asking.Answer, *options: Option, slash: str = "") -> Command:
    return Command(
        name, description, answer, "operator", slash=f"admin {slash or name}", options=options, operator=True
    )


COMMANDS: Sequence[Command] = (
    Command("start", "what this is", _start, "about", group=True),
    Command(
        "latest",
        "the latest signals; add a pair, such as BTC",
        reading.latest,
        "signals",
        group=True,
        slash="signals latest",
        options=(_PAIR,),
    ),
    Command("open", "your open signals, with levels", reading.opened, "signals", slash="signals open"),
    Command(
        "signal",
        "one signal and all that happened to it; add its number",
        reading.one,
        "signals",
        slash="signals show",
        options=(Option("id", "The number of the signal", required=True, kind="number"),),
    ),
    Command(
        "history",
        "closed signals; add a pair, such as BTC",
        reading.history,
        "signals",
        slash="signals history",
        options=(_PAIR,),
    ),
    Command(
        "backtest",
        "a strategy on past candles: PAIR STRATEGY TIMEFRAME",
        testing.backtest,
        "signals",
        slash="signals backtest",
        options=(
            _PAIR,
            Option("strategy", "By which rules", kind="strategy"),
            Option("timeframe", "Of which candles", kind="timeframe"),
        ),
    ),
    Command("record", "all results, losses included", reading.results, "signals", group=True),
    Command(
        "verify",
        "a signal in the public record; add its number",
        reading.verify,
        "signals",
        slash="signals verify",
        options=(Option("id", "The number of the signal", required=True, kind="number"),),
    ),
    Command("plans", "plans and prices", membership.overview, "membership", group=True),
    Command("subscribe", "get the signals", membership.subscribe, "membership", options=(_PLAN,)),
    Command("status", "your access, and until when", membership.status, "membership", slash="membership status"),
    Command("billing", "invoices, card, cancellation", membership.billing, "membership", slash="membership billing"),
    Command("cancel", "how to cancel", membership.cancel, "membership", slash="membership cancel"),
    Command("fix", "paid and nothing happened? look again", membership.fix, "membership", slash="membership fix"),
    Command(
        "redeem",
        "a code for a seat or a gift",
        giving.redeem,
        "membership",
        slash="membership redeem",
        options=(Option("code", "The code that you were given"),),
    ),
    Command("seats", "seats of your team's plan", giving.seats, "membership", slash="membership seats"),
    Command("gift", "a plan for somebody else", giving.gift, "membership", slash="membership gift"),
    Command("join", "the places for subscribers", membership.join, "membership", slash="membership join"),
    Command(
        "link",
        "your membership on another account",
        linking.link,
        "membership",
        slash="membership link",
        options=(Option("code", "A code that /link gave you on your other account"),),
    ),
    Command("unlink", "take an account out of it", linking.unlink, "membership", slash="membership unlink"),
    Command(
        "settings",
        "how signals reach you here",
        arrival.settings,
        "delivery",
        slash="settings delivery",
        options=(Option("route", "Where signals come", kind="choice", choices=arrival.CHOICES),),
    ),
    Command("mute", "no signals in private for now", arrival.mute, "delivery", slash="settings mute"),
    Command("unmute", "signals again", arrival.unmute, "delivery", slash="settings unmute"),
    Command(
        "apikey",
        "keys for your own tools",
        tools.apikey,
        "data",
        slash="settings apikey",
        options=(
            Option("action", "Make or end one; without it you see yours", kind="choice", choices=tools.CHOICES),
            Option("name", "A name for the new one, or the beginning of the one that ends"),
        ),
    ),
    Command("privacy", "what we know about you", personal.policy, "data", slash="privacy policy"),
    Command("export", "a copy of everything we keep about you", personal.export, "data", slash="privacy export"),
    Command("delete", "delete everything about you", personal.delete, "data", slash="privacy delete"),
    Command("service", "is everything working?", about.service, "about", group=True),
    Command("terms", "terms and risks", about.terms, "about"),
    Command("paysupport", "questions about a payment", about.paysupport, "about"),
    Command("help", "all commands", _help, "about", group=True),
    _for_operators("admin", "the state of the whole", oversight.desk, slash="menu"),
    _for_operators(
        "grant",
        "give a plan by hand: MEMBER [PLAN] [DAYS]",
        granting.grant,
        _WHO,
        _PLAN,
        Option("days", "For how many days; without end if left out", kind="number"),
    ),
    _for_operators("revoke", "take a given plan back: MEMBER [PLAN]", granting.revoke, _WHO, _PLAN),
    _for_operators("who", "a member at a glance: MEMBER", granting.who, _WHO),
    _for_operators("why", "why a member has access or not: MEMBER", granting.why, _WHO),
    _for_operators(
        "drift",
        "who is inside the places and who may be",
        oversight.drift,
        Option("release", "Let those leave who are held back", kind="choice", choices=("release",)),
    ),
    _for_operators(
        "delivery",
        "one delivery: ID",
        oversight.delivery,
        Option("id", "The number of the delivery", required=True, kind="number"),
    ),
    _for_operators("stats", "members and deliveries in figures", oversight.stats),
    _for_operators(
        "partners",
        "codes of those who bring members: [add CODE NAME | end CODE]",
        partnering.codes,
        Option("action", "Make or end one; without it you see all", kind="choice", choices=("add", "end")),
        Option("code", "The code"),
        Option("name", "For whom the new code is"),
        Option("promo", "A promotion code of the payment provider that comes with it", word="discount"),
    ),
    _for_operators(
        "post",
        "a signal by hand: PAIR long|short [ENTRY] stop PRICE targets PRICE…",
        posting.post,
        Option("pair", "One market, such as BTC", required=True, kind="pair"),
        Option("direction", "Which way", required=True, kind="choice", choices=("long", "short")),
        Option("entry", "The entry; the last known close if left out", word="entry"),
        Option("stop", "The stop loss", required=True, word="stop"),
        Option("targets", "One price or several; parts as in 28000:50%:entry 28500:50%", required=True, word="targets"),
        Option("expires", "For how many candles", kind="number", word="expires"),
        Option("reason", "Why, for those who read it", word="reason"),
    ),
    _for_operators(
        "close",
        "end an open signal: ID [PRICE]",
        posting.close,
        Option("id", "The number of the signal", required=True, kind="number"),
        Option("price", "A price near the last known close, which it is if left out"),
    ),
    _for_operators(
        "pause", "no new signals: [REASON]", announcing.pause, Option("reason", "Why, for the record of operators")
    ),
    _for_operators("resume", "new signals again", announcing.resume),
    _for_operators(
        "broadcast",
        "a message to all members: TEXT",
        announcing.broadcast,
        Option("text", "What everybody with access shall read", required=True),
    ),
)
BY_NAME = {command.name: command for command in COMMANDS}
