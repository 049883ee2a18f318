"""What became of each request, told before discord.py would repeat it.

The library sends failed and refused requests again by itself, for up to minutes. Its public trace of aiohttp hears of
every answer first: there the answer is kept, and a refusal for haste or a failure of Discord's is raised, which ends
the library's part. No error here contains an address, because some of Discord's contain a token.
"""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import discord.gateway
import orjson

if TYPE_CHECKING:
    from bot.platforms.discord.allowance import Allowance

_FAREWELL = 2.0
_HANDSHAKE = "Sec-WebSocket-Key"
CLOUDFLARE_PAUSE = 60.0  # seconds, when Cloudflare does not say how long


class DiscordError(Exception):
    """A request did not succeed."""


class NotBegunError(DiscordError):
    """It certainly had no effect and may be made again after `after` seconds (None: nobody knows).

    `pause` says who else must wait that long: nobody, others of the same kind ("chat"), or "all".
    """

    def __init__(self, reason: str, after: float | None = None, pause: str = "") -> None:
        super().__init__(reason)
        self.after, self.pause = after, pause


class UnclearError(DiscordError):
    """Nobody can know whether it had its effect."""


class RefusalError(DiscordError):
    """Discord will not do it: the HTTP status, Discord's own code and its words."""

    def __init__(self, status: int, code: int, words: str) -> None:
        super().__init__(f"{status} {code}: {words}"[:300])
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    json: bool

    def value(self) -> Any:
        """What was answered, None for nothing; raises RefusalError, or UnclearError for what is no answer."""
        try:
            said = orjson.loads(self.body) if self.json and self.body else None
        except orjson.JSONDecodeError:
            said = None
        if self.status >= 400:
            known = said if isinstance(said, dict) else {}
            raise RefusalError(self.status, int(known.get("code") or 0), str(known.get("message", "no words")))
        if said is None and self.status != 204:
            raise UnclearError(f"Discord answered {self.status} without JSON")
        return said


@dataclass(slots=True)
class Exchange:
    """One request of ours; `kind` is the kind of request that has a limit of its own, `begun` whether it left."""

    kind: str
    begun: bool = False
    end: "asyncio.Future[Answer | DiscordError]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def ended(self, how: Answer | DiscordError) -> None:
        """This is how it ended, unless that was known before."""
        if not self.end.done():
            self.end.set_result(how)


CURRENT: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def trace(allowance: "Allowance") -> aiohttp.TraceConfig:
    """The trace for a client of discord.py; what Discord says of its limits is told to `allowance`."""
    watch, config = _Watch(allowance), aiohttp.TraceConfig()
    config.on_request_headers_sent.append(watch.left)
    config.on_request_end.append(watch.answered)
    config.on_request_exception.append(watch.failed)
    return config


class _Watch:
    """Hears of every request of a client; the gateway's handshakes are the library's matter."""

    def __init__(self, allowance: "Allowance") -> None:
        self._allowance = allowance

    async def left(self, *_: Any) -> None:
        if exchange := CURRENT.get():
            exchange.begun = True

    async def answered(self, _session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        if _HANDSHAKE in params.headers:
            return
        exchange, response = CURRENT.get(), params.response
        json = response.headers.get("Content-Type", "").startswith("application/json")
        answer = Answer(response.status, await response.read(), json)
        error = _judged(answer, response.headers)
        self._allowance.told(exchange.kind if exchange else "", answer.status, response.headers, error)
        if exchange:
            exchange.ended(error or answer)
        if error:
            raise error

    async def failed(self, _session: Any, _context: Any, params: aiohttp.TraceRequestExceptionParams) -> None:
        exchange, cause = CURRENT.get(), params.exception
        if _HANDSHAKE in params.headers or not isinstance(cause, Exception):
            return
        error = understood(cause, begun=exchange is None or exchange.begun)
        if exchange:
            exchange.ended(error)
        raise error from None


class Socket(discord.gateway.DiscordClientWebSocketResponse):
    """A connection to the gateway that is closed within seconds. The library would wait half a minute for the farewell
    of a server that is dead, and resume its session only then.
    """

    async def close(self, *, code: int = 4000, message: bytes = b"") -> bool:
        """Whether it was open and is closed now."""
        try:
            async with asyncio.timeout(_FAREWELL):
                return await super().close(code=code, message=message)
        except TimeoutError:
            return True


def _judged(answer: Answer, headers: Any) -> DiscordError | None:
    """What the answer means when the library would not simply hand it on."""
    if answer.status >= 500:
        return UnclearError(f"Discord answered {answer.status}")
    if answer.status != 429:
        return None
    try:
        said = orjson.loads(answer.body) if answer.json and headers.get("Via") else {}
    except orjson.JSONDecodeError:
        said = {}
    if "retry_after" not in said:
        after = headers.get("Retry-After", "")
        return NotBegunError("Cloudflare turns us away", float(after) if after.isdecimal() else CLOUDFLARE_PAUSE, "all")
    scope = "global" if said.get("global") else headers.get("X-RateLimit-Scope", "user")
    return NotBegunError(f"429 ({scope})", float(said["retry_after"]), "all" if scope == "global" else "chat")


def understood(cause: BaseException | None, *, begun: bool) -> DiscordError:
    """The library's or the network's error, told by its kind only."""
    if isinstance(cause, DiscordError):
        return cause
    name = type(cause).__name__
    if not begun or isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotBegunError(f"no connection ({name})")
    return UnclearError(f"the connection failed ({name})")
