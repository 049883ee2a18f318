"""The record over the API: all results in figures, and its lines by number. Both are public, so no plan is needed."""

from collections.abc import Hashable
from datetime import datetime
from typing import Any

import orjson
from pydantic import Field

from core.signals import record, tally
from webhooks.api import frame, shapes


class After(frame.Shape):
    """From which entry on, and how many."""

    after: frame.Whole = Field(0, ge=0, le=frame.LARGEST, description="The number of the last entry that you have.")
    limit: frame.Whole = Field(100, ge=1, le=500, description="How many at most.")


class Group(shapes.Form):
    """Closed signals together; `r` is their sum after assumed costs."""

    name: str
    closed: int
    gains: int
    losses: int
    r: shapes.Price = Field(examples=["3.20"])
    rate: shapes.Price | None = Field(
        description="Gains in percent; null while too few have closed.", examples=["54.1"]
    )


class Tally(shapes.Form):
    """Every closed signal counted, losses included."""

    whole: Group
    ends: dict[str, int] = Field(description="How many ended with each status.", examples=[{"target": 7, "stopped": 5}])
    open: int
    late: int = Field(description="How many came too late to be sent as fresh; they are counted too.")
    first: datetime | None
    last: datetime | None
    strategies: list[Group]
    markets: list[Group]
    months: list[Group] = Field(description="By the month in which they closed, newest first.")
    entries: int = Field(description="How many entries the record had at least when this was counted.")


class Entries(shapes.Form):
    """Lines of the record as /record.jsonl has them; canonical JSON of each (RFC 8785) gives its hash."""

    entries: list[dict[str, Any]]
    next: int | None = Field(description="What to ask for as `after` to go on; null when these are the newest.")


async def counted(call: frame.Call) -> frame.Reply:
    """All results in figures."""
    async with call.here.stack.db.reading() as session:
        found = await tally.count(session)
    return frame.Reply(
        Tally(
            whole=_group(found.whole),
            ends=found.ends,
            open=found.running,
            late=found.late,
            first=found.first,
            last=found.last,
            strategies=[_group(one) for one in found.strategies],
            markets=[_group(one) for one in found.markets],
            months=[_group(one) for one in found.months],
            entries=call.caller.newest,
        )
    )


def _group(group: tally.Group) -> Group:
    rate = None if group.rate is None else f"{group.rate:.1f}"
    said = {"closed": group.closed, "gains": group.gains, "losses": group.losses}
    return Group(name=group.name or "all", r=shapes.plain(group.r), rate=rate, **said)


async def lines(call: frame.Call) -> frame.Reply:
    """Lines of the record by their numbers."""
    after, limit = call.query.after, call.query.limit
    async with call.here.stack.db.reading() as session:
        found = await record.lines(session, after=after, until=frame.LARGEST, limit=limit + 1)
    shown = found[:limit]
    further = shown[-1][0] if len(found) > limit else None
    return frame.Reply(Entries(entries=[orjson.loads(line) for _, line in shown], next=further))


def _alike(call: frame.Call) -> Hashable:
    question: After | frame.Nothing = call.query
    return question


ENDPOINTS = (
    frame.Endpoint(
        method="GET",
        path="/api/v1/record",
        name="record_show",
        summary="All results in figures",
        answer=counted,
        returns={200: Tally},
        paying=False,
        tag="record",
        kept=_alike,
    ),
    frame.Endpoint(
        method="GET",
        path="/api/v1/record/entries",
        name="record_entries",
        summary="Lines of the record, by number",
        answer=lines,
        query=After,
        returns={200: Entries},
        paying=False,
        tag="record",
        kept=_alike,
    ),
)
