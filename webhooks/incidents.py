"""Incidents in words that a member understands: what did not work, from when to when; no secrets, no people."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.models import Incident

_SHOWN = 15
_APART = timedelta(minutes=5)
"""The same twice within so short a time reads as once."""
_WORDS = (
    (r"part:scheduler\..*", "Market watch: stood still, so no new signals"),
    (r"part:telegram\.(delivery|answers)", "Telegram: messages were not sent"),
    (r"part:telegram\.places", "Telegram: doors of the members' places opened and closed late"),
    (r"part:telegram\..*", "Telegram: commands were not answered"),
    (r"part:discord\.(delivery|answers)", "Discord: messages were not sent"),
    (r"part:discord\.places", "Discord: doors of the members' places opened and closed late"),
    (r"part:discord\..*", "Discord: commands were not answered"),
    (r"part:webhooks\.site", "Web pages: did not answer"),
    (r"part:webhooks\.(hooks|stream)", "Members' tools: were told late"),
    (r"part:webhooks\..*", "Payments: were recognised late"),
    (r"part:.*", "A part of the service made no progress"),
    (r"strategy:.*", "A strategy failed and gave no signals; the others went on"),
    (r"(post|place):.*", "One of the members' places was out of order"),
    (r"(price_missing:.*|checkout_refused)", "Plans: not every plan could be bought"),
    (r"webhooks\.(hooks|stream).*", "Members' tools: were told late"),
    (r"webhooks\..*", "Payments: were recognised late"),
    (r"telegram\.(webhook|conflict)", "Telegram: commands were answered late"),
    (r"telegram[:.].*", "Telegram: the bot was refused, so messages were not sent"),
    (r"discord[:.].*", "Discord: the bot was held back, so messages were late"),
)
_MARKET = re.compile(r"market:(?P<exchange>[a-z0-9]+)( (?P<symbol>\S+) (?P<timeframe>\S+))?")


@dataclass(frozen=True, slots=True)
class Told:
    """One incident as the page tells it; `until` is None while it goes on."""

    words: str
    since: datetime
    until: datetime | None


def told(found: Iterable[Incident], symbols: Collection[str]) -> Sequence[Told]:
    """The incidents that concern members, the latest first; markets are named when they are among these symbols."""
    kept: dict[str, list[Told]] = {}
    for one in sorted(found, key=lambda incident: incident.began_at):
        if words := _words(one.key, symbols):
            _add(kept.setdefault(words, []), Told(words, one.began_at, one.ended_at))
    every = [one for some in kept.values() for one in some]
    return sorted(every, key=lambda one: (one.until is None, one.since), reverse=True)[:_SHOWN]


def _add(before: list[Told], one: Told) -> None:
    """The same words for nearly the same time become one."""
    last = before[-1] if before else None
    if last is None or (last.until is not None and one.since > last.until + _APART):
        before.append(one)
        return
    ends = None if None in (last.until, one.until) else max(end for end in (last.until, one.until) if end)
    before[-1] = Told(one.words, last.since, ends)


def _words(key: str, symbols: Collection[str]) -> str:
    if market := _MARKET.fullmatch(key):
        what = f"{market['symbol']}: " if market["symbol"] in symbols else "Market watch: "
        return f"{what}no candles from {market['exchange'].capitalize()}, so no new signals"
    return next((words for pattern, words in _WORDS if re.fullmatch(pattern, key)), "")
