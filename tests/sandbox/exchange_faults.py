"""What can go wrong between us and an exchange, on demand: each fault by its name, for so many requests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.sandbox import exchange_rows

Rows = list[exchange_rows.Row]

GEO_TEXT = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms. Please contact customer service if you believe you received this message in "
    "error."
)


@dataclass
class Fault:
    """A fault waiting for its requests; `left` None means until it is removed, `seconds` depends on the kind."""

    kind: str
    path: str
    symbol: str | None
    timeframe: str | None
    left: int | None
    seconds: float
    rows: int

    def meets(self, path: str, symbol: str | None, timeframe: str | None) -> bool:
        return (
            self.left != 0
            and path.endswith(self.path)
            and self.symbol in {None, symbol}
            and self.timeframe in {None, timeframe}
        )


class Faults:
    """The faults of one exchange; several may meet one request and then act in the order they were added."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.over = asyncio.Event()

    def add(
        self,
        kind: str,
        *,
        path: str = "klines",
        symbol: str | None = None,
        timeframe: str | None = None,
        times: int | None = 1,
        seconds: float = 20.0,
        rows: int = 3,
    ) -> Fault:
        """The next `times` requests of this path and symbol ("BTC/USDT") meet the fault; None means all from now on.

        `seconds`: Retry-After of "429" and "418", delay of "late", "stale" and "corrected" on the exchange's clock,
        or of "slow" on the wall clock. `rows`: how many candles a "gap" takes out.
        """
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(sorted(KINDS))}")
        fault = Fault(kind, path, symbol, timeframe, times, seconds, rows)
        self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Everything works again."""
        self.waiting.clear()

    def take(self, path: str, symbol: str | None, timeframe: str | None) -> list[Fault]:
        """The faults this request meets, each counted as used once."""
        met = [fault for fault in self.waiting if fault.meets(path, symbol, timeframe)]
        for fault in met:
            fault.left = fault.left if fault.left is None else fault.left - 1
        return met


async def strike(faults: list[Fault], request: web.Request, over: asyncio.Event) -> web.StreamResponse | None:
    """The answer that comes instead of the right one, if any of these faults is of that kind."""
    for fault in faults:
        if fault.kind in INSTEAD:
            return await INSTEAD[fault.kind](fault, request, over)
        if fault.kind == "slow":
            await _wait(over, fault.seconds)
    return None


def bend(faults: list[Fault], rows: Rows, now: int, length: int) -> Rows:
    """The candles as the faults make them look; `now` and `length` in milliseconds."""
    for fault in faults:
        if fault.kind in ALWAYS:
            rows = ALWAYS[fault.kind](rows)
        elif fault.kind in BENT:
            rows = BENT[fault.kind](fault, rows, now, length)
    return rows


def lag(faults: list[Fault]) -> int:
    """How many milliseconds the exchange's candles are behind its clock."""
    return round(1000 * sum(fault.seconds for fault in faults if fault.kind == "stale"))


async def _wait(over: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass


async def _hang(fault: Fault, request: web.Request, over: asyncio.Event) -> web.Response:
    await over.wait()
    return web.Response(status=503)


async def _drop(fault: Fault, request: web.Request, over: asyncio.Event) -> web.Response:
    if request.transport:
        request.transport.close()
    return web.Response(status=444)  # nobody reads it; the history shows that nothing was answered


def _page(status: int, title: str) -> Callable[[Fault, web.Request, asyncio.Event], Awaitable[web.Response]]:
    async def answer(fault: Fault, request: web.Request, over: asyncio.Event) -> web.Response:
        page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return web.Response(status=status, text=page, content_type="text/html")

    return answer


def refused(
    status: int, code: int, message: str, seconds: float | None = None
) -> Callable[[Fault, web.Request, asyncio.Event], Awaitable[web.Response]]:
    """A fault that answers with Binance's error body; `seconds` given: with Retry-After."""

    async def answer(fault: Fault, request: web.Request, over: asyncio.Event) -> web.Response:
        headers = {} if seconds is None else {"Retry-After": str(round(fault.seconds or seconds))}
        return web.json_response({"code": code, "msg": message}, status=status, headers=headers)

    return answer


_UNKNOWN = "An unknown error occurred while processing the request."
_BANNED = "Way too much request weight used; IP banned until 1700000000000. Please use WebSocket Streams."
_TOO_MANY = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."

INSTEAD: dict[str, Callable[[Fault, web.Request, asyncio.Event], Awaitable[web.Response]]] = {
    "hang": _hang,
    "drop": _drop,
    "html": _page(200, "Maintenance"),
    "403": _page(403, "403 Forbidden"),
    "418": refused(418, -1003, _BANNED, 120),
    "429": refused(429, -1003, _TOO_MANY, 30),
    "451": refused(451, 0, GEO_TEXT),
    "500": refused(500, -1000, _UNKNOWN),
    "502": _page(502, "502 Bad Gateway"),
    "503": _page(503, "503 Service Temporarily Unavailable"),
    "no_key": refused(401, -2015, "Invalid API-key, IP, or permissions for action."),
}


def _last_closed(rows: Rows, now: int) -> int:
    return next((at for at in range(len(rows) - 1, -1, -1) if rows[at][6] < now), len(rows) - 1)


def _spoilt(value: Any) -> Callable[[Fault, Rows, int, int], Rows]:
    def spoil(fault: Fault, rows: Rows, now: int, length: int) -> Rows:
        if rows:
            rows[_last_closed(rows, now)][4] = value
        return rows

    return spoil


def _late(fault: Fault, rows: Rows, now: int, length: int) -> Rows:
    return [row for row in rows if row[0] + length + fault.seconds * 1000 <= now]


def _corrected(fault: Fault, rows: Rows, now: int, length: int) -> Rows:
    for row in rows:
        if row[0] + length <= now < row[0] + length + fault.seconds * 1000:
            wrong = float(row[4]) * 1.004
            row[4], row[2] = exchange_rows.text(wrong), exchange_rows.text(max(wrong, float(row[2])))
    return rows


def _gap(fault: Fault, rows: Rows, now: int, length: int) -> Rows:
    middle = max(0, _last_closed(rows, now) - fault.rows)
    return rows[:middle] + rows[middle + fault.rows :]


def _no_open(fault: Fault, rows: Rows, now: int, length: int) -> Rows:
    return [row for row in rows if row[0] + length <= now]


ALWAYS: dict[str, Callable[[Rows], Rows]] = {
    "empty": lambda rows: rows[:0],
    "null_rows": lambda rows: [[None] * len(row) for row in rows],
    "unsorted": lambda rows: rows[::-1],
    "duplicates": lambda rows: [row for row in rows for _ in range(2)],
}
BENT: dict[str, Callable[[Fault, Rows, int, int], Rows]] = {
    "null": _spoilt(None),
    "nan": _spoilt("NaN"),
    "inf": _spoilt("Infinity"),
    "negative": _spoilt("-1.00000000"),
    "gap": _gap,
    "late": _late,
    "corrected": _corrected,
    "no_open": _no_open,
}

KINDS = {*INSTEAD, *ALWAYS, *BENT, "slow", "stale"}
