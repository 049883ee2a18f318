"""Closed candles of watched markets over the API."""

from datetime import UTC, datetime

import pydantic
from pydantic import Field

from core import catalogue, clock
from core.market import candles
from webhooks.api import frame, shapes

_LONGEST = 1000


class Wanted(frame.Shape):
    """Candles of which market, from when on, and how many."""

    symbol: shapes.Symbol = Field(description="A watched market of your plans.", examples=["BTC/USDT"], min_length=1)
    timeframe: str = Field(
        "", description="One that is watched; that of the market's first watch without it.", examples=["1h"],
        pattern=r"^([1-9][0-9]{0,2}[mhdw])?$",
    )  # fmt: skip
    since: pydantic.AwareDatetime | None = Field(
        None, description="From this moment on, oldest first; the newest `limit` without it."
    )
    limit: frame.Whole = Field(200, ge=1, le=_LONGEST, description="How many at most.")


class Candle(shapes.Form):
    """A closed candle; `at` is when it opened, `volume` in units of the base."""

    at: datetime
    open: shapes.Price
    high: shapes.Price
    low: shapes.Price
    close: shapes.Price
    volume: shapes.Price = Field(examples=["812.5"])


class Candles(shapes.Form):
    """Closed candles, oldest first; a gap stays a gap."""

    exchange: str = Field(examples=["binance"])
    symbol: str = Field(examples=["BTC/USDT"])
    timeframe: str = Field(examples=["1h"])
    candles: list[Candle]
    next: datetime | None = Field(description="What to ask for as `since` to go on; null when these are the newest.")


async def show(call: frame.Call) -> frame.Reply:
    """Closed candles of one market that the caller's plans open."""
    watch = watched(call, call.query.symbol, call.query.timeframe, "query")
    key, limit = candles.Key(watch.exchange, watch.symbol, watch.timeframe), call.query.limit
    async with call.here.stack.db.reading() as session:
        if call.query.since is None:
            found = await candles.recent(session, key, limit)
        else:
            found = await candles.onward(session, key, _ms(call.query.since), limit + 1)
    further = clock.from_ms(found[limit].open_time) if len(found) > limit else None
    shown = [_candle(row) for row in found[:limit]]
    return frame.Reply(
        Candles(exchange=key.exchange, symbol=key.symbol, timeframe=key.timeframe, candles=shown, next=further)
    )


def _ms(moment: datetime) -> int:
    try:
        return clock.to_ms(moment.astimezone(UTC))
    except OverflowError:
        raise frame.RefusalError(422, "invalid", "query.since: no exchange has candles of that time.") from None


def _candle(row: candles.Candle) -> Candle:
    figures = {name: shapes.plain(value) for name, value in row._asdict().items() if name != "open_time"}
    return Candle(at=clock.from_ms(row.open_time), **figures)


def watched(call: frame.Call, symbol: str, timeframe: str, where: str) -> catalogue.Watch:
    """The watch whose candles are meant; members see only markets that their plans open. Raises a refusal of 404."""
    symbol = symbol.upper()
    found = [one for one in call.here.stack.catalogue.watches if one.symbol == symbol]
    if not found or not call.caller.has(symbol):
        raise frame.RefusalError(404, "not_found", f"{where}.symbol: your plan watches no market “{symbol}”.")
    fits = [one for one in found if timeframe in {"", one.timeframe}]
    if not fits:
        known = ", ".join(sorted({one.timeframe for one in found}))
        raise frame.RefusalError(404, "not_found", f"{where}.timeframe: {symbol} is watched at {known}.")
    return fits[0]


ENDPOINTS = (
    frame.Endpoint(
        method="GET",
        path="/api/v1/candles",
        name="candles_show",
        summary="Closed candles of a watched market",
        answer=show,
        query=Wanted,
        returns={200: Candles},
        refusals={404: "Your plans have no such market, or it is not watched at this timeframe."},
        tag="markets",
    ),
)
