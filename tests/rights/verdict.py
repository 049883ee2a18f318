"""The verdict on what somebody heard: each fault a sentence that names who asked what where."""

import re
from collections.abc import Iterator

from tests.rights import judge, scene, table

ALIAS = {table.ANONYMOUS: table.TRIAL}
"""Who presses a button is always known, also who hides otherwise: an account with access."""


def faults(
    place: table.Place, actor: str, command: str, line: table.Line, heard: scene.Heard, known: judge.Known, own: list[str]
) -> Iterator[str]:
    """What is wrong with it, a sentence each."""
    who = f"{actor} with /{command} {line.said}".strip() + f" in the {place}"
    for fault in _manner(place, actor, command, heard):
        yield f"{who}: {fault}"
    for shown in heard.public:
        if found := judge.public_bytes(shown):
            yield f"{who}: {found} bytes that are not for everybody lie in public: {shown.words[:200]!r}"
    if heard.home:
        yield from (f"{who}: {fault}" for fault in _answer(actor, line, command, heard.home, known, own))


def _manner(place: table.Place, actor: str, command: str, heard: scene.Heard) -> Iterator[str]:
    """Whether answers came where they may come, and whether any came at all."""
    right, said = table.RIGHTS[command], [shown.words for shown in heard.public]
    home, public = expected(place, actor, operator=right.operator)
    if bool(heard.home) != home:
        yield f"{'no' if home else 'an'} answer came to them alone: {[one.words[:80] for one in heard.home]}"
    if said != ([public] if public else []):
        yield f"in public was said {said}, and not {public or 'nothing'!r}"


def expected(place: table.Place, actor: str, *, operator: bool) -> tuple[bool, str]:
    """Whether an answer comes to the asker alone, and what is said in public."""
    if actor in table.UNHEARD[place.platform] or place.answers == table.SILENT:
        return False, ""
    if place.answers == table.AT_HOME:
        return True, ""
    if operator:
        return False, ""
    return (False, judge.CALLED) if actor in table.UNKNOWN else (True, judge.SENT)


def _answer(
    actor: str, line: table.Line, command: str, answer: list[judge.Shown], known: judge.Known, own: list[str]
) -> Iterator[str]:
    words = "\n".join(shown.words for shown in answer)
    if not re.search(line.words(actor), words, re.DOTALL):
        yield f"the answer is none of {line.words(actor)!r}: {words[:300]!r}"
    allowed = line.may_hold(actor)
    for shown in answer:
        if beyond := judge.secrets(shown, known) - allowed:
            yield f"the answer holds {', '.join(sorted(beyond))}: {shown.whole[:600]}"
        if table.PERSONAL not in allowed and (named := judge.strangers_named(shown, known, own)):
            yield f"the answer names {named}: {shown.whole[:600]}"
        if judge.secrets(shown, known) & {table.PAID} and not judge.kept(shown):
            yield f"what is paid can be passed on: {shown.words[:100]!r}"
