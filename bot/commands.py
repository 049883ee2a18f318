"""What a person can ask, once for all platforms: one table for menus, help and dispatch, and the answers.

Nothing here talks to a platform: an Ask comes in, Replies go out, and the caller puts them into the outbox in the same
transaction. In public nothing is answered but that the answer went to the private chat.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from bot import lists, messages
from bot.messages import answers, offers
from core import access, catalogue, health, members, models, rights, settings
from core.billing import links, plans, subscriptions
from core.delivery import outbox

MOST_WAITING = 10
"""Answers to one chat that may wait at once; whoever asks faster is answered when they are sent."""
LONGEST = 4096
_COMMAND = re.compile(r"/([a-z0-9_]{1,32})(?:@(\w{1,64}))?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
_PAYLOADS = frozenset({"plans", "subscribe", "latest", "status", "billing", "help", "service"})


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that a person said or pressed; who said it counts, not where.

    `chat` is where it was said, `home` the person's private chat; they are equal when `private`. `data` is the command
    line of a pressed button. `answer_at` is where only this person sees the answer, when that is not their private chat
    (on Discord), and `reachable` False when asking does not prove that the private chat takes our messages.
    """

    platform: str
    external_id: str
    chat: str
    home: str
    private: bool
    name: str
    username: str | None
    text: str
    data: str = ""
    answer_at: str = ""
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Desk:
    """What is needed to answer; `username` is the bot's own name on the platform."""

    settings: settings.Settings
    catalogue: catalogue.Catalogue
    now: datetime
    username: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer and the chat that gets it."""

    address: str
    message: messages.Message


@dataclass(frozen=True, slots=True)
class Visit:
    """A known person with a question, in private."""

    identity: models.Identity
    argument: str
    desk: Desk


Answer = Callable[[AsyncSession, Visit], Awaitable[messages.Message]]


@dataclass(frozen=True, slots=True)
class Option:
    """Something that can be said with a command, for platforms that ask for it by name.

    `kind`: "text", "number", "user" (said as platform:number), "pair" (one of the watched, completed while typing),
    "plan" (one of the catalogue's), or "choice" (one of `choices`).
    """

    name: str
    description: str
    required: bool = False
    kind: str = "text"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table; `group` puts it on the menu of groups too, `operator` keeps it for operators.

    `slash` is its place on platforms with grouped commands ("signals latest"; empty: under its own name), `options`
    what is asked for there; the command line is then /name and their values in this order.
    """

    name: str
    description: str
    answer: Answer
    group: bool = False
    slash: str = ""
    options: tuple[Option, ...] = ()
    operator: bool = False


def parsed(line: str, username: str) -> tuple[str, str] | None:
    """The command in lower case and its argument; None for plain text, and an empty name when another bot is meant."""
    found = _COMMAND.fullmatch(line.strip()[:LONGEST])
    if not found:
        return None
    if found[2] and found[2].lower() != username.lower():
        return "", ""
    return found[1].lower(), (found[3] or "").strip()


async def answer(session: AsyncSession, ask: Ask, desk: Desk) -> list[Reply]:
    """The answers to what was asked, each for its chat; none when nobody asked us, or when too many still wait."""
    asked = parsed(ask.data or ask.text, desk.username)
    if asked and not asked[0]:
        return []
    if not ask.private:
        return await _in_public(session, ask, asked, desk) if asked else []
    identity = await members.arrive(
        session,
        ask.platform,
        ask.external_id,
        address=ask.home,
        name=ask.name,
        username=ask.username,
        now=desk.now,
        reachable=ask.reachable,
    )
    where = ask.answer_at or ask.home
    if await outbox.waiting(session, ask.platform, where) >= MOST_WAITING:
        return []
    return [Reply(where, await _in_private(session, identity, asked, desk))]


async def _in_private(
    session: AsyncSession, identity: models.Identity, asked: tuple[str, str] | None, desk: Desk
) -> messages.Message:
    if asked is None:
        return answers.hint()
    command = BY_NAME.get(asked[0])
    return await command.answer(session, Visit(identity, asked[1], desk)) if command else answers.unknown()


async def _in_public(session: AsyncSession, ask: Ask, asked: tuple[str, str], desk: Desk) -> list[Reply]:
    name, _ = asked
    if name not in BY_NAME or await outbox.waiting(session, ask.platform, ask.chat) >= MOST_WAITING:
        return []
    identity = await members.find(session, ask.platform, ask.external_id)
    if identity is None or identity.blocked_at is not None:
        return [Reply(ask.chat, answers.come_privately(name if name in _PAYLOADS else "hello"))]
    if await outbox.waiting(session, ask.platform, identity.address) >= MOST_WAITING:
        return []
    private = Reply(identity.address, await _in_private(session, identity, asked, desk))
    return [private, Reply(ask.chat, answers.sent_privately())]


async def _start(session: AsyncSession, visit: Visit) -> messages.Message:
    name, _, argument = visit.argument.partition("_")
    if name in _PAYLOADS:
        return await BY_NAME[name].answer(session, Visit(visit.identity, argument, visit.desk))
    held = await rights.plans_of(session, visit.identity.member_id, now=visit.desk.now)
    return answers.start(visit.desk.catalogue, paying=bool(held))


async def _help(_session: AsyncSession, visit: Visit) -> messages.Message:
    return answers.usage([(command.name, command.description) for command in COMMANDS], visit.desk.catalogue.service)


async def _plans(session: AsyncSession, visit: Visit) -> messages.Message:
    desk = visit.desk
    on_offer = await plans.offers(session, desk.catalogue)
    return offers.overview(on_offer, desk.catalogue.service, selling=desk.settings.stripe)


async def _subscribe(session: AsyncSession, visit: Visit) -> messages.Message:
    desk = visit.desk
    on_offer = [offer for offer in await plans.offers(session, desk.catalogue) if offer.price]
    if not desk.settings.stripe or not on_offer:
        return offers.not_selling(desk.catalogue.service)
    wanted = [offer for offer in on_offer if visit.argument.lower() in {offer.plan.key, offer.plan.name.lower()}]
    if not wanted and len(on_offer) > 1:
        return offers.pick(on_offer)
    chosen = (wanted or on_offer)[0]
    standing = await access.standing(session, visit.identity.member_id, desk.catalogue, now=desk.now)
    for holding in standing.holdings:
        if holding.plan.key == chosen.plan.key and holding.source != "operator":
            return offers.already(holding)
    url = links.checkout_url(desk.settings, visit.identity.member_id, chosen.plan.key, now=desk.now)
    return offers.checkout(chosen, url, desk.catalogue.service)


async def _status(session: AsyncSession, visit: Visit) -> messages.Message:
    return answers.status(await _standing(session, visit))


async def _standing(session: AsyncSession, visit: Visit) -> access.Standing:
    return await access.standing(session, visit.identity.member_id, visit.desk.catalogue, now=visit.desk.now)


async def _latest(session: AsyncSession, visit: Visit) -> messages.Message:
    return await lists.latest(session, visit.identity.member_id, visit.argument, visit.desk.catalogue, visit.desk.now)


async def _billing(session: AsyncSession, visit: Visit) -> messages.Message:
    url = await _portal(session, visit)
    return offers.billing(url) if url else offers.nothing_to_manage()


async def _cancel(session: AsyncSession, visit: Visit) -> messages.Message:
    url = await _portal(session, visit)
    return offers.cancellation(url) if url else offers.nothing_to_manage()


async def _portal(session: AsyncSession, visit: Visit) -> str:
    """The member's link to the billing portal, empty for who never subscribed."""
    member_id = visit.identity.member_id
    if not await subscriptions.of_member(session, member_id):
        return ""
    return links.portal_url(visit.desk.settings, member_id, now=visit.desk.now)


async def _mute(session: AsyncSession, visit: Visit) -> messages.Message:
    await members.mute(session, visit.identity.member_id, muted=True)
    return answers.muted(now_muted=True)


async def _unmute(session: AsyncSession, visit: Visit) -> messages.Message:
    await members.mute(session, visit.identity.member_id, muted=False)
    return answers.muted(now_muted=False)


async def _fix(session: AsyncSession, visit: Visit) -> messages.Message:
    await access.reconcile(session, visit.identity.member_id, visit.desk.catalogue, now=visit.desk.now)
    return answers.fixed(await _standing(session, visit))


async def _join(_session: AsyncSession, _visit: Visit) -> messages.Message:
    return answers.join()


async def _service(session: AsyncSession, visit: Visit) -> messages.Message:
    return answers.service(await health.report(session, now=visit.desk.now))


async def _terms(_session: AsyncSession, visit: Visit) -> messages.Message:
    return answers.terms(visit.desk.catalogue.service)


async def _privacy(_session: AsyncSession, visit: Visit) -> messages.Message:
    return answers.privacy(visit.desk.catalogue.service)


async def _paysupport(_session: AsyncSession, visit: Visit) -> messages.Message:
    return answers.paysupport(visit.desk.catalogue.service)


COMMANDS: Sequence[Command] = (
    Command("start", "what this is", _start, group=True),
    Command(
        "latest",
        "the latest signals; add a pair, such as BTC",
        _latest,
        group=True,
        slash="signals latest",
        options=(Option("pair", "One market, such as BTC", kind="pair"),),
    ),
    Command("plans", "plans and prices", _plans, group=True),
    Command("subscribe", "get the signals", _subscribe, options=(Option("plan", "Which plan", kind="plan"),)),
    Command("status", "your access, and until when", _status, slash="membership status"),
    Command("billing", "invoices, card, cancellation", _billing, slash="membership billing"),
    Command("cancel", "how to cancel", _cancel, slash="membership cancel"),
    Command("mute", "no signals in this chat for now", _mute, slash="settings mute"),
    Command("unmute", "signals again", _unmute, slash="settings unmute"),
    Command("join", "where the signals arrive", _join, slash="membership join"),
    Command("fix", "paid and nothing happened? look again", _fix, slash="membership fix"),
    Command("service", "is everything working?", _service, group=True),
    Command("terms", "terms and risks", _terms),
    Command("privacy", "what we know about you", _privacy, slash="privacy policy"),
    Command("paysupport", "questions about a payment", _paysupport),
    Command("help", "all commands", _help, group=True),
)
BY_NAME = {command.name: command for command in COMMANDS}
