"""Events over the API: what the stream tells, page by page, for tools that ask from time to time."""

from collections.abc import Hashable
from typing import Annotated, Literal

from pydantic import Field

from core.signals import feed
from webhooks.api import frame, shapes

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-15T12:00:00.000Z"])]
"""A moment as the feed writes it, to the millisecond."""


class After(frame.Shape):
    """From which event on, and how many entries of the record are looked at."""

    after: frame.Whole = Field(0, ge=0, le=frame.LARGEST, description="The number of the last event that you have.")
    limit: frame.Whole = Field(100, ge=1, le=200, description="How many entries of the record are looked at.")


class Plan(shapes.Form):
    """A signal as it was published; what happened since stands in its events."""

    id: int = Field(examples=[12])
    symbol: str = Field(examples=["BTC/USDT"])
    exchange: str = Field(examples=["binance"])
    timeframe: str = Field(examples=["1h"])
    strategy: str = Field(examples=["mean_reversion"])
    direction: Literal["long", "short"]
    entry: shapes.Price
    stop: shapes.Price
    targets: list[shapes.Target]
    reason: str
    late: bool = Field(description="It came too late to be sent as fresh.")
    published_at: Moment
    decided_at: Moment
    fresh_until: Moment = Field(description="Do not open a position after this moment.")
    expires_at: Moment


class Change(shapes.Form):
    """What happened: `share` left at `price`, and from then on the stop stood at `stop`."""

    price: shapes.Price
    share: shapes.Price = Field(examples=["0.5"])
    stop: shapes.Price | None


class Event(shapes.Form):
    """One event, the same over the stream, in outbound webhooks and here."""

    id: int = Field(description="The number of its entry in the record; it only grows.", examples=[31])
    kind: str = Field(description="opened, target1 and so on, or how it ended.", examples=["opened"])
    at: Moment
    signal: Plan
    change: Change | None = Field(description="Null for an opening.")
    result: shapes.Result | None = Field(description="Null while the signal is open.")
    text: str = Field(description="A block for tools that read words; empty where they need to do nothing.")
    seal: shapes.Seal


class Events(shapes.Form):
    """What followed, oldest first; ask again with `cursor` as `after`, at once when there is `more`."""

    events: list[Event]
    cursor: int = Field(description="How far was looked; numbers of other plans' signals are left out.")
    more: bool = Field(description="Whether there may be more already.")


async def following(call: frame.Call) -> frame.Reply:
    """What followed an entry, of the caller's plans."""
    async with call.here.stack.db.reading() as session:
        page = await feed.after(session, call.query.after, markets=call.caller.markets, limit=call.query.limit)
    told = [Event.model_validate(event.body) for event in page.events]
    return frame.Reply(Events(events=told, cursor=page.cursor, more=page.more))


def _alike(call: frame.Call) -> Hashable:
    return call.caller.markets, call.query


ENDPOINTS = (
    frame.Endpoint(
        method="GET",
        path="/api/v1/events",
        name="events_list",
        summary="What happened to the signals of your plans, from any event on",
        more="The stream at /api/v1/ws tells the same as it happens.",
        answer=following,
        query=After,
        returns={200: Events},
        kept=_alike,
        tag="events",
    ),
)
