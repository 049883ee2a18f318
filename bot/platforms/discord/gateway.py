"""One connection to the gateway through discord.py, which keeps it alive, resumes it, and gives us its raw events."""

from collections.abc import Awaitable, Callable
from typing import Any

import discord
import discord.gateway
import structlog
import yarl

from bot.platforms.discord import allowance, api, signins, wire
from core import errors

log = structlog.get_logger()

INTENTS = discord.Intents(guilds=True, members=True)
_WRONG_TOKEN, _WRONG_INTENTS, _FORBIDDEN_INTENTS = 4004, 4013, 4014
UNKNOWN_BOT = "DISCORD_BOT_TOKEN is refused by Discord; make a new one on the Bot page in the Developer Portal."
_NO_MEMBERS = (
    "Discord does not let our bot see members: switch on “Server Members Intent” on the Bot page in the Developer "
    "Portal."
)


class Connection(discord.AutoShardedClient):
    """A connection that hands on what it hears, and asks `admit` before each sign-in; it keeps no members in memory.

    `heartbeat` seconds without a word end a connection, which is then resumed.
    """

    def __init__(
        self,
        hear: Callable[[str], None],
        admit: Callable[[bool], Awaitable[None]],
        *,
        heartbeat: float,
        limits: allowance.Allowance,
    ) -> None:
        super().__init__(
            intents=INTENTS,
            http_trace=wire.trace(limits),
            heartbeat_timeout=heartbeat,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            enable_debug_events=True,  # the raw events; the library's own need members in memory
        )
        self._hear, self._admit = hear, admit

    async def on_socket_raw_receive(self, message: str) -> None:
        """The library has received this."""
        self._hear(message)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The sign-in that follows is counted."""
        log.info("discord_signing_in", shard=shard_id)
        await self._admit(initial)

    async def on_error(self, event_method: str, /, *_: Any, **__: Any) -> None:
        """The library's hook for errors in events has been called."""
        log.exception("discord_event_failed", event=event_method)  # noqa: LOG004 - called from the library's handler


async def limit(connection: api.Api) -> signins.Limit:
    """What the gateway grants us now; the library knows where it is. Raises DiscordError."""
    about = await connection.call("GET", "/gateway/bot")
    try:
        # For a new session after a lost one, the library asks nobody but its own class.
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(about["url"])
        starts = about["session_start_limit"]
        numbers = (int(about["shards"]), int(starts["total"]), int(starts["remaining"]))
        return signins.Limit(*numbers, reset_after=starts["reset_after"] / 1000)
    except (KeyError, TypeError, ValueError) as error:
        raise wire.UnclearError(f"no gateway ({type(error).__name__})") from None


def final(error: Exception) -> errors.SignalStackError | None:
    """What an operator has to read about an end after which trying again is of no use; None for any other."""
    if isinstance(error, discord.LoginFailure):
        return errors.ConfigError(UNKNOWN_BOT)
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return errors.ConfigError(_NO_MEMBERS)
    if not isinstance(error, discord.ConnectionClosed):
        return None
    if error.code == _WRONG_TOKEN:
        return errors.ConfigError(UNKNOWN_BOT)
    if error.code in {_WRONG_INTENTS, _FORBIDDEN_INTENTS}:
        return errors.ConfigError(_NO_MEMBERS)
    return errors.UnreachableError(
        f"Discord's gateway ended our session with the code {error.code} and takes no other one like it; look for a "
        "newer version of SignalStack."
    )
