"""What Telegram shows of the bot: its menus of commands, and the words under its name."""

import structlog
from telegram import error as failures

from bot import commands, messages
from bot.platforms.telegram import api, updates
from core import catalogue, settings

log = structlog.get_logger()


async def describe(bot: api.Api, book: catalogue.Catalogue) -> None:
    """The menu of each public scope and the words under the bot's name are those of this version.

    Raises TelegramError.
    """
    private, group = _rows(group=False, operator=False), _rows(group=True, operator=False)
    for scope, menu in (("default", private), ("all_private_chats", private), ("all_group_chats", group)):
        await bot.call("setMyCommands", {"commands": menu, "scope": {"type": scope}})
    await _introduce(bot, book)


def operators(conf: settings.Settings) -> set[str]:
    """The operators' accounts on Telegram."""
    return {number for platform, number in conf.admin_ids if platform == updates.PLATFORM}


async def for_operator(bot: api.Api, number: str) -> bool:
    """Whether this operator's own chat has the operators' menu; who never wrote to the bot has no chat yet."""
    scope = {"type": "chat", "chat_id": int(number)}
    try:
        await bot.call("setMyCommands", {"commands": _rows(group=False, operator=True), "scope": scope})
    except failures.TelegramError as error:
        log.info("telegram_operator_without_menu", operator=number, error=type(error).__name__)
        return False
    return True


def _rows(*, group: bool, operator: bool) -> list[dict[str, str]]:
    shown = commands.menu(group=group, operator=operator)
    return [{"command": row.name, "description": row.description} for row in shown]


async def _introduce(bot: api.Api, book: catalogue.Catalogue) -> None:
    service = book.service
    words = messages.text.shortened(f"{service.name}: signals with entry, target and stop loss. {service.risk}", 120)
    await bot.call("setMyShortDescription", {"short_description": words})
    markets = ", ".join(sorted({watch.symbol for watch in book.watches}))
    about = (
        f"{service.name} watches {markets} and sends each signal with its reason and chart, and afterwards how it "
        f"ended, losses included. {service.risk}"
    )
    await bot.call("setMyDescription", {"description": messages.text.shortened(about, 512)})
