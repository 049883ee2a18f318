"""Whether a message of ours lies in a channel already, for when Discord no longer knows its nonce."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import discord.utils

from bot.platforms.discord import api, rights, wire
from core import errors

Json = dict[str, Any]

WINDOW = timedelta(seconds=120)
"""For so long a resend under its nonce is safe; Discord remembers nonces for a few minutes."""
_EARLIER = timedelta(seconds=5)  # our clock and Discord's may differ
_PAGE, _MOST_PAGES = 100, 20


class UnreadableError(Exception):
    """We may not read what lies in the channel."""


async def message(connection: api.Api, channel: str, sought: Json, since: datetime, *, private: bool) -> str | None:
    """The number of our message with these words that came after `since`, None when there is none.

    Raises UnreadableError when nobody can tell, DiscordError when Discord does not answer.
    """
    after = str(discord.utils.time_snowflake(since - _EARLIER))
    lying = 0
    for _ in range(_MOST_PAGES):
        asked = {"after": after, "limit": _PAGE}
        page = await connection.call("GET", "/channels/{channel_id}/messages", {"channel_id": channel}, params=asked)
        lying += len(page)
        for one in page:
            if one["author"]["id"] == connection.me and _words(one) == _words(sought):
                return str(one["id"])
        if len(page) < _PAGE:
            break
        after = max((one["id"] for one in page), key=int)
    # Discord shows an empty channel to whoever may not read its history.
    if not lying and not private and not await _readable(connection, channel):
        raise UnreadableError
    return None


def _words(said: Json) -> Sequence[tuple[str, ...]]:
    """What stands in the message; embeds that Discord makes of links are none of ours."""
    own = [one for one in said.get("embeds") or () if one.get("type", "rich") == "rich"]
    shown = [(str(one.get("title", "")).strip(), str(one.get("description", "")).strip()) for one in own]
    return [(str(said.get("content") or "").strip(),), *shown]


async def _readable(connection: api.Api, channel: str) -> bool:
    try:
        known = await connection.call("GET", "/channels/{channel_id}", {"channel_id": channel})
        house = await rights.house(connection, str(known["guild_id"]))
    except errors.UnreachableError as error:
        raise wire.UnclearError(str(error)) from None
    return rights.in_channel(house.guild, known, house.me).read_message_history
