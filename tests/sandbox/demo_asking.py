"""How the demonstration's story asks, presses and waits."""

from collections.abc import Callable
from contextlib import suppress

from tests.sandbox import checker, checker_reading, discord, product, telegram
from tests.sandbox.world import MEMBER, VIP, NothingHappenedError, World

SOON = 15.0
"""Seconds within which an answer must have come; it usually takes a fraction of one."""
SETTLE = 0.7
"""Seconds after a candle's close in which whatever it led to arrives."""

Reading = Callable[[list[checker_reading.Row]], list[checker.Copy]]


class MissingError(Exception):
    """Something on the way was not as it must be."""


class Teller:
    """Who tells the story: the world, the product in it, and what was seen so far."""

    def __init__(self, world: World, shop: product.Product, say: Callable[[str], None]) -> None:
        self._world, self._shop, self._say = world, shop, say
        self._telegram = world.telegram
        self._opening: telegram.Message | None = None
        self._posted: discord.Message | None = None
        self._invitation: telegram.Message | None = None
        self._linked: checker.Linked | None = None
        self._signal = 0
        self._handed = ""

    async def _ask(self, user: int, command: str, words: str) -> telegram.Message:
        """The answer to this command; it must contain the words."""
        said = await self._telegram.say(user, command)
        return await self._world.message(user, words, after=said["message"]["message_id"], within=SOON)

    async def _press(self, message: telegram.Message, label: str) -> None:
        """Maya has pressed this button under a message of the bot."""
        buttons = [button for row in message.buttons for button in row]
        data = next((str(one["callback_data"]) for one in buttons if one["text"] == label), "")
        if not data:
            raise MissingError(f"There is no button “{label}”:\n{message.text}")
        await self._telegram.press(MEMBER, MEMBER, message.id, data)

    async def _candles_until(self, reading: Reading, most: int) -> tuple[int, int, telegram.Message]:
        """Candles closed until such a post lay in the Telegram channel: how many, the signal's number, the post."""

        def found() -> list[checker.Copy]:
            copies = reading(self._world.history.of("telegram_message", chat_id=VIP))
            return [copy for copy in copies if self._signal in {0, copy.signal}]

        for count in range(1, most + 1):
            await self._world.next_candle()
            with suppress(NothingHappenedError):
                await self._world.until(found, SETTLE, "")
                copy = found()[0]
                return count, copy.signal, self._telegram.chats[VIP].messages[copy.message]
        raise MissingError(f"Nothing came within {most} candles.")


def link(message: telegram.Message) -> str:
    found = [str(button["url"]) for row in message.buttons for button in row if "url" in button]
    if not found:
        raise MissingError(f"The answer has no link:\n{message.text}")
    return found[0]
