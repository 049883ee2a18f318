"""Bot API methods that put messages into chats, change them and take them away."""

from typing import Any

from tests.sandbox import (
    telegram_call,
    telegram_chats,
    telegram_faults,
    telegram_keyboard,
    telegram_limits,
    telegram_text,
    telegram_world,
)

Json = telegram_chats.Json
Call = telegram_call.Call
Chat = telegram_chats.Chat
Message = telegram_chats.Message
World = telegram_world.World

TEXT_UNITS = 4096
CAPTION_UNITS = 1024
DELETABLE = 48 * 3600
JOIN_REQUEST_WINDOW = 300.0
REMEMBERED = (
    "disable_notification", "protect_content", "link_preview_options", "allow_paid_broadcast", "message_effect_id",
    "has_spoiler", "show_caption_above_media",
)  # fmt: skip
ACTIONS = frozenset({
    "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
    "choose_sticker", "find_location", "record_video_note", "upload_video_note",
})  # fmt: skip
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)


def find_chat(world: World, call: Call) -> Chat:
    """The chat the call names by id or @username. Refused when it is unknown or has moved."""
    given = call.params.get("chat_id")
    if given in (None, ""):
        raise telegram_call.bad("chat_id is empty")
    if isinstance(given, str) and given.startswith("@"):
        name = given[1:].lower()
        chat = next((chat for chat in world.chats.values() if (chat.username or "").lower() == name), None)
    else:
        number = call.chat_id
        chat = None if number is None else world.chats.get(number)
    if chat is None:
        raise telegram_call.bad("chat not found")
    if chat.migrated_to:
        raise telegram_faults.migrated(chat.migrated_to)
    return chat


def open_chat(world: World, call: Call) -> Chat:
    """The chat the call names, in which the bot may write. Refused otherwise."""
    chat = find_chat(world, call)
    if chat.person:
        if chat.person.blocked:
            raise telegram_call.Refused(403, "Forbidden: bot was blocked by the user")
        if not chat.person.started and not _just_asked_to_join(world, chat.person.id):
            raise telegram_call.Refused(403, "Forbidden: bot can't initiate conversation with a user")
        return chat
    if chat.bot_status == "kicked":
        raise telegram_call.Refused(403, f"Forbidden: bot was kicked from the {_kind(chat)} chat")
    if chat.bot_status not in telegram_chats.IN_CHAT:
        raise telegram_call.Refused(403, f"Forbidden: bot is not a member of the {_kind(chat)} chat")
    if chat.kind == "channel" and not (chat.bot_status == "administrator" and "can_post_messages" in chat.bot_rights):
        raise telegram_call.bad("need administrator rights in the channel chat")
    return chat


def send_message(world: World, call: Call) -> Json:
    text, entities = telegram_text.formatted(call.text("text"), call.text("parse_mode"), call.decoded("entities"))
    _check_text(text)
    message = _prepared(world, call, open_chat(world, call))
    message.text, message.entities = text, entities
    return _lay(world, call, message)


def send_photo(world: World, call: Call) -> Json:
    caption, entities = _caption(call)
    chat = open_chat(world, call)
    photo = _photo(world, call, call.text("photo"), "photo")
    message = _prepared(world, call, chat)
    message.text, message.entities, message.photo, message.photo_sizes = caption, entities, photo.file_id, photo.sizes()
    return _lay(world, call, message)


def send_chat_action(world: World, call: Call) -> bool:
    if call.text("action") not in ACTIONS:
        raise telegram_call.bad("wrong parameter action in request")
    open_chat(world, call)
    return True


def edit_message_text(world: World, call: Call) -> Json:
    text, entities = telegram_text.formatted(call.text("text"), call.text("parse_mode"), call.decoded("entities"))
    message = _editable(world, call)
    if message.photo:
        raise telegram_call.bad("there is no text in the message to edit")
    _check_text(text)
    return _edit(world, call, message, text=text, entities=entities)


def edit_message_caption(world: World, call: Call) -> Json:
    caption, entities = _caption(call)
    message = _editable(world, call)
    if not message.photo:
        raise telegram_call.bad("there is no caption in the message to edit")
    return _edit(world, call, message, text=caption, entities=entities)


def edit_message_reply_markup(world: World, call: Call) -> Json:
    return _edit(world, call, _editable(world, call))


def edit_message_media(world: World, call: Call) -> Json:
    """Text becomes a photo, or a photo another one; photos are the only media this stand-in knows."""
    media = call.decoded("media")
    if not isinstance(media, dict) or media.get("type") != "photo":
        raise telegram_call.bad("can't parse InputMedia: only photos are known here")
    message = _editable(world, call)
    photo = _photo(world, call, str(media.get("media", "")), "media")
    mode, given = str(media.get("parse_mode") or ""), media.get("caption_entities")
    caption, entities = telegram_text.formatted(str(media.get("caption") or ""), mode, given)
    _check_caption(caption)
    shown = {"photo": photo.file_id, "photo_sizes": photo.sizes()}
    return _edit(world, call, message, text=caption, entities=entities, **shown)


def delete_message(world: World, call: Call) -> bool:
    chat = find_chat(world, call)
    message = chat.messages.get(_message_id(call))
    if message is None or message.deleted:
        raise telegram_call.bad("message to delete not found")
    may_delete = chat.person or message.from_bot or chat.kind == "channel" or "can_delete_messages" in chat.bot_rights
    if not may_delete or (chat.person and message.date < world.now() - DELETABLE):
        raise telegram_call.bad("message can't be deleted for everyone")
    message.deleted = True
    world.history.add("telegram_delete", chat_id=chat.id, message_id=message.id)
    chat.changed()
    return True


def answer_callback_query(world: World, call: Call) -> bool:
    """A press is answered once, and within `query_lifetime`."""
    query_id, text = call.text("callback_query_id"), call.text("text")
    if telegram_text.units(text) > 200:
        raise telegram_call.bad("MESSAGE_TOO_LONG")
    pressed = world.queries.pop(query_id, None)
    if pressed is None or world.now() - pressed > world.query_lifetime:
        raise telegram_call.bad("query is too old and response timeout expired or query ID is invalid")
    world.history.add("telegram_callback_answered", id=query_id, text=text)
    return True


def _kind(chat: Chat) -> str:
    return chat.kind


def _just_asked_to_join(world: World, user_id: int) -> bool:
    """Whoever asks to join a place can be written to for five minutes, without ever having started the bot."""
    since = world.now() - JOIN_REQUEST_WINDOW
    return any(user_id in chat.requests and chat.requests[user_id][0] >= since for chat in world.chats.values())


def _check_text(text: str) -> None:
    if not text:
        raise telegram_call.bad("message text is empty")
    if len(text) > TEXT_UNITS // 2 and telegram_text.units(text) > TEXT_UNITS:
        raise telegram_call.bad("message is too long")


def _check_caption(caption: str) -> None:
    if telegram_text.units(caption) > CAPTION_UNITS:
        raise telegram_call.bad("message caption is too long")


def _caption(call: Call) -> tuple[str, list[Json]]:
    mode, given = call.text("parse_mode"), call.decoded("caption_entities")
    caption, entities = telegram_text.formatted(call.text("caption"), mode, given)
    _check_caption(caption)
    return caption, entities


def _photo(world: World, call: Call, given: str, part: str) -> Any:
    """The picture: uploaded under its own name, as `attach://NAME`, or an earlier one by its file_id."""
    name = given.removeprefix("attach://") if given.startswith("attach://") else part
    if name in call.files:
        return world.photos.upload(call.files[name])
    if not given or given.startswith("attach://"):
        raise telegram_call.bad("there is no photo in the request")
    return world.photos.known(given)


def _message_id(call: Call) -> int:
    number = call.integer("message_id")
    if number is None:
        raise telegram_call.bad("message identifier is not specified")
    return number


def _prepared(world: World, call: Call, chat: Chat) -> Message:
    """A message with everything but its content, counted by the limits. Refused with 400 or 429."""
    markup = telegram_keyboard.checked(call.decoded("reply_markup"))
    reply_to = _replied(chat, call)
    options = {name: call.decoded(name) for name in REMEMBERED if name in call.params}
    excess = world.limiter.take(chat.id)
    if excess:
        raise too_many(excess)
    message = world.new_message(chat)
    message.markup, message.reply_to, message.options = markup, reply_to, options
    return message


def too_many(excess: telegram_limits.Excess) -> telegram_call.Refused:
    """The refusal of a message over a limit."""
    wait = excess.retry_after
    return telegram_call.Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)


def _replied(chat: Chat, call: Call) -> Message | None:
    parameters = call.decoded("reply_parameters")
    if parameters:
        number, lenient = parameters.get("message_id"), parameters.get("allow_sending_without_reply")
    else:
        number, lenient = call.integer("reply_to_message_id"), call.flag("allow_sending_without_reply")
    if not number:
        return None
    message = chat.messages.get(int(number))
    if message and not message.deleted:
        return message
    if lenient:
        return None
    raise telegram_call.bad("message to be replied not found")


def _lay(world: World, call: Call, message: Message) -> Json:
    world.lay(message)
    fields = {"user_agent": call.user_agent} if call.user_agent else {}
    world.history.add(
        "telegram_message",
        chat_id=message.chat.id,
        message_id=message.id,
        text=message.text,
        has_photo=message.photo is not None,
        reply_to=message.reply_to.id if message.reply_to else None,
        buttons=message.button_texts,
        **fields,
    )
    return message.json()


def _editable(world: World, call: Call) -> Message:
    message = open_chat(world, call).messages.get(_message_id(call))
    if message is None or message.deleted:
        raise telegram_call.bad("message to edit not found")
    if not message.from_bot and message.chat.kind != "channel":
        raise telegram_call.bad("message can't be edited")
    return message


def _edit(world: World, call: Call, message: Message, **content: Any) -> Json:
    """The message shows the new content. Without a `reply_markup` an edit takes the buttons away, as on Telegram."""
    content["markup"] = telegram_keyboard.checked(call.decoded("reply_markup"))
    if all(getattr(message, name) == value for name, value in content.items()):
        raise telegram_call.bad(NOT_MODIFIED)
    for name, value in content.items():
        setattr(message, name, value)
    message.edited = int(world.now())
    message.chat.changed()
    fields = {"text": message.text, "has_photo": message.photo is not None, "buttons": message.button_texts}
    world.history.add("telegram_edit", chat_id=message.chat.id, message_id=message.id, **fields)
    return message.json()
