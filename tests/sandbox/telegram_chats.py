"""People, chats and messages of the Telegram stand-in, and how the Bot API writes them down."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

IN_CHAT = frozenset({"creator", "administrator", "member", "restricted"})
BOT_RIGHTS = (
    "can_manage_chat", "can_delete_messages", "can_manage_video_chats", "can_restrict_members", "can_promote_members",
    "can_change_info", "can_invite_users", "can_post_stories", "can_edit_stories", "can_delete_stories",
    "can_pin_messages", "can_post_messages", "can_edit_messages",
)  # fmt: skip
RESTRICTIONS = (
    "can_send_messages", "can_send_audios", "can_send_documents", "can_send_photos", "can_send_videos",
    "can_send_video_notes", "can_send_voice_notes", "can_send_polls", "can_send_other_messages",
    "can_add_web_page_previews", "can_react_to_messages", "can_edit_tag", "can_change_info", "can_invite_users",
    "can_pin_messages", "can_manage_topics",
)  # fmt: skip


@dataclass(slots=True)
class Person:
    """Somebody with a Telegram account. `started`: has written to the bot once; `blocked`: stopped it afterwards.

    With `is_bot` it is no person but another bot, which sits in groups like one.
    """

    id: int
    first_name: str
    username: str | None = None
    language_code: str = "en"
    started: bool = False
    blocked: bool = False
    is_bot: bool = False

    def json(self) -> Json:
        user: Json = {
            "id": self.id,
            "is_bot": self.is_bot,
            "first_name": self.first_name,
            "language_code": self.language_code,
        }
        return {**user, "username": self.username} if self.username else user


@dataclass(slots=True)
class Message:
    """What lies in a chat. `sender` is the user (the bot's `is_bot` is true), None for a post of the channel itself."""

    id: int
    chat: "Chat"
    sender: Json | None
    date: int
    text: str = ""
    entities: list[Json] = field(default_factory=list)
    photo: str | None = None
    """The file_id of the picture; `text` is its caption then."""
    photo_sizes: list[Json] = field(default_factory=list)
    reply_to: "Message | None" = None
    markup: Json | None = None
    options: Json = field(default_factory=dict)
    """What was asked for besides: protect_content, disable_notification, link_preview_options and the like."""
    edited: int | None = None
    deleted: bool = False
    service: Json = field(default_factory=dict)

    @property
    def from_bot(self) -> bool:
        return bool(self.sender and self.sender["is_bot"])

    @property
    def buttons(self) -> list[list[Json]]:
        """The rows of the inline keyboard."""
        return self.markup.get("inline_keyboard", []) if self.markup else []

    @property
    def button_texts(self) -> list[str]:
        return [button["text"] for row in self.buttons for button in row]

    def json(self, *, with_reply: bool = True) -> Json:
        """The Bot API's Message."""
        body: Json = {"message_id": self.id, "chat": self.chat.json(), "date": self.date, **self.service}
        if self.sender:
            body["from"] = self.sender
        if self.chat.kind == "channel":
            body["sender_chat"] = self.chat.json()
        if self.photo:
            body["photo"] = self.photo_sizes
        if self.text:
            body["caption" if self.photo else "text"] = self.text
        if self.entities:
            body["caption_entities" if self.photo else "entities"] = self.entities
        if self.buttons:
            body["reply_markup"] = self.markup
        if self.reply_to and with_reply:
            body["reply_to_message"] = self.reply_to.json(with_reply=False)
        if self.edited:
            body["edit_date"] = self.edited
        return self._with_options(body)

    def _with_options(self, body: Json) -> Json:
        if self.options.get("protect_content"):
            body["has_protected_content"] = True
        if self.options.get("link_preview_options"):
            body["link_preview_options"] = self.options["link_preview_options"]
        return body


@dataclass(slots=True)
class InviteLink:
    """A way into a chat. `asks`: the administrators decide on each request."""

    link: str
    name: str | None = None
    expires: int | None = None
    member_limit: int | None = None
    asks: bool = False
    revoked: bool = False
    joined: int = 0

    def json(self, creator: Json) -> Json:
        body: Json = {"invite_link": self.link, "creator": creator, "creates_join_request": self.asks}
        body |= {"is_primary": False, "is_revoked": self.revoked}
        extra = {"name": self.name, "expire_date": self.expires, "member_limit": self.member_limit}
        return body | {key: value for key, value in extra.items() if value is not None}


@dataclass(slots=True)
class Chat:
    """A private chat (its id is the person's) or a group, supergroup or channel (its id is negative)."""

    id: int
    kind: str
    title: str = ""
    username: str | None = None
    person: Person | None = None
    members: dict[int, str] = field(default_factory=dict)
    """Status by user id, of people; the bot's own status is `bot_status`."""
    bot_status: str = "administrator"
    bot_rights: set[str] = field(default_factory=lambda: set(BOT_RIGHTS))
    migrated_to: int | None = None
    messages: dict[int, Message] = field(default_factory=dict)
    links: dict[str, InviteLink] = field(default_factory=dict)
    requests: dict[int, tuple[float, InviteLink]] = field(default_factory=dict)
    """Who asks to join: since when (epoch seconds), through which link."""
    bans: dict[int, int | None] = field(default_factory=dict)
    """Until when (epoch seconds) a person is kept out; None: for ever."""
    next_id: int = 1
    version: int = 0
    _brief: Json | None = None
    _watchers: list[asyncio.Future[int]] = field(default_factory=list)

    def status(self, user_id: int, now: float) -> str:
        """What the person is in the place at this moment (epoch seconds): a ban with an end is over after it."""
        status, until = self.members.get(user_id, "left"), self.bans.get(user_id)
        return "left" if status == "kicked" and until is not None and now >= until else status

    def json(self) -> Json:
        """The Bot API's Chat."""
        if self._brief is None:
            self._brief = {"id": self.id, "type": self.kind}
            if self.person:
                self._brief["first_name"] = self.person.first_name
            else:
                self._brief["title"] = self.title
            if name := self.person.username if self.person else self.username:
                self._brief["username"] = name
        return self._brief

    def changed(self) -> None:
        """Whoever watches the chat knows that something in it is new."""
        self.version += 1
        waiting, self._watchers = self._watchers, []
        for future in waiting:
            if not future.done():
                future.set_result(self.version)

    async def change(self, after: int) -> int:
        """The version of the chat, once it is above `after`."""
        if self.version > after:
            return self.version
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watchers.append(future)
        try:
            return await future
        finally:
            if future in self._watchers:
                self._watchers.remove(future)


def member_json(chat: Chat, user: Json, status: str) -> Json:
    """The Bot API's ChatMember of this status."""
    body: Json = {"status": status, "user": user}
    if status == "creator":
        return body | {"is_anonymous": False}
    if status == "administrator":
        rights = chat.bot_rights if user["is_bot"] else set(BOT_RIGHTS)
        return body | {"can_be_edited": False, "is_anonymous": False} | {name: name in rights for name in BOT_RIGHTS}
    if status == "kicked":
        return body | {"until_date": chat.bans.get(user["id"]) or 0}
    if status == "restricted":
        return body | {"is_member": True, "until_date": 0} | dict.fromkeys(RESTRICTIONS, False)
    return body
