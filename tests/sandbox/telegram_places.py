"""The doors of gated places: invite links, requests to join, removal; and how people use them."""

from tests.sandbox import telegram_call, telegram_chats, telegram_messages, telegram_world

Json = telegram_chats.Json
Call = telegram_call.Call
Chat = telegram_chats.Chat
InviteLink = telegram_chats.InviteLink
World = telegram_world.World

BAN_SPAN = (30, 366 * 86_400)
"""Seconds: the shortest and the longest ban with an end; any other is for ever."""


def create_invite_link(world: World, call: Call) -> Json:
    chat = _place(world, call, "can_invite_users", "not enough rights to manage chat invite link")
    address = f"https://t.me/+sandbox{-chat.id}x{len(chat.links)}"
    chat.links[address] = InviteLink(address, *_limits(call))
    return chat.links[address].json(world.bot)


def _limits(call: Call) -> tuple[str | None, int | None, int | None, bool]:
    """Name, end, number of people and whether they have to ask. Refused where these exclude each other."""
    limit, asks = call.integer("member_limit"), call.flag("creates_join_request")
    if limit and asks:
        raise telegram_call.bad("member limit can't be specified for links requiring administrator approval")
    if limit is not None and not 1 <= limit <= 99_999:
        raise telegram_call.bad("invalid member limit specified")
    name = call.text("name") or None
    if name and len(name) > 32:
        raise telegram_call.bad("invite link name is too long")
    return name, call.integer("expire_date"), limit, asks


def revoke_invite_link(world: World, call: Call) -> Json:
    chat = _place(world, call, "can_invite_users", "not enough rights to manage chat invite link")
    link = chat.links.get(call.text("invite_link"))
    if link is None:
        raise telegram_call.bad("INVITE_HASH_INVALID")
    link.revoked = True
    return link.json(world.bot)


def edit_invite_link(world: World, call: Call) -> Json:
    """The link has this name and these limits from now on. A revoked one is refused."""
    chat = _place(world, call, "can_invite_users", "not enough rights to manage chat invite link")
    link = chat.links.get(call.text("invite_link"))
    if link is None or link.revoked:
        raise telegram_call.bad("INVITE_HASH_EXPIRED")
    limits = _limits(call)
    link.name, link.expires, link.member_limit, link.asks = limits
    return link.json(world.bot)


def approve_join_request(world: World, call: Call) -> bool:
    chat, user_id, link = _requested(world, call)
    world.set_member(chat.id, user_id, "member", by=world.bot, invite_link=link.json(world.bot), via_join_request=True)
    link.joined += 1
    return True


def decline_join_request(world: World, call: Call) -> bool:
    chat, user_id, _ = _requested(world, call)
    world.history.add("telegram_join_declined", chat_id=chat.id, user_id=user_id)
    return True


def ban_member(world: World, call: Call) -> bool:
    """The person is out and stays out, until `until_date` (epoch seconds) where that is a date Telegram keeps to."""
    chat, user_id = _removable(world, call)
    until = call.integer("until_date")
    left = None if until is None else until - world.now()
    chat.bans[user_id] = None if left is None or not BAN_SPAN[0] <= left <= BAN_SPAN[1] else until
    if chat.kind == "group":  # basic groups keep no list of the banned; who was put out can come back
        del chat.bans[user_id]
    world.set_member(chat.id, user_id, "left" if chat.kind == "group" else "kicked", by=world.bot)
    return True


def unban_member(world: World, call: Call) -> bool:
    """The person may join again. Without `only_if_banned` a present member is put out by it, as on Telegram."""
    chat, user_id = _removable(world, call)
    if chat.kind == "group":
        raise telegram_call.bad("method is available for supergroup and channel chats only")
    status = chat.status(user_id, world.now())
    if status == "kicked" or (status in telegram_chats.IN_CHAT and not call.flag("only_if_banned")):
        world.set_member(chat.id, user_id, "left", by=world.bot)
    chat.bans.pop(user_id, None)
    return True


def member_count(world: World, call: Call) -> int:
    chat = telegram_messages.find_chat(world, call)
    inside = sum(status in telegram_chats.IN_CHAT for status in chat.members.values())
    return 2 if chat.person else inside + (chat.bot_status in telegram_chats.IN_CHAT)


def knock(world: World, user_id: int, address: str) -> str:
    """The person has opened the invite link; returns "asked", "joined", or why not: "banned", "invalid", "inside"."""
    chat = next((chat for chat in world.chats.values() if address in chat.links), None)
    link = chat.links[address] if chat else None
    if chat is None or chat.migrated_to or link is None or not _valid(world, link):
        return "invalid"
    status = chat.status(user_id, world.now())
    if status in telegram_chats.IN_CHAT:
        return "inside"
    if status == "kicked":
        return "banned"
    if not link.asks:
        link.joined += 1
        world.set_member(chat.id, user_id, "member", invite_link=link.json(world.bot))
        return "joined"
    chat.requests[user_id] = (world.now(), link)
    world.history.add("telegram_join_request", chat_id=chat.id, user_id=user_id, link=address)
    request: Json = {"chat": chat.json(), "from": world.people[user_id].json(), "user_chat_id": user_id}
    world.updates.make("chat_join_request", request | {"date": int(world.now()), "invite_link": link.json(world.bot)})
    return "asked"


def revoke(world: World, address: str) -> None:
    """An administrator has revoked the link. The bot is not told."""
    next(chat.links[address] for chat in world.chats.values() if address in chat.links).revoked = True


def take_back(world: World, chat_id: int, user_id: int) -> None:
    """The person does not want to join any more. The bot is not told."""
    del world.chats[chat_id].requests[user_id]


def _valid(world: World, link: InviteLink) -> bool:
    full = link.member_limit is not None and link.joined >= link.member_limit
    return not (link.revoked or full or (link.expires is not None and world.now() > link.expires))


def _place(world: World, call: Call, right: str, refusal: str) -> Chat:
    chat = telegram_messages.find_chat(world, call)
    if chat.person:
        raise telegram_call.bad("can't use this method in a private chat")
    if chat.bot_status not in telegram_chats.IN_CHAT:
        raise telegram_call.Refused(403, f"Forbidden: bot is not a member of the {chat.kind} chat")
    if chat.bot_status != "administrator" or right not in chat.bot_rights:
        raise telegram_call.bad(refusal)
    return chat


def _requested(world: World, call: Call) -> tuple[Chat, int, InviteLink]:
    chat = _place(world, call, "can_invite_users", "not enough rights")
    user_id = call.integer("user_id") or 0
    if chat.members.get(user_id) in telegram_chats.IN_CHAT:
        raise telegram_call.bad("USER_ALREADY_PARTICIPANT")
    if user_id not in chat.requests:
        raise telegram_call.bad("HIDE_REQUESTER_MISSING")
    return chat, user_id, chat.requests.pop(user_id)[1]


def _removable(world: World, call: Call) -> tuple[Chat, int]:
    chat = _place(world, call, "can_restrict_members", "not enough rights to restrict/unrestrict chat member")
    user_id = call.integer("user_id") or 0
    if user_id == world.bot["id"]:
        raise telegram_call.bad("can't restrict self")
    if user_id not in world.people:
        raise telegram_call.bad("PARTICIPANT_ID_INVALID")
    status = chat.members.get(user_id)
    if status in {"creator", "administrator"}:
        raise telegram_call.bad(
            "can't remove chat owner" if status == "creator" else "user is an administrator of the chat"
        )
    return chat, user_id
