"""Every sentence we say, once for all platforms; a platform only formats and sends what `render` returns."""

import orjson

from bot.messages import (
    answers,
    backtests,
    figures,
    giving,
    inquiry,
    linked,
    lists,
    notices,
    offers,
    operators,
    people,
    personal,
    posting,
    reasons,
    record,
    signals,
    standing,
    text,
    tools,
)
from bot.messages.text import Button, Message, Span, split, units
from core import catalogue, models
from core.delivery import claims

__all__ = [
    "Button",
    "Message",
    "Span",
    "answers",
    "backtests",
    "figures",
    "giving",
    "inquiry",
    "linked",
    "lists",
    "notices",
    "offers",
    "operators",
    "people",
    "personal",
    "posting",
    "reasons",
    "record",
    "render",
    "signals",
    "split",
    "standing",
    "text",
    "tools",
    "units",
]


# A signal goes to many chats in the same words.
_said: dict[tuple[str, bool, bool, catalogue.Service, signals.Facts, bytes], Message] = {}
_MOST_SAID = 64


def render(
    parcel: claims.Parcel, signal: models.Signal | None, book: catalogue.Catalogue, *, repeat: bool = False
) -> Message:
    """What a claimed delivery says; openings and updates need their signal, notices and replies their payload.

    What may already lie in the chat, because an earlier attempt had no clear end, is a `repeat` and says so.
    """
    payload = parcel.payload or {}
    if parcel.kind == "reply":
        if "backtest" in payload:
            return backtests.result(payload["backtest"], book.service)
        return Message.from_dict(payload["message"])
    if parcel.kind in {"notice", "summary"}:
        notice = notices.NOTICES[payload.get("name", "late_summary")](payload, book.service)
        return text.repeated(notice) if repeat else notice
    if signal is None:
        raise ValueError(f"The delivery {parcel.id} names no signal.")
    catch_up = bool(payload.get("catch_up"))
    told = orjson.dumps(payload) if parcel.kind == "update" else b""
    key = (parcel.kind, repeat, catch_up, book.service, signals.facts(signal), told)
    if key not in _said:
        if len(_said) >= _MOST_SAID:
            _said.clear()
        _said[key] = (
            signals.update(signal, payload, book.service)
            if parcel.kind == "update"
            else signals.opening(signal, book.service, repeat=repeat, catch_up=catch_up)
        )
    return _said[key]
