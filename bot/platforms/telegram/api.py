"""The Bot API through python-telegram-bot, as plain JSON values and with the library's errors."""

import logging
from typing import Any

import telegram
from telegram.error import TelegramError
from telegram.request import BaseRequest

from bot.platforms.telegram import wire
from core import settings

# At DEBUG the library prints every address it is given, and they contain the token.
logging.getLogger("telegram").setLevel(logging.WARNING)


class Api:
    """A bot's connection. It never prints the library's Bot, whose repr shows the token."""

    def __init__(self, conf: settings.Settings, *, total: float = 15.0, connect: float = 5.0) -> None:
        # More connections than the delivery window holds: answers to button presses never wait behind a fan-out.
        self._sender = wire.Wire(connections=conf.delivery_window + 8, total=total, connect=connect)
        self._poller = wire.Wire(connections=2, total=total, connect=connect)
        self._bot = telegram.Bot(
            conf.telegram_bot_token.get_secret_value(),
            base_url=f"{conf.telegram_api_url}/bot",
            base_file_url=f"{conf.telegram_api_url}/file/bot",
            request=self._sender,
            get_updates_request=self._poller,
        )

    @property
    def id(self) -> int:
        """The number of the bot's own account, which its token begins with."""
        return int(self._bot.token.partition(":")[0])

    async def open(self) -> None:
        """Requests can be made. Nothing is sent: the library's own `initialize` would put the token into its error."""
        await self._sender.initialize()
        await self._poller.initialize()

    async def close(self) -> None:
        """Every connection is closed."""
        await self._sender.shutdown()
        await self._poller.shutdown()

    async def call(self, method: str, parameters: dict[str, Any], *, seconds: float | None = None) -> Any:
        """The result of the method as JSON value; raises TelegramError only.

        `parameters` are JSON values and at most one file, named "photo"; `seconds` replaces the usual limit.
        """
        if not isinstance(parameters.get("photo"), telegram.InputFile):
            parameters = {wire.WHOLE: parameters}
        try:
            # The library warns about methods it has functions for; it drops the underscore after that check.
            return await self._bot.do_api_request(
                f"{method}_", parameters, read_timeout=BaseRequest.DEFAULT_NONE if seconds is None else seconds
            )
        except KeyError as error:
            raise TelegramError("Invalid server response") from error
