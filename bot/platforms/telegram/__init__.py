"""Telegram: the only room that speaks with python-telegram-bot."""

from typing import TYPE_CHECKING

from core import settings, stack

if TYPE_CHECKING:
    from bot.platforms.telegram.platform import Telegram

NAME = "telegram"


def enabled(conf: settings.Settings) -> bool:
    """Whether a bot token is configured."""
    return conf.telegram


def build(opened: stack.Stack) -> "Telegram":
    """A connection for the configured bot, not yet started."""
    from bot.platforms.telegram.platform import Telegram  # noqa: PLC0415 - the library is slow to import

    return Telegram(opened)
