"""Discord: the only room that speaks with discord.py."""

from typing import TYPE_CHECKING

from core import settings, stack

if TYPE_CHECKING:
    from bot.platforms.discord.platform import Discord

NAME = "discord"


def enabled(conf: settings.Settings) -> bool:
    """Whether a bot token is configured."""
    return conf.discord


def build(opened: stack.Stack) -> "Discord":
    """A connection for the configured bot, not yet started."""
    from bot.platforms.discord.platform import Discord  # noqa: PLC0415 - the library is slow to import

    return Discord(opened)
