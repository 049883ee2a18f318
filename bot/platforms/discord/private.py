"""Private chats: where they are, and how many messages an hour they may get from this process.

Discord puts bots into quarantine that write to many people unasked; places are the way for signals, and private chats
for what people asked for.
"""

import time
from collections import deque
from collections.abc import Callable

from bot.platforms.discord import api, wire

_HOUR = 3600.0
_AGAIN = 60.0
HELD = 600.0
"""Seconds without private messages after Discord found that we open too many chats."""


class PrivateChats:
    """The private chats of one bot; `clock` returns monotonic seconds."""

    def __init__(self, connection: api.Api, per_hour: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._per_hour, self._clock = connection, per_hour, clock
        self._channels: dict[str, str] = {}
        self._sent: deque[float] = deque(maxlen=per_hour)
        self._held = 0.0

    async def channel(self, user: str, seconds: float) -> str:
        """The number of the channel to this person; raises DiscordError."""
        if user not in self._channels:
            opened = await self._api.call("POST", "/users/@me/channels", json={"recipient_id": user}, seconds=seconds)
            try:
                self._channels[user] = str(opened["id"])
            except (KeyError, TypeError):
                raise wire.NotBegunError("Discord opened no private chat") from None
        return self._channels[user]

    def forget(self, user: str) -> None:
        """The channel to this person will be asked for again."""
        self._channels.pop(user, None)

    def check(self) -> None:
        """One more private message may be sent; raises NotBegunError when this hour's are used up."""
        now = self._clock()
        if self._held > now:
            raise wire.NotBegunError("Discord wants fewer private chats", self._held - now)
        if len(self._sent) == self._per_hour and self._sent[0] > now - _HOUR:
            raise wire.NotBegunError("this hour's private messages are used up", _AGAIN)

    def counted(self) -> None:
        """One more private message was sent."""
        self._sent.append(self._clock())

    def hold(self) -> None:
        """For a while no private message is sent."""
        self._held = self._clock() + HELD
