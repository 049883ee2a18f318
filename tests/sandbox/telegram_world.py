"""The people's side of the Telegram stand-in: who is there, what they say and press, what lies in their chats."""

import re
import time
from collections.abc import Callable, Iterable
from typing import Literal

from tests.sandbox import (
    history,
    telegram_chats,
    telegram_limits,
    telegram_photos,
    telegram_text,
    telegram_updates,
)

Json = telegram_chats.Json
Chat = telegram_chats.Chat
Message = telegram_chats.Message
Person = telegram_chats.Person

PAYLOAD = re.compile(r"[A-Za-z0-9_-]{0,64}")
ANONYMOUS: Json = {"id": 1_087_968_824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
"""Who seems to speak when an administrator speaks as the group."""


class World:
    """Everything that is true on Telegram's side. `now` returns epoch seconds."""

    def __init__(
        self,
        account: history.History,
        *,
        token: str,
        username: str,
        limits: telegram_limits.Limits | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.history = account
        self.token = token
        self.now = now
        self.bot: Json = {"id": int(token.partition(":")[0]), "is_bot": True}
        self.bot |= {"first_name": "SignalStack", "username": username}
        self.limiter = telegram_limits.Limiter(limits or telegram_limits.Limits())
        self.updates = telegram_updates.Updates(account, now)
        self.photos = telegram_photos.Photos()
        self.people: dict[int, Person] = {}
        self.chats: dict[int, Chat] = {}
        self.query_lifetime = 30.0
        """Seconds within which a button press can be answered."""
        self.queries: dict[str, float] = {}
        self._next_message = 1
        self._next_query = 4_000_000_000_000_000_001

    def person(
        self,
        user_id: int,
        first_name: str,
        username: str | None = None,
        language_code: str = "en",
        *,
        started: bool = False,
    ) -> Person:
        """The person exists, with an empty private chat; `started`: as if they had pressed Start long ago."""
        person = Person(user_id, first_name, username, language_code, started)
        self.people[user_id] = person
        self.chats[user_id] = Chat(user_id, "private", person=person)
        return person

    def group(
        self,
        chat_id: int,
        title: str,
        kind: Literal["group", "supergroup", "channel"] = "supergroup",
        *,
        members: Iterable[int] = (),
        username: str | None = None,
    ) -> Chat:
        """The place exists, the bot is its administrator and these people are members. `chat_id` is negative."""
        if chat_id >= 0:
            raise ValueError("the id of a group is negative")
        chat = Chat(chat_id, kind, title, username, members=dict.fromkeys(members, "member"))
        self.chats[chat_id] = chat
        return chat

    def chat(self, chat_id: int) -> list[Message]:
        """Everything that was ever in the chat, oldest first; deleted messages carry their mark."""
        return list(self.chats[chat_id].messages.values())

    def photo(self, file_id: str) -> bytes:
        """The content of the picture."""
        return self.photos.known(file_id).content

    async def watch(self, chat_id: int, after: int = 0) -> int:
        """The version of the chat, as soon as it is above `after`: every message, edit and deletion adds one."""
        return await self.chats[chat_id].change(after)

    async def say(
        self,
        user_id: int,
        text: str,
        *,
        chat_id: int | None = None,
        reply_to: int | None = None,
        anonymous: bool = False,
        forwarded: bool = False,
    ) -> Json:
        """The person's words lie in the chat (their private chat with the bot unless one is named); returns the update.

        The update of a chat in which the bot does not hear the words has no `update_id`. `anonymous`: an administrator
        speaks as the group; `forwarded`: they pass on what somebody else wrote.
        """
        person, chat = self.people[user_id], self.chats[user_id if chat_id is None else chat_id]
        self._may_speak(person, chat)
        body = text.strip()
        sender = None if chat.kind == "channel" else dict(ANONYMOUS) if anonymous else person.json()
        message = Message(self._new_id(chat), chat, sender, int(self.now()), body, telegram_text.automatic(body))
        message.reply_to = chat.messages.get(reply_to) if reply_to is not None else None
        message.service |= {"sender_chat": chat.json()} if anonymous else {}
        origin = {"type": "hidden_user", "sender_user_name": "Somebody", "date": message.date}
        message.service |= {"forward_origin": origin} if forwarded else {}
        self.lay(message)
        self.history.add("telegram_said", chat_id=chat.id, user_id=user_id, text=body)
        kind = "channel_post" if chat.kind == "channel" else "message"
        update = self.updates.make(kind, message.json()) if self._hears(chat, message) else None
        return update or {kind: message.json()}

    async def start(self, user_id: int, payload: str = "") -> Json:
        """The person has pressed Start, through a deep link when there is a payload; that also unblocks the bot."""
        if not PAYLOAD.fullmatch(payload):
            raise ValueError(f"not a deep link payload: {payload!r}")
        if self.people[user_id].blocked:
            self.unblock(user_id)
        return await self.say(user_id, f"/start {payload}".strip())

    async def edit(self, user_id: int, chat_id: int, message_id: int, text: str) -> Json:
        """The person has changed their own message; returns the update."""
        message = self.chats[chat_id].messages[message_id]
        if not message.sender or message.sender["id"] != user_id:
            raise ValueError("people edit their own messages only")
        message.text, message.entities, message.edited = text, telegram_text.automatic(text), int(self.now())
        message.chat.changed()
        return self.updates.make("edited_message", message.json()) or {"edited_message": message.json()}

    async def press(self, user_id: int, chat_id: int, message_id: int, data: str) -> str:
        """The person has pressed a button with this data (buttons that are gone, or never were, included, as a forged
        client could); returns the id of the callback query."""
        query_id = str(self._next_query)
        self._next_query += 1
        self.queries[query_id] = self.now()
        query: Json = {"id": query_id, "from": self.people[user_id].json(), "chat_instance": str(chat_id), "data": data}
        query["message"] = self.chats[chat_id].messages[message_id].json()
        self.updates.make("callback_query", query)
        return query_id

    def block(self, user_id: int) -> None:
        """The person has stopped the bot: it can no longer write to them."""
        self._set_blocked(self.people[user_id], blocked=True)

    def unblock(self, user_id: int) -> None:
        """The bot can write to the person again."""
        self._set_blocked(self.people[user_id], blocked=False)

    def set_member(self, chat_id: int, user_id: int, status: str, *, by: Json | None = None, **more: object) -> None:
        """The person has this status in the place, by their own doing unless another user is named; the bot is told."""
        chat, user = self.chats[chat_id], self.people[user_id].json()
        old = chat.status(user_id, self.now())
        chat.members[user_id] = status
        if status == "kicked" and by != self.bot:
            chat.bans[user_id] = None  # people ban for ever
        self.history.add("telegram_member", chat_id=chat_id, user_id=user_id, status=status, before=old)
        if chat.bot_status == "administrator":
            self.updates.make("chat_member", self._member_change(chat, by or user, user, old, status) | more)

    def set_bot(self, chat_id: int, status: str, rights: Iterable[str] | None = None) -> None:
        """The bot has this status in the place, and as an administrator these rights (None: as before)."""
        chat, old = self.chats[chat_id], self.chats[chat_id].bot_status
        chat.bot_status = status
        if rights is not None:
            chat.bot_rights = set(rights)
        owner: Json = {"id": 777_000, "is_bot": False, "first_name": "Owner"}
        self.updates.make("my_chat_member", self._member_change(chat, owner, self.bot, old, status))

    def migrate(self, chat_id: int) -> int:
        """The group has become a supergroup, whose new id is returned; the old id only leads there."""
        old = self.chats[chat_id]
        if old.kind != "group" or old.migrated_to:
            raise ValueError("only a basic group becomes a supergroup, and only once")
        new = self.group(-1_000_000_000_000 + chat_id, old.title, members=old.members)
        new.members, new.bot_status, new.bot_rights = dict(old.members), old.bot_status, old.bot_rights
        for chat, notice in ((old, {"migrate_to_chat_id": new.id}), (new, {"migrate_from_chat_id": old.id})):
            message = Message(self._new_id(chat), chat, dict(self.bot), int(self.now()), service=notice)
            self.lay(message)
            self.updates.make("message", message.json())
        old.migrated_to = new.id
        return new.id

    def lay(self, message: Message) -> None:
        """The message lies in its chat."""
        message.chat.messages[message.id] = message
        message.chat.changed()

    def new_message(self, chat: Chat) -> Message:
        """An empty message of the bot, not in the chat yet."""
        sender = None if chat.kind == "channel" else self.bot
        return Message(self._new_id(chat), chat, sender, int(self.now()))

    def _new_id(self, chat: Chat) -> int:
        """Private chats and basic groups count together, supergroups and channels each for themselves."""
        if chat.kind in {"supergroup", "channel"}:
            chat.next_id += 1
            return chat.next_id - 1
        self._next_message += 1
        return self._next_message - 1

    def _may_speak(self, person: Person, chat: Chat) -> None:
        if chat.person:
            if chat.person is not person or person.blocked:
                raise ValueError("one cannot write there: another's private chat, or a bot one has blocked")
            person.started = True
        elif chat.migrated_to or chat.members.get(person.id) not in telegram_chats.IN_CHAT:
            raise ValueError("only members write in a group")

    def _hears(self, chat: Chat, message: Message) -> bool:
        """Privacy mode: as a plain member of a group, a bot gets commands, mentions of it and replies to it only."""
        if chat.person or chat.bot_status == "administrator":
            return True
        meant = message.text.startswith("/") or f"@{self.bot['username']}" in message.text
        return chat.bot_status == "member" and (meant or bool(message.reply_to and message.reply_to.from_bot))

    def _set_blocked(self, person: Person, *, blocked: bool) -> None:
        if person.blocked == blocked:
            return
        person.blocked = blocked
        old, new = ("member", "kicked") if blocked else ("kicked", "member")
        chat = self.chats[person.id]
        self.updates.make("my_chat_member", self._member_change(chat, person.json(), self.bot, old, new))

    def _member_change(self, chat: Chat, actor: Json, user: Json, old: str, new: str) -> Json:
        body: Json = {"chat": chat.json(), "from": actor, "date": int(self.now())}
        body["old_chat_member"] = telegram_chats.member_json(chat, user, old)
        return body | {"new_chat_member": telegram_chats.member_json(chat, user, new)}
