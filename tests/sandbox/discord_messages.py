"""REST routes of the Discord stand-in that put messages into channels, change them and take them away."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from tests.sandbox import discord_channels, discord_content, discord_permissions, discord_places, discord_posts
from tests.sandbox import discord_wire as wire

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Json = dict[str, Any]
Call = wire.Call
Channel = discord_places.Channel
Message = discord_posts.Message

LONGEST_NONCE = 25
CONTENT_FIELDS = (
    "content", "embeds", "attachments", "files", "components", "mentions", "mention_roles", "mention_everyone", "flags",
)  # fmt: skip


def create(world: "discord_world.World", call: Call) -> Json:
    """POST /channels/{channel}/messages. A nonce known for this channel gives the message that has it, once more."""
    channel = discord_channels.writable(world, call, discord_content.needs(call))
    body = call.form
    nonce = _nonce(body)
    message = Message(world.new_id(), channel, world.bot, world.now(), nonce=nonce)
    message.reply_to = _replied(world, channel, body.get("message_reference"))
    message.kind = discord_posts.DEFAULT if message.reply_to is None else discord_posts.REPLY
    discord_content.fill(message, call, body, world.users, world.new_id)
    if body.get("enforce_nonce") and (known := _known(world, channel, nonce)):
        return known.json(with_nonce=True)
    if nonce is not None:
        world.nonces[channel.id, str(nonce)] = (world.now(), message)
    if channel.archived:
        channel.archived = False
    lay(world, message, **({"user_agent": call.user_agent} if call.user_agent else {}))
    return message.json(with_nonce=True)


def listed(world: "discord_world.World", call: Call) -> list[Json]:
    """GET /channels/{channel}/messages, newest first; nothing for who may not read the history."""
    channel = discord_channels.visible(world, call)
    limit = call.integer("limit", 1, 100, 50)
    if not _may(world, channel, discord_permissions.READ_MESSAGE_HISTORY):
        return []
    lying = [message for message in channel.messages.values() if not message.deleted]
    if "after" in call.query:
        lying = [message for message in lying if message.id > int(call.query["after"])][:limit]
    elif "before" in call.query:
        lying = [message for message in lying if message.id < int(call.query["before"])]
    elif "around" in call.query:
        middle, half = sum(message.id < int(call.query["around"]) for message in lying), limit // 2
        lying, limit = lying[max(0, middle - half) : middle + half + 1], limit + 1
    return [message.json() for message in reversed(lying[-limit:])]


def get(world: "discord_world.World", call: Call) -> Json:
    """GET /channels/{channel}/messages/{message}."""
    return _message(world, call).json()


def edit(world: "discord_world.World", call: Call) -> Json:
    """PATCH /channels/{channel}/messages/{message}, of the bot's own."""
    message = _message(world, call)
    if message.author is not world.bot:
        raise wire.refused(50005)
    revise(world, message, call, call.form)
    return message.json()


def delete(world: "discord_world.World", call: Call) -> None:
    """DELETE /channels/{channel}/messages/{message}."""
    message = _message(world, call)
    if message.author is not world.bot and not _may(world, message.channel, discord_permissions.MANAGE_MESSAGES):
        raise wire.refused(50013)
    take_away(world, message)


def crosspost(world: "discord_world.World", call: Call) -> Json:
    """POST /channels/{channel}/messages/{message}/crosspost, in an announcement channel."""
    message = _message(world, call)
    if message.channel.kind != discord_places.ANNOUNCEMENT:
        raise wire.refused(50024)
    message.flags |= discord_posts.CROSSPOSTED
    return message.json()


def pin(world: "discord_world.World", call: Call) -> None:
    """PUT or DELETE /channels/{channel}/messages/pins/{message}."""
    message = _message(world, call)
    if not _may(world, message.channel, discord_permissions.PIN_MESSAGES | discord_permissions.MANAGE_MESSAGES):
        raise wire.refused(50013)
    message.pinned = call.method == "PUT"
    world.changed(message.channel.id)


# --- what other routes use too


def lay(world: "discord_world.World", message: Message, **more: Any) -> None:
    """The message lies in its channel, or before the eyes of the one person it is for, and the history knows."""
    if message.ephemeral:
        tell(world, "discord_ephemeral", message, **more)
        return
    message.channel.messages[message.id] = message
    tell(world, "discord_message", message, **more)
    world.gateway.message_event("MESSAGE_CREATE", message)


def revise(world: "discord_world.World", message: Message, call: Call, body: Json, **more: Any) -> None:
    """The message says what the body says; what it does not name stays. The end of thinking is a new message."""
    draft = replace(message, files=dict(message.files))
    discord_content.fill(draft, call, body, world.users, world.new_id)
    for name in CONTENT_FIELDS:
        setattr(message, name, getattr(draft, name))
    if message.loading:
        message.flags &= ~discord_posts.LOADING
        lay(world, message, **more)
        return
    message.edited = world.now()
    tell(world, "discord_edit", message, **more)
    if not message.ephemeral:
        world.gateway.message_event("MESSAGE_UPDATE", message)


def take_away(world: "discord_world.World", message: Message) -> None:
    """The message is gone."""
    message.deleted = True
    tell(world, "discord_delete", message)
    if not message.ephemeral:
        world.gateway.message_event("MESSAGE_DELETE", message)


def tell(world: "discord_world.World", event: str, message: Message, **more: Any) -> None:
    """The history has the event, and whoever watches the chat knows. `public`: members without any role see it."""
    channel = message.channel
    user_id = message.seen_by or (channel.recipient.id if channel.recipient else None)
    world.history.add(
        event,
        channel_id=channel.id,
        guild_id=channel.guild_id,
        user_id=user_id,
        message_id=message.id,
        text=message.text,
        has_photo=message.has_photo,
        reply_to=message.reply_to,
        nonce=message.nonce,
        buttons=[button.get("label", "") for button in message.buttons],
        public=not message.ephemeral and discord_permissions.everyone_sees(channel),
        **more,
    )
    world.changed(channel.id)
    if user_id is not None:
        world.changed(user_id)


def _may(world: "discord_world.World", channel: Channel, bits: int) -> bool:
    """Whether the bot has one of these permissions there."""
    return bool(discord_permissions.in_channel(channel, world.bot.id) & bits)


def _message(world: "discord_world.World", call: Call) -> Message:
    channel = discord_channels.visible(world, call)
    message = channel.messages.get(call.id("message_id"))
    if message is None or message.deleted:
        raise wire.refused(10008)
    return message


def _nonce(body: Json) -> str | int | None:
    nonce = body.get("nonce")
    if isinstance(nonce, str) and len(nonce) > LONGEST_NONCE:
        raise wire.too_long("nonce", LONGEST_NONCE)
    if not isinstance(nonce, str | int | None):
        raise wire.invalid("nonce", "NONCE_TYPE_BAD", "Must be a string or a number.")
    return nonce


def _known(world: "discord_world.World", channel: Channel, nonce: str | int | None) -> Message | None:
    at, message = world.nonces.get((channel.id, str(nonce)), (0.0, None))
    return message if message and world.now() - at <= world.nonce_memory else None


def _replied(world: "discord_world.World", channel: Channel, reference: Json | None) -> int | None:
    """The id of the message that is answered. Without it the message is refused, unless the body says otherwise."""
    if not reference:
        return None
    message_id = wire.snowflake(reference.get("message_id"), "message_reference.message_id")
    if int(reference.get("channel_id") or channel.id) != channel.id:
        text = "Cannot reply to a message in a different channel"
        raise wire.invalid("message_reference", "REPLIES_CANNOT_REFERENCE_OTHER_CHANNEL", text)
    if not _may(world, channel, discord_permissions.READ_MESSAGE_HISTORY):
        raise wire.refused(160002)
    message = channel.messages.get(message_id)
    if message and not message.deleted:
        return message.id
    if reference.get("fail_if_not_exists") is False:
        return None
    raise wire.invalid("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")


assert {field.name for field in fields(Message)} >= set(CONTENT_FIELDS)
