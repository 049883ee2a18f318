"""Operators' commands that make a signal by hand and end one: each is shown before anybody else hears of it."""

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.commands import asking
from bot.messages import posting
from core import access, errors, models, places
from core.signals import closing, orders, outside

LIFE = timedelta(minutes=10)
"""For so long what was shown can be confirmed."""
_POST, _CLOSE = "signal", "close"
_FIELDS = {
    "entry": "entry",
    "stop": "stop",
    "sl": "stop",
    "target": "targets",
    "targets": "targets",
    "tp": "targets",
    "expires": "expires_after",
    "reason": "reason",
}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_AIM = re.compile(r"([0-9.]+)(?::([0-9.]{1,8})%)?(?::(entry|previous|[0-9.]+))?")


async def post(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """PAIR DIRECTION [ENTRY] stop PRICE targets PRICE… [REASON]: shows the signal; a yes to its draft publishes it."""
    answer, number = _answered(visit.argument)
    if number is not None:
        draft = await _drafted(session, visit, _POST, number)
        if draft is None:
            return posting.gone()
        if "signal" in draft.details:
            return posting.exists(draft.details["signal"])
        return await _publish(session, visit, draft) if answer == "yes" else _discard(draft)
    if len(visit.argument.split()) < 2:
        return posting.usage()
    try:
        order = orders.read(said(visit.argument))
    except errors.RefusedError as refusal:
        return posting.usage(str(refusal))
    return await _show(session, visit, order)


def said(line: str) -> dict[str, Any]:
    """The words of an order in this line, which has at least two; from the first one that fits nowhere on, a reason."""
    pair, side, *rest = line.split()
    found: dict[str, Any] = {"symbol": pair, "direction": side, "targets": []}
    field = "entry"  # a price right after the direction
    for place, word in enumerate(rest):
        named = _FIELDS.get(word.lower().rstrip(":"))
        if named == "reason" or (named and _AIM.fullmatch("".join(rest[place + 1 : place + 2]))):
            field = named
        elif field == "targets" and (aim := _AIM.fullmatch(word)):
            found["targets"].append(_aim(aim))
        elif field not in found and field != "reason" and _NUMBER.fullmatch(word):
            found[field] = word
        else:
            return {**found, "reason": " ".join(rest[place:])}
    return found


def _aim(word: re.Match[str]) -> dict[str, Any]:
    price, share, stop = word.groups()
    parts = share.split(".") if share else []
    percent = Decimal(share) if share and len(parts) <= 2 and any(parts) else None
    return {"price": price, "share": None if percent is None else percent / 100, "stop": stop}


async def _show(session: AsyncSession, visit: asking.Visit, order: orders.Order) -> messages.Message:
    """The signal that it would be; what is confirmed is exactly this, its entry included."""
    desk = visit.desk
    plan = await outside.drafted(session, desk.catalogue, outside.OPERATOR, order, now=desk.now)
    fixed = order.model_copy(update={"entry": plan.entry, "symbol": plan.symbol})
    row = await _keep(session, visit, _POST, {"order": fixed.model_dump(mode="json")})
    who = (await access.recipients(session, desk.catalogue, plan.symbol, now=desk.now)).subquery()
    chats = await session.scalar(select(func.count()).select_from(who)) or 0
    posts = await _posts(session, plan.symbol)
    return posting.preview(row.id, plan, desk.now + LIFE, chats, posts)


async def _posts(session: AsyncSession, symbol: str) -> Sequence[str]:
    """The names of the places in which signals of this market are posted."""
    return [place.name for place in await places.active(session) if place.channel and place.carries(symbol)]


async def _publish(session: AsyncSession, visit: asking.Visit, draft: models.Audit) -> messages.Message:
    desk, order = visit.desk, orders.read(draft.details["order"])
    taken = await outside.take(session, desk.catalogue, outside.OPERATOR, order, at=desk.now, now=desk.now)
    _use_up(draft, signal=taken.signal)
    _note(session, visit, "signal_posted", {"draft": draft.id, "signal": taken.signal, "anew": taken.new})
    return posting.published(taken.signal) if taken.new else posting.exists(taken.signal)


async def close(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """ID [PRICE]: shows how the signal would end; a yes to this draft ends it."""
    answer, number = _answered(visit.argument)
    if number is not None:
        draft = await _drafted(session, visit, _CLOSE, number)
        if draft is None or "signal" in draft.details:
            return posting.gone()
        return await _end(session, visit, draft) if answer == "yes" else _discard(draft)
    words = visit.argument.split()
    number = asking.number(words[0]) if words else None
    if number is None or len(words) > 2 or not all(_NUMBER.fullmatch(word) for word in words[1:]):
        return posting.close_usage()
    price = _price(words[1]) if words[1:] else None
    offer = await closing.offered(session, number, price, now=visit.desk.now)
    row = await _keep(session, visit, _CLOSE, {"number": number, "price": None if price is None else str(price)})
    return posting.close_preview(row.id, offer, visit.desk.now + LIFE, named=price is not None)


def _price(word: str) -> Decimal:
    if len(word) > 30 or not Decimal(word):
        raise errors.RefusedError("That is no price; write it as in the signal.")
    return Decimal(word)


async def _end(session: AsyncSession, visit: asking.Visit, draft: models.Audit) -> messages.Message:
    number, price = draft.details["number"], draft.details["price"]
    at = None if price is None else Decimal(price)
    signal = await closing.close(session, number, at, now=visit.desk.now)
    _use_up(draft, signal=number)
    _note(session, visit, "signal_closed", {"draft": draft.id, "signal": number, "price": str(signal.close_price)})
    return posting.closed(signal)


# --- drafts: rows in the operators' record that wait for a yes


def _answered(argument: str) -> tuple[str, int | None]:
    """Yes or no to which draft; no number when it is something else."""
    first, _, rest = argument.partition(" ")
    answer = first.lower()
    return answer, asking.number(rest) if answer in {"yes", "no"} else None


async def _keep(session: AsyncSession, visit: asking.Visit, what: str, details: dict[str, Any]) -> models.Audit:
    row = _note(session, visit, f"{what}_drafted", details)
    await session.flush()
    return row


def _note(session: AsyncSession, visit: asking.Visit, action: str, details: dict[str, Any]) -> models.Audit:
    row = models.Audit(at=visit.desk.now, actor=visit.actor, action=action, details=details)
    session.add(row)
    return row


async def _drafted(session: AsyncSession, visit: asking.Visit, what: str, number: int) -> models.Audit | None:
    """The draft, if it is this operator's and young enough; two presses at once take turns here."""
    row = await session.get(models.Audit, number, with_for_update=True, populate_existing=True)
    if row is None or (row.actor, row.action) != (visit.actor, f"{what}_drafted"):
        return None
    return row if row.at + LIFE > visit.desk.now else None


def _use_up(draft: models.Audit, *, signal: int) -> None:
    draft.details = {**draft.details, "signal": signal}


def _discard(draft: models.Audit) -> messages.Message:
    draft.action = draft.action.replace("_drafted", "_discarded")
    return posting.discarded()
