"""The record: everything that happens to signals, in one chain of lines that nobody can edit unseen.

An entry is written in the transaction of the event that it is about. `core.signals.entries` has the form of the lines,
`core.signals.proof` the check, docs/record.md both in words.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue
from core.delivery import outbox
from core.models import RecordEntry, Signal, SignalEvent
from core.signals import entries, results

HEAD_NOTICE = "record_head"
# No place can have this key, so the alarm about a public channel is never taken for one about a gated place.
_WITNESS = "public record"
_GREW = "record_grew"
_LOCK = 0x5265636F7264  # any number that every version of the product agrees on


class Head(NamedTuple):
    """The number and the hash of the newest entry; nought and 64 zeros while there is none."""

    n: int
    hash: str


class Noted(NamedTuple):
    """What everybody may know of an entry about a signal."""

    n: int
    kind: str
    hash: str
    closes: bool


async def append(session: AsyncSession, signal: Signal, event: SignalEvent, *, now: datetime) -> str:
    """The event is the newest entry of the record; gives back its hash.

    The signal must stand as the event left it. From here to the end of the transaction no other process appends.
    """
    if session.get_bind().dialect.name == "postgresql":
        # Taken as late as possible. SQLite has one writer, whose transaction began with its lock.
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    last = await head(session)
    facts, secret = await _said(session, signal, event)
    known = {
        "at": entries.moment(now),
        "kind": event.event,
        "n": last.n + 1,
        "previous": last.hash,
        "signal": signal.id,
    }
    entry = entries.sealed(known | facts)
    line = entries.canonical(entry).decode()
    session.add(
        RecordEntry(n=last.n + 1, signal_id=signal.id, line=line, hash=entry["hash"], secret=secret.decode(), at=now)
    )
    await session.flush()
    session.info[_GREW] = True
    return str(entry["hash"])


def grew(session: AsyncSession) -> bool:
    """Whether entries were written in this session; whoever waits for them is to be woken after its transaction."""
    return bool(session.info.get(_GREW))


async def head(session: AsyncSession) -> Head:
    """The newest entry."""
    newest = select(RecordEntry.n, RecordEntry.hash).order_by(RecordEntry.n.desc()).limit(1)
    row = (await session.execute(newest)).first()
    return Head(*row) if row else Head(0, entries.NOTHING)


async def lines(session: AsyncSession, *, after: int, until: int, limit: int) -> Sequence[tuple[int, str]]:
    """At most `limit` lines with their numbers, from the one after `after` to `until`."""
    page = select(RecordEntry.n, RecordEntry.line).where(RecordEntry.n > after, RecordEntry.n <= until)
    return [(n, line) for n, line in await session.execute(page.order_by(RecordEntry.n).limit(limit))]


async def about(session: AsyncSession, signal_id: int) -> list[Noted]:
    """The entries about this signal, oldest first; what is still committed to stays unsaid."""
    mine = select(RecordEntry.line).where(RecordEntry.signal_id == signal_id).order_by(RecordEntry.n)
    told = [orjson.loads(line) for line in await session.scalars(mine)]
    return [Noted(one["n"], one["kind"], one["hash"], one["kind"] in entries.CLOSINGS) for one in told]


async def witness(session: AsyncSession, book: catalogue.Catalogue, url: str, *, now: datetime) -> int:
    """Today's head of the record is on its way to the public channels, once each; says how many posts are new."""
    newest = await head(session)
    if not newest.n:
        return 0
    day = now.date().isoformat()
    facts = {"day": day, "entries": newest.n, "head": newest.hash, "url": f"{url}/record"}
    posted = 0
    for platform, channel in (("telegram", book.record.telegram), ("discord", book.record.discord)):
        if channel:
            where, key = (platform, channel, _WITNESS), f"record:{day}:{platform}"
            posted += await outbox.post_notice(session, where, HEAD_NOTICE, facts, key=key, now=now)
    return posted


async def _said(session: AsyncSession, signal: Signal, event: SignalEvent) -> tuple[dict[str, Any], bytes]:
    """What the entry says beyond the usual, and what opens its commitment later."""
    if event.event in entries.CLOSINGS:
        return await _revealed(session, signal, event), b""
    details = _details(signal) if event.event == entries.OPENED else _part(signal, event)
    secret = {"details": details, "salt": secrets.token_hex(32)}
    return {"commitment": entries.digest(secret)}, entries.canonical(secret)


def _details(signal: Signal) -> dict[str, Any]:
    return {
        "candle": signal.candle,
        "direction": signal.direction,
        "entry": entries.plain(signal.entry),
        "exchange": signal.exchange,
        "expires": signal.expires,
        "fee": entries.plain(signal.fee),
        "late": signal.late,
        "slippage": entries.plain(signal.slippage),
        "stop": entries.plain(signal.stop),
        "strategy": signal.strategy,
        "symbol": signal.symbol,
        "targets": [
            {
                "price": entries.plain(level.price),
                "share": entries.plain(level.share),
                "stop": None if level.stop is None else entries.plain(level.stop),
            }
            for level in signal.levels
        ],
        "tick": entries.plain(signal.tick),
        "timeframe": signal.timeframe,
    }


def _part(signal: Signal, event: SignalEvent) -> dict[str, Any]:
    stop = event.stop if event.stop is not None else signal.stop
    return {"candle": event.candle, "stop": entries.plain(stop), **_exit(event)}


def _exit(event: SignalEvent) -> dict[str, str]:
    return {"price": entries.plain(event.price), "share": entries.plain(event.share)}


async def _revealed(session: AsyncSession, signal: Signal, event: SignalEvent) -> dict[str, Any]:
    """What the earlier entries of the signal committed to, and how it ended."""
    mine = select(RecordEntry.n, RecordEntry.line, RecordEntry.secret).where(RecordEntry.signal_id == signal.id)
    rows = [
        (n, orjson.loads(line)["kind"], orjson.loads(secret))
        for n, line, secret in await session.execute(mine.order_by(RecordEntry.n))
    ]
    parts = [secret["details"] for _, kind, secret in rows if kind != entries.OPENED]
    exits = [{name: part[name] for name in ("price", "share")} for part in parts if float(part["share"])]
    result = results.trade(signal)
    facts: dict[str, Any] = {
        "closing": {
            "average_exit": entries.plain(result.exit),
            "candle": event.candle,
            "exits": [*exits, _exit(event)],
            "filled": entries.plain(result.filled),
            "percent": entries.plain(result.percent),
            "r": entries.plain(result.r),
        },
        "reveal": [{"n": n, **secret} for n, _, secret in rows],
    }
    if not rows or rows[0][1] != entries.OPENED:  # it was published before there was a record
        facts["unsealed"] = {"details": _details(signal), "published": entries.moment(signal.created_at)}
    return facts
