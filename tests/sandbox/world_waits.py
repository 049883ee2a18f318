"""People in the sandbox's world who do something on a chat and wait for what comes of it."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.sandbox import discord, discord_text, telegram, telegram_chats, world_places

Interaction = discord.Interaction
OnDiscord = discord.Message
OnTelegram = telegram.Message
Post = OnTelegram | OnDiscord


class NothingHappenedError(Exception):
    """Something that was waited for did not come; the text says what."""


class Waits:
    """What somebody does and waits for. `guard` is called again and again meanwhile; what it raises ends the waiting.

    Numbers below zero are Telegram's groups and channels, others Discord's channels where both are possible.
    """

    telegram: telegram.Telegram
    discord: discord.Discord

    def __init__(self) -> None:
        self.guard: Callable[[], object] = bool

    async def until(self, holds: Callable[[], Any], within: float, what: str) -> Any:
        """The first true value of `holds`; raises NothingHappenedError, saying `what`, when none comes in time."""
        end = time.monotonic() + within
        while not (value := holds()):
            self.guard()
            if time.monotonic() > end:
                raise NothingHappenedError(f"Waited {within:.0f} s in vain: {what}.")
            await asyncio.sleep(0.02)
        return value

    # --- messages

    async def message(self, chat: int, words: str, *, after: int = 0, within: float = 15.0) -> OnTelegram:
        """The first message of the bot in this Telegram chat, with an id above `after`, that contains these words."""

        def found() -> Any:
            return _first((message for message in self.telegram.chat(chat) if message.from_bot), words, after)

        name = self.telegram.chats[chat].person
        what = f"{name.first_name if name else chat} gets a message with “{words}”"
        sent: OnTelegram = await self.until(found, within, what)
        return sent

    async def dm(self, user: int, words: str, *, after: int = 0, within: float = 15.0) -> OnDiscord:
        """The first such message in this person's private chat on Discord."""
        what = f"{self.discord.users[user].name} gets a private message with “{words}” on Discord"
        sent: OnDiscord = await self.until(lambda: _first(self.discord.dm(user), words, after), within, what)
        return sent

    async def post(self, channel: int, words: str, *, after: int = 0, within: float = 15.0) -> Post:
        """The first such message in this group or channel."""

        def found() -> Any:
            if channel > 0:
                return _first(self.discord.messages(channel), words, after)
            chat = self.telegram.chats[channel]
            lying = (message for message in chat.messages.values() if message.from_bot or chat.kind == "channel")
            return _first(lying, words, after)

        sent: Post = await self.until(found, within, f"{self._called(channel)} gets a message with “{words}”")
        return sent

    # --- places

    def is_inside(self, place: int, user: int) -> bool:
        """Whether the person reads what is posted in this group or channel."""
        if place > 0:
            return self.discord.can_see(place, user)
        return self.telegram.chats[place].status(user, self.telegram.now()) in telegram_chats.IN_CHAT

    async def inside(self, place: int, user: int, *, within: float = 15.0) -> None:
        """The person is inside this place."""
        what = f"{self._person(place, user)} is inside {self._called(place)}"
        await self.until(lambda: self.is_inside(place, user), within, what)

    async def outside(self, place: int, user: int, *, within: float = 15.0) -> None:
        """The person is not, or no longer, inside this place."""
        what = f"{self._person(place, user)} is out of {self._called(place)}"
        await self.until(lambda: not self.is_inside(place, user), within, what)

    async def knock(self, user: int, message: OnTelegram) -> str:
        """The person has opened the invite link that is a button of this message; what came of it, see `knock` of
        the stand-in. Raises NothingHappenedError when there is none."""
        urls = (str(button.get("url", "")) for row in message.buttons for button in row)
        link = next((url for url in urls if url.startswith("https://t.me/+")), None)
        if link is None:
            raise NothingHappenedError(f"This message has no invite link:\n{message.text}")
        return await self.telegram.knock(user, link)

    # --- commands and buttons on Discord

    async def slash(
        self,
        user: int,
        words: str,
        options: Mapping[str, Any] | None = None,
        *,
        where: int | None = world_places.LOBBY,
        within: float = 15.0,
    ) -> OnDiscord:
        """The answer to this command ("signals latest"), given in this channel; None: in private."""
        await self._offered(words, where, within)
        one = await self.discord.slash(user, words, options, channel_id=where)
        return await self._answer(one, f"/{words}", within)

    async def suggest(
        self, user: int, words: str, option: str, typed: str, *, where: int | None = world_places.LOBBY
    ) -> list[str]:
        """What is suggested for this option while the person types."""
        await self._offered(words, where, 15.0)
        one = await self.discord.autocomplete(user, words, focused=option, value=typed, channel_id=where)
        await self.until(one.told.is_set, 5.0, f"suggestions for “{typed}” come")
        return [str(choice["name"]) for choice in one.choices or ()]

    async def click(self, user: int, message: OnDiscord, label: str, *, within: float = 15.0) -> OnDiscord:
        """The answer to a press of the button with this label; the message itself when that was changed."""
        button = next((one for one in message.buttons if one.get("label") == label), None)
        if button is None or "custom_id" not in button:
            known = ", ".join(f"“{one.get('label')}”" for one in message.buttons) or "none"
            raise NothingHappenedError(f"There is no button “{label}” to press (it has {known}):\n{message.text}")
        one = await self.discord.click(user, message, button["custom_id"])
        return await self._answer(one, f"“{label}”", within)

    async def choose(
        self, user: int, message: OnDiscord, custom_id: str, values: Sequence[str], *, within: float = 15.0
    ) -> OnDiscord:
        """The answer to this choice in the menu."""
        one = await self.discord.select(user, message, custom_id, values)
        return await self._answer(one, f"the choice of {', '.join(values)}", within)

    async def _offered(self, words: str, where: int | None, within: float) -> None:
        """The product is connected, and the command is offered there."""
        guild = None if where is None else self.discord.channels[where].guild_id

        def known() -> bool:
            try:
                return bool(self.discord.commands.find(guild, words))
            except ValueError:
                return False

        await self.until(lambda: self.discord.gateway.live, within, "the product is connected to Discord")
        await self.until(known, within, f"Discord offers /{words}")

    async def _answer(self, one: Interaction, what: str, within: float) -> OnDiscord:
        await self.until(one.told.is_set, within, f"{one.user.name} gets an answer to {what} on Discord")
        answer = one.messages[-1] if one.messages else one.response
        if answer is None:
            raise NothingHappenedError(f"{one.user.name} got no message as an answer to {what} on Discord.")
        return answer

    # --- names

    def _called(self, channel: int) -> str:
        if channel > 0:
            return f"#{self.discord.channels[channel].name} on Discord"
        return self.telegram.chats[channel].title

    def _person(self, place: int, user: int) -> str:
        return self.discord.users[user].name if place > 0 else self.telegram.people[user].first_name


def read(message: Post) -> str:
    """What a person reads in the message."""
    return message.text if isinstance(message, OnTelegram) else discord_text.plain(message.text)


def _first(lying: Iterable[Any], words: str, after: int) -> Any:
    whole = (message for message in lying if not message.deleted and not getattr(message, "loading", False))
    return next((message for message in whole if message.id > after and words in read(message)), None)
