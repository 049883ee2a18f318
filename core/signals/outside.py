"""Orders that no strategy made, by an operator's hand or from a source outside, become signals as all others do.

The same ledger, the same results, the same rule of the fill: the order belongs to the candle that is running when it
comes, and its position counts from the open of the next one.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, clock, errors, switches
from core.columns import Level
from core.market import candles, ticks, timeframes
from core.models import Signal, SignalStatus
from core.signals import orders, publish, quotes

AHEAD = timedelta(seconds=30)
"""So much may the sender's clock be ahead of ours."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Source:
    """Who orders, and within which limits: ages in seconds, distances from the last close in percent.

    `strategy` is its name among the strategies, `symbols` empty means every watched market.
    """

    strategy: str
    symbols: frozenset[str] = frozenset()
    max_age: int = 60
    max_distance: Decimal = Decimal(5)
    expires_after: int = 48
    most_open: int = 50


OPERATOR = Source("operator")


def source(intake: catalogue.Intake) -> Source:
    """The source that the catalogue describes."""
    return Source(
        strategy=f"intake_{intake.key}",
        symbols=intake.symbols,
        max_age=intake.max_age,
        max_distance=intake.max_distance,
        expires_after=intake.expires_after,
        most_open=20,
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """The number of the signal that the order has become, now or when it came before."""

    signal: int
    new: bool


async def take(
    session: AsyncSession, book: catalogue.Catalogue, who: Source, order: orders.Order, *, at: datetime, now: datetime
) -> Taken:
    """The order, given `at`, is a published signal; one that came before stays the signal that it is.

    The same order is one with the same `ref`, or without it with the same words in the same candle.
    """
    watch = _watch(book, who, order)
    ref = order.ref or _digest(order, watch, at)
    if (known := await _known(session, who, ref)) is not None:
        return Taken(known, new=False)
    fresh_until = at + timedelta(seconds=min(who.max_age, timeframes.staleness(watch.timeframe)))
    if now >= fresh_until:
        raise errors.RefusedError(f"It is too old: it was given {(now - at).total_seconds():.0f} seconds ago.")
    if at > now + AHEAD:
        raise errors.RefusedError("It is from the future; set the clock of whoever sends it.")
    plan = await drafted(session, book, who, order, now=now)
    send_until = at + timedelta(seconds=timeframes.staleness(watch.timeframe))
    signal = await publish.opened(session, book, replace(plan, ref=ref), now=now, send_until=send_until)
    if signal is not None:
        log.info("signals_order_taken", source=who.strategy, signal=signal.id)
        return Taken(signal.id, new=True)
    known = await _known(session, who, ref)
    assert known is not None  # noqa: S101 - it was the reason why nothing was published
    return Taken(known, new=False)


async def drafted(
    session: AsyncSession, book: catalogue.Catalogue, who: Source, order: orders.Order, *, now: datetime
) -> publish.Draft:
    """What the order would become now; raises RefusedError with one sentence when it may not."""
    if await switches.turned_on(session, switches.PAUSED):
        raise errors.RefusedError("New signals are paused by the operator; send it again when they are not.")
    running = (Signal.strategy == who.strategy, Signal.status == SignalStatus.OPEN)
    if (await session.scalar(select(func.count()).where(*running)) or 0) >= who.most_open:
        raise errors.RefusedError(f"{who.most_open} signals of this source are open; close some of them first.")
    watch = _watch(book, who, order)
    quote = await quotes.of(session, candles.Key(watch.exchange, watch.symbol, watch.timeframe), now=now)
    return _plan(order, who, watch, quote)


def _plan(order: orders.Order, who: Source, watch: catalogue.Watch, quote: quotes.Quote) -> publish.Draft:
    entry, stop = (ticks.nearest(price, quote.tick) for price in (order.entry or quote.price, order.stop))
    levels, long = _levels(order, entry, quote.tick), order.direction == "long"
    _check_order(long, (stop, entry, *(level.price for level in levels)), levels)
    _check_distance(who, quote, (stop, entry, levels[0].price))
    return publish.Draft(
        watch=f"{who.strategy} {watch.exchange} {watch.symbol} {watch.timeframe}",
        strategy=who.strategy,
        exchange=watch.exchange,
        symbol=watch.symbol,
        timeframe=watch.timeframe,
        long=long,
        entry=entry,
        stop=stop,
        levels=levels,
        tick=quote.tick,
        candle=quote.running,
        expires=quote.running + ((order.expires_after or who.expires_after) + 1) * timeframes.ms(watch.timeframe),
        reason=order.reason,
        figures={},
        params={},
    )


def _levels(order: orders.Order, entry: Decimal, tick: Decimal) -> tuple[Level, ...]:
    """The targets on ticks, with the stops that follow them; after the last one there is nothing to protect."""
    levels: list[Level] = []
    for aim, share in zip(order.targets, order.shares, strict=True):
        before = levels[-1].price if levels else entry
        last = len(levels) + 1 == len(order.targets)
        stop = entry if aim.stop == "entry" else before if aim.stop == "previous" else aim.stop
        moved = None if last or stop is None else ticks.nearest(stop, tick)
        levels.append(Level(ticks.nearest(aim.price, tick), share, moved))
    return tuple(levels)


def _check_order(long: bool, prices: Sequence[Decimal], levels: Sequence[Level]) -> None:
    """The levels stand in their order, and a stop that moves comes nearer and stays short of the target it follows."""
    stop, entry = prices[:2]
    if not publish.sound(long=long, entry=entry, stop=stop, levels=levels):
        side, other = ("long", "below") if long else ("short", "above")
        beyond = "above" if long else "below"
        raise errors.RefusedError(
            f"For a {side} signal the stop must be {other} the entry and each target {beyond} what stands before it; "
            f"now they are {', '.join(map(str, prices))}."
        )
    for level in levels:
        moved = stop if level.stop is None else level.stop
        if (moved < stop or moved >= level.price) if long else (moved > stop or moved <= level.price):
            raise errors.RefusedError(
                f"A stop that moves to {moved} must come nearer than {stop} and stay short of its target {level.price}."
            )
        stop = moved


def _check_distance(who: Source, quote: quotes.Quote, prices: Sequence[Decimal]) -> None:
    """The entry is near the last close, which has reached neither the stop nor the first target."""
    (stop, entry, target), last = prices, quote.price
    if quote.off(entry) > who.max_distance:
        raise errors.RefusedError(
            f"The entry {entry} is more than {who.max_distance.normalize():f}% away from the last price {last}."
        )
    if not min(stop, target) < last < max(stop, target):
        raise errors.RefusedError(f"The last price {last} is already beyond the stop {stop} or the target {target}.")


# --- which market is meant


def _watch(book: catalogue.Catalogue, who: Source, order: orders.Order) -> catalogue.Watch:
    """The watch with the shortest timeframe on the market that is meant; raises RefusedError when none is."""
    exchange, pair = _said(order.symbol)
    mine = [watch for watch in book.watches if not who.symbols or watch.symbol in who.symbols]
    symbol = _market(pair, {watch.symbol for watch in mine})
    found = [watch for watch in mine if watch.symbol == symbol and exchange in {"", watch.exchange}]
    if not found:
        known = ", ".join(sorted({watch.exchange for watch in mine if watch.symbol == symbol}))
        raise errors.RefusedError(f"{symbol} is watched on {known}, not on {exchange}.")
    return min(found, key=lambda watch: timeframes.ms(watch.timeframe))


def _said(symbol: str) -> tuple[str, str]:
    """The exchange, if one was said as in BINANCE:BTCUSDT, and the pair."""
    head, colon, tail = symbol.strip().partition(":")
    return (head.lower(), tail.upper()) if colon and "/" not in head else ("", symbol.strip().upper())


# How a market is called, the surest way first: a perpetual BTC/USDT:USDT is BTCUSDT.P on TradingView's charts.
_CALLED: tuple[Callable[[str], str], ...] = (
    lambda symbol: symbol,
    lambda symbol: _joined(symbol.partition(":")[0]) + (".P" if ":" in symbol else ""),
    lambda symbol: _joined(symbol.partition(":")[0]),
    lambda symbol: symbol.partition("/")[0],
)


def _market(said: str, watched: Collection[str]) -> str:
    for called in _CALLED:
        found = sorted(symbol for symbol in watched if called(symbol) in {said, _joined(said)})
        if len(found) == 1:
            return found[0]
        if found:
            raise errors.RefusedError(f"{said} may be {' or '.join(found[:10])}; write one of them.")
    raise errors.RefusedError(f"{said} is not among the watched markets: {', '.join(sorted(watched)[:20]) or 'none'}.")


def _joined(pair: str) -> str:
    return re.sub(r"[/_-]", "", pair)


# --- which signal it is already


def _digest(order: orders.Order, watch: catalogue.Watch, at: datetime) -> str:
    """A name for the order by what it says and by the candle in which it was given; reasons may differ."""
    words = order.model_dump_json(exclude={"symbol", "reason", "ref"})
    candle = timeframes.floor(watch.timeframe, clock.to_ms(at))
    given = f"{watch.exchange} {watch.symbol} {candle} {words}"
    return f"order:{hashlib.sha256(given.encode()).hexdigest()[:32]}"


async def _known(session: AsyncSession, who: Source, ref: str) -> int | None:
    return await session.scalar(select(Signal.id).where(Signal.strategy == who.strategy, Signal.ref == ref))
