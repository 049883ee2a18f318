"""The verdict on what somebody heard: each fault a sentence that names who asked what where."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.rights import cast, judge, market, scene, table
from tests.sandbox import checker_reading

PRESSER = {table.ANONYMOUS: table.TRIAL}
"""Telegram always names the account that pressed a button: who else hides is then a member with access."""
SURE = frozenset({table.PAID, table.CHECKOUT, table.PORTAL, table.CODE, table.KEY})
"""What is never left out of the answers of those who may have it."""


def part(at: scene.Scene, actor: str, *, button: bool) -> str:
    """The part of the table that holds for this actor."""
    return PRESSER.get(actor, actor) if button and at.place.platform == "telegram" else actor


def faults(
    at: scene.Scene,
    actor: str,
    command: str,
    line: table.Line,
    heard: scene.Heard,
    known: judge.Known,
    *,
    button: bool = False,
) -> Iterator[str]:
    """What is wrong with what came of it, a sentence each."""
    how, as_ = "pressing" if button else "saying", part(at, actor, button=button)
    who = f"{actor} {how} /{command} {line.said}".strip() + f" in the {at.place}"
    for fault in _manner(at.place, as_, command, heard):
        yield f"{who}: {fault}"
    for shown in heard.public:
        if found := judge.public_bytes(shown):
            yield f"{who}: {found} bytes that are not for everybody lie in public: {shown.words[:200]!r}"
    if heard.home:
        yield from (f"{who}: {fault}" for fault in _answer(as_, line, heard.home, known, at.own(actor)))


def expected(place: table.Place, actor: str, command: str) -> tuple[bool, str]:
    """Whether an answer comes to the asker alone, and what is said in public."""
    if actor in table.UNHEARD[place.platform] or place.answers == table.SILENT:
        return False, ""
    if place.answers == table.AT_HOME:
        return True, ""
    if table.RIGHTS[command].operator:
        return False, ""
    return (False, judge.CALLED) if actor in table.UNKNOWN else (True, judge.SENT)


def _manner(place: table.Place, actor: str, command: str, heard: scene.Heard) -> Iterator[str]:
    """Whether answers came where they may come, and whether any came at all."""
    home, public = expected(place, actor, command)
    if bool(heard.home) != home:
        yield f"{'no' if home else 'an'} answer came to them alone: {[one.words[:80] for one in heard.home]}"
    said = [shown.words for shown in heard.public]
    if said != ([public] if public else []):
        yield f"in public was said {said}, and not {public or 'nothing'!r}"


def _answer(
    actor: str, line: table.Line, answer: Sequence[judge.Shown], known: judge.Known, own: Sequence[str]
) -> Iterator[str]:
    words = "\n".join(shown.words for shown in answer)
    if not re.search(line.words(actor), words, re.DOTALL):
        yield f"the answer is none of {line.words(actor)!r}: {words[:300]!r}"
    found: set[str] = set()
    for shown in answer:
        secrets = judge.secrets(shown, known)
        found |= secrets
        if beyond := secrets - line.may_hold(actor):
            yield f"the answer holds {', '.join(sorted(beyond))}: {shown.whole[:600]}"
        named = judge.strangers_named(shown, known, own)
        if named and table.PERSONAL not in line.may_hold(actor):
            yield f"the answer names {named}: {shown.whole[:600]}"
        if table.PAID in secrets and not judge.kept(shown):
            yield f"what is paid for can be passed on: {words[:100]!r}"
    if left_out := (line.may_hold(actor) & SURE) - found:
        yield f"the answer leaves out {', '.join(sorted(left_out))}: {words[:300]!r}"


async def noted(at: scene.Scene, command: str, actors: Sequence[str], *, button: bool) -> list[str]:
    """What is wrong with the operators' record of these tries: one row for each who is heard, and no other."""
    wanted: Counter[tuple[str, str, bool, str]] = Counter()
    for actor in actors:
        as_ = part(at, actor, button=button)
        if as_ not in table.UNHEARD[at.place.platform] and at.place.answers != table.SILENT:
            person = at.cast.now[actor]
            allowed = actor == table.OPERATOR and at.place.answers == table.AT_HOME
            wanted[f"{person.platform}:{person.number}", command, allowed, at.asked_in(person)] += 1
    rows = await at.tries()
    found = Counter((actor, said["name"], said["allowed"], said["chat"]) for actor, said in rows)
    return [f"/{command} in the {at.place}: the record has {found}, not {wanted}"] if found != wanted else []


def unasked(at: scene.Scene, public: list[judge.Shown]) -> Iterator[str]:
    """What is wrong with what lay in chats and answered nobody, and with all that is paid for, wherever it lay."""
    people = {home(who): who.kind for who in at.cast.everybody}
    reading = table.HOLDERS | {table.ANONYMOUS}  # who hides in groups pays all the same
    for shown in at.unasked:
        if shown.chat in at.public_chats:
            public.append(shown)
            yield f"unasked in public: {shown.words[:200]!r}"
        elif judge.linked_members(shown):
            yield f"a link that is somebody's own came unasked: {shown.words[:200]!r}"
        elif market.NEWS in shown.words and not (shown.chat in at.gated_chats or people.get(shown.chat) in reading):
            yield f"a message to all members came to {people.get(shown.chat)}"
    paid = checker_reading.paid_messages(at.history.events)
    for row, _ in paid:
        chat = checker_reading.where(row)
        if chat not in at.gated_chats and people.get(chat) not in reading:
            kind, words = people.get(chat), checker_reading.words(row)
            yield f"paid content in {checker_reading.named(chat)} ({kind}): {words[:200]!r}"
    if not any(row["has_photo"] for row, _ in paid):
        yield "no chart lay anywhere, so nothing was tried"


def home(person: cast.Person) -> checker_reading.Chat:
    """The person's private chat as the checker names it."""
    return person.number if person.platform == "telegram" else ("discord", person.number)
