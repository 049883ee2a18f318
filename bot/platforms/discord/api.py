"""Discord's REST API through discord.py's own client, as plain JSON values and with errors that say what they mean."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any

import aiohttp
import discord
import discord.http

from bot.platforms.discord import allowance, wire
from core import errors, settings

# The library's lines name addresses, some of which contain tokens, and repeat what we say better.
logging.getLogger("discord").setLevel(logging.CRITICAL)

Json = dict[str, Any]

TOTAL = 13.0
"""Seconds for one request; less than the courier waits, so that what never left is known not to have been sent."""
_CLOSING = 3.0
_PATIENT_TRIES = 5


def point(conf: settings.Settings) -> None:
    """The library knows where Discord is, and our kind of socket; it has no other place for either."""
    discord.http.Route.BASE = f"{conf.discord_api_url}/v10"
    discord.http.DiscordClientWebSocketResponse = wire.Socket  # type: ignore[attr-defined]


class Api:
    """A bot's connection for requests; it works without the gateway."""

    def __init__(self, conf: settings.Settings, *, total: float = TOTAL, invalid: int = allowance.INVALID) -> None:
        point(conf)
        self.allowance = allowance.Allowance(invalid=invalid)
        self.total = total
        self.application, self.me, self.name = "", "", ""
        self._token = conf.discord_bot_token.get_secret_value()
        self._client: discord.AutoShardedClient | None = None
        self._resting: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Discord knows us, and `application`, `me` and `name` are ours; raises LoginFailure or DiscordError."""
        await self.close()
        # Discord closes idle connections; a request on one that is just being closed is unclear, so ours go first.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=20, ttl_dns_cache=60)
        client = self._client = discord.AutoShardedClient(
            intents=discord.Intents.none(), http_trace=wire.trace(self.allowance), connector=connector
        )
        try:
            async with asyncio.timeout(self.total):
                await client.login(self._token)
        except discord.LoginFailure:
            raise
        except wire.DiscordError:
            raise
        except discord.HTTPException as error:
            raise wire.RefusalError(error.status, error.code, error.text) from None
        except (TimeoutError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise wire.UnclearError(f"no login ({type(error).__name__})") from None
        user = client.user
        self.application, self.me = str(client.application_id), str(user.id if user else 0)
        self.name = user.name if user else ""

    async def close(self) -> None:
        """Every connection is closed."""
        for task in list(self._resting):
            task.cancel()
        await asyncio.gather(*self._resting, return_exceptions=True)
        if self._client is not None:
            client, self._client = self._client, None
            await put_away(client, _CLOSING)

    async def call(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
        free: bool = False,
        json: Any = None,
        form: Sequence[Json] | None = None,
        params: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> Any:
        """Discord's answer as JSON values; raises DiscordError only.

        `ids` fill the path's placeholders, `form` is a multipart body, `reason` what the server's audit log will say,
        `free` as in `Allowance.taken`.
        """
        if self._client is None:
            raise wire.NotBegunError("closed")
        route = discord.http.Route(method, path, **(ids or {}))
        exchange = wire.Exchange(f"{route.key} {route.major_parameters}")
        named = {"json": json, "form": form, "params": params, "reason": reason}
        given = {name: value for name, value in named.items() if value is not None}
        with self.allowance.taken(exchange.kind, free=free):
            context = copy_context()
            context.run(wire.CURRENT.set, exchange)
            asking = asyncio.create_task(self._client.http.request(route, **given), context=context)
            return (await self._heard(asking, exchange, self.total if seconds is None else seconds)).value()

    async def _heard(self, asking: asyncio.Task[Any], exchange: wire.Exchange, seconds: float) -> wire.Answer:
        """The answer as soon as it is there: the library would sleep first where it was the last of its kind."""
        try:
            await asyncio.wait({asking, exchange.end}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._resting.add(asking)
            asking.add_done_callback(self._rested)
            if not exchange.end.done():
                asking.cancel()
        if exchange.end.done():
            how = exchange.end.result()
        elif asking.done() and not asking.cancelled():
            how = wire.understood(asking.exception(), begun=exchange.begun)
        elif exchange.begun:
            how = wire.UnclearError(f"no answer within {seconds:.1f} seconds")
        else:
            how = wire.NotBegunError(f"its turn did not come within {seconds:.1f} seconds")
        if isinstance(how, wire.DiscordError):
            raise how
        return how

    def _rested(self, asking: asyncio.Task[Any]) -> None:
        self._resting.discard(asking)
        if not asking.cancelled():
            asking.exception()  # known already, by the exchange

    async def fetch(self, path: str, ids: Mapping[str, str], params: Mapping[str, Any] | None = None) -> Any:
        """What lies there, asked for patiently; raises RefusalError, and UnreachableError when nothing helps."""
        known = ""
        for tries in range(_PATIENT_TRIES):
            wait = 0.2 * 2**tries
            try:
                return await self.call("GET", path, ids, params=params)
            except wire.RefusalError:
                raise
            except wire.DiscordError as error:
                known = str(error)
                wait = max(wait, getattr(error, "after", None) or 0)
            if wait > self.total:
                break
            await asyncio.sleep(wait)
        raise errors.UnreachableError(f"Discord does not answer ({known}).")


@contextmanager
def documented() -> Iterator[None]:
    """What has not the shape that Discord documents is as good as no answer: raises UnreachableError instead."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise errors.UnreachableError(f"Discord's answer has not the documented shape ({error}).") from None


async def put_away(client: discord.AutoShardedClient, seconds: float) -> None:
    """Nothing of the client is open, however Discord behaves."""
    closing = asyncio.ensure_future(client.close())
    await asyncio.wait({closing}, timeout=seconds)
    if not closing.done():
        closing.cancel()
        await asyncio.wait({closing}, timeout=seconds)
    if closing.done() and not closing.cancelled():
        closing.exception()  # of a client that had hardly begun
    with suppress(asyncio.CancelledError, Exception):
        await client.http.close()
