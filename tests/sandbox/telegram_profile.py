"""Bot API methods about the bot itself and about the chats it sees."""

import re
from typing import Any

import orjson

from tests.sandbox import telegram_call, telegram_chats, telegram_messages, telegram_world

Json = telegram_chats.Json
Call = telegram_call.Call
World = telegram_world.World

SCOPES = {
    "default": (), "all_private_chats": (), "all_group_chats": (), "all_chat_administrators": (),
    "chat": ("chat_id",), "chat_administrators": ("chat_id",), "chat_member": ("chat_id", "user_id"),
}  # fmt: skip


class Profile:
    """What the bot has said of itself: menus by (scope, language), descriptions by language, menu buttons by chat."""

    def __init__(self) -> None:
        self.commands: dict[tuple[str, str], list[Json]] = {}
        self.descriptions: dict[str, str] = {}
        self.short_descriptions: dict[str, str] = {}
        self.menu_buttons: dict[int | None, Json] = {}

    def set_commands(self, world: World, call: Call) -> bool:
        given = call.decoded("commands")
        if not isinstance(given, list):
            raise telegram_call.bad("can't parse list of bot commands JSON object")
        if len(given) > 100:
            raise telegram_call.bad("BOT_COMMANDS_TOO_MUCH")
        self.commands[_menu(world, call)] = [_command(entry) for entry in given]
        return True

    def get_commands(self, world: World, call: Call) -> list[Json]:
        return self.commands.get(_menu(world, call), [])

    def delete_commands(self, world: World, call: Call) -> bool:
        self.commands.pop(_menu(world, call), None)
        return True

    def set_description(self, world: World, call: Call) -> bool:
        return _describe(self.descriptions, call, "description", 512)

    def set_short_description(self, world: World, call: Call) -> bool:
        return _describe(self.short_descriptions, call, "short_description", 120)

    def set_menu_button(self, world: World, call: Call) -> bool:
        button = call.decoded("menu_button") or {"type": "default"}
        if not isinstance(button, dict) or button.get("type") not in {"default", "commands", "web_app"}:
            raise telegram_call.bad("can't parse MenuButton: Unsupported type specified")
        chat = telegram_messages.find_chat(world, call) if "chat_id" in call.params else None
        self.menu_buttons[chat.id if chat else None] = button
        return True


def get_me(world: World, call: Call) -> Json:
    rights = {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}
    more = {"can_connect_to_business": False, "has_main_web_app": False, "has_topics_enabled": False}
    return {**world.bot, **rights, **more}


def get_chat(world: World, call: Call) -> Json:
    """A ChatFullInfo. A person who never wrote to the bot is unknown to it."""
    chat = telegram_messages.find_chat(world, call)
    if chat.person and not (chat.person.started or chat.person.blocked):
        raise telegram_call.bad("chat not found")
    if not chat.username:
        _check_inside(chat)
    gifts = dict.fromkeys(
        ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), True
    )
    names = {"active_usernames": [chat.username]} if chat.username else {}
    return {**chat.json(), **names, "accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": gifts}


def get_chat_member(world: World, call: Call) -> Json:
    chat, user_id = telegram_messages.find_chat(world, call), call.integer("user_id")
    _check_inside(chat)
    if user_id == world.bot["id"]:
        return telegram_chats.member_json(chat, world.bot, "member" if chat.person else chat.bot_status)
    person = world.people.get(user_id or 0)
    if person is None:
        raise telegram_call.bad("PARTICIPANT_ID_INVALID" if user_id else "invalid user_id specified")
    status = "member" if chat.person is person else chat.status(person.id, world.now())
    return telegram_chats.member_json(chat, person.json(), status)


def get_chat_administrators(world: World, call: Call) -> list[Json]:
    """The people; of the bots, Telegram lists the asking one only."""
    chat = telegram_messages.find_chat(world, call)
    if chat.person:
        raise telegram_call.bad("there are no administrators in the private chat")
    _check_inside(chat)
    found = [
        telegram_chats.member_json(chat, world.people[user_id].json(), status)
        for user_id, status in chat.members.items()
        if status in {"creator", "administrator"}
    ]
    if chat.bot_status == "administrator":
        found.append(telegram_chats.member_json(chat, world.bot, chat.bot_status))
    return found


def leave_chat(world: World, call: Call) -> bool:
    chat = telegram_messages.find_chat(world, call)
    if chat.person:
        raise telegram_call.bad("chat member status can't be changed in private chats")
    _check_inside(chat)
    world.set_bot(chat.id, "left")
    return True


def get_file(world: World, call: Call) -> Json:
    try:
        photo = world.photos.known(call.text("file_id"))
    except telegram_call.Refused:
        raise telegram_call.bad("wrong file_id or the file is temporarily unavailable") from None
    size = {"file_size": len(photo.content), "file_path": photo.path}
    return {"file_id": photo.file_id, "file_unique_id": photo.unique_id, **size}


def _check_inside(chat: telegram_chats.Chat) -> None:
    if chat.person or chat.bot_status in telegram_chats.IN_CHAT:
        return
    how = "was kicked from" if chat.bot_status == "kicked" else "is not a member of"
    raise telegram_call.Refused(403, f"Forbidden: bot {how} the {chat.kind} chat")


def _menu(world: World, call: Call) -> tuple[str, str]:
    scope = call.decoded("scope") or {"type": "default"}
    if not isinstance(scope, dict) or scope.get("type") not in SCOPES:
        raise telegram_call.bad("can't parse BotCommandScope: Unsupported type specified")
    if any(name not in scope for name in SCOPES[scope["type"]]):
        raise telegram_call.bad("can't parse BotCommandScope: chat not found")
    if "chat_id" in scope:
        telegram_messages.find_chat(world, Call(call.method, {"chat_id": scope["chat_id"]}))
    language = call.text("language_code")
    if language and not re.fullmatch(r"[a-z]{2}", language):
        raise telegram_call.bad("invalid language_code specified")
    return orjson.dumps(scope, option=orjson.OPT_SORT_KEYS).decode(), language


def _command(entry: Any) -> Json:
    if not isinstance(entry, dict):
        raise telegram_call.bad("can't parse BotCommand: expected an Object")
    name, description = str(entry.get("command", "")).removeprefix("/"), str(entry.get("description", ""))
    if not re.fullmatch(r"[a-z0-9_]{1,32}", name):
        raise telegram_call.bad("BOT_COMMAND_INVALID")
    if not 1 <= len(description) <= 256:
        raise telegram_call.bad("BOT_COMMAND_DESCRIPTION_INVALID")
    return {"command": name, "description": description}


def _describe(kept: dict[str, str], call: Call, name: str, longest: int) -> bool:
    text = call.text(name)
    if len(text) > longest:
        raise telegram_call.bad("DESCRIPTION_TOO_LONG" if longest > 120 else "ABOUT_TOO_LONG")
    kept[call.text("language_code")] = text
    return True
