"""REST routes of the Discord stand-in for channels, their overwrites and threads."""

from typing import TYPE_CHECKING, Any

from tests.sandbox import discord_permissions as may
from tests.sandbox import discord_places, discord_wire

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Json = dict[str, Any]
Call = discord_wire.Call
Channel = discord_places.Channel
Overwrite = discord_places.Overwrite

AUTO_ARCHIVE = (60, 1440, 4320, 10080)


def visible(world: "discord_world.World", call: Call) -> Channel:
    """The channel in the path, which the bot sees. Refused with 10003 or 50001."""
    channel = world.channels.get(call.id("channel_id"))
    if channel is None or channel.deleted:
        raise discord_wire.refused(10003)
    if not may.in_channel(channel, world.bot.id) & may.VIEW_CHANNEL:
        raise discord_wire.refused(50001)
    return channel


def writable(world: "discord_world.World", call: Call, more: int = 0) -> Channel:
    """The channel in the path, to which the bot may write, with these permissions besides. Refused otherwise."""
    channel = visible(world, call)
    if channel.kind == discord_places.CATEGORY:
        raise discord_wire.refused(50008)
    if channel.recipient:
        _check_recipient(world, channel.recipient)
        return channel
    wanted = may.SEND_MESSAGES | more
    if may.in_channel(channel, world.bot.id) & wanted != wanted:
        raise discord_wire.refused(50013)
    if channel.archived and channel.locked:
        raise discord_wire.refused(50083)
    return channel


def _check_recipient(world: "discord_world.World", user: discord_places.User) -> None:
    if user.dms_closed or user.bot:
        raise discord_wire.refused(50007)
    if not any({user.id, world.bot.id} <= guild.members.keys() for guild in world.guilds.values()):
        raise discord_wire.refused(50278)


def open_dm(world: "discord_world.World", call: Call) -> Json:
    """POST /users/@me/channels: the private chat exists; whether one may write there shows only then."""
    user_id = discord_wire.snowflake(call.form.get("recipient_id"), "recipient_id")
    if user_id not in world.users or user_id == world.bot.id:
        raise discord_wire.refused(50033)
    return world.open_dm(user_id).json()


def get(world: "discord_world.World", call: Call) -> Json:
    """GET /channels/{channel}."""
    return visible(world, call).json()


def typing(world: "discord_world.World", call: Call) -> None:
    """POST /channels/{channel}/typing."""
    writable(world, call)


def manageable(world: "discord_world.World", call: Call, bits: int) -> Channel:
    """The channel of a guild in the path, in which the bot has these permissions. Refused otherwise."""
    channel = visible(world, call)
    if channel.guild is None:
        raise discord_wire.refused(50003)
    if may.in_channel(channel, world.bot.id) & bits != bits:
        raise discord_wire.refused(50013)
    return channel


def edit(world: "discord_world.World", call: Call) -> Json:
    """PATCH /channels/{channel}: name, topic, position, category, overwrites; of a thread archived and locked."""
    thread = visible(world, call).is_thread
    channel = manageable(world, call, may.MANAGE_THREADS if thread else may.MANAGE_CHANNELS)
    body = call.form
    if body.get("name") is not None:
        channel.name = _name(body["name"])
    if thread:
        channel.archived = bool(body.get("archived", channel.archived))
        channel.locked = bool(body.get("locked", channel.locked))
        channel.auto_archive = int(body.get("auto_archive_duration") or channel.auto_archive)
    else:
        channel.topic = body.get("topic", channel.topic)
        channel.position = int(body.get("position") or channel.position)
        if "parent_id" in body:
            channel.parent = _category(channel, body["parent_id"])
        if body.get("permission_overwrites") is not None:
            channel.overwrites = overwrites(world, channel, body["permission_overwrites"])
    assert channel.guild is not None
    world.announce(channel.guild, "THREAD_UPDATE" if thread else "CHANNEL_UPDATE", channel.json())
    world.changed(channel.id)
    return channel.json()


def delete(world: "discord_world.World", call: Call) -> Json:
    """DELETE /channels/{channel}."""
    thread = visible(world, call).is_thread
    channel = manageable(world, call, may.MANAGE_THREADS if thread else may.MANAGE_CHANNELS)
    world.delete_channel(channel.id)
    return channel.json()


def create(world: "discord_world.World", guild: discord_places.Guild, call: Call) -> Json:
    """POST /guilds/{guild}/channels; the guild is known and the bot may manage its channels."""
    body = call.form
    kind = body.get("type") or discord_places.TEXT
    if kind not in discord_places.KINDS.values():
        raise discord_wire.invalid("type", "BASE_TYPE_CHOICES", "Value of field must be one of (0, 4, 5).")
    channel = Channel(world.new_id(), kind, _name(body.get("name")), guild, created=world.now(), bot_id=world.bot.id)
    channel.topic, channel.position = body.get("topic"), len(guild.channels)
    channel.parent = _category(channel, body.get("parent_id"))
    if channel.parent:
        channel.overwrites = dict(channel.parent.overwrites)
    if body.get("permission_overwrites"):
        channel.overwrites = overwrites(world, channel, body["permission_overwrites"])
    return world.add_channel(channel).json()


# --- overwrites


def overwrites(world: "discord_world.World", channel: Channel, given: list[Json]) -> dict[int, Overwrite]:
    """The overwrites of the body. Refused with 50013 where the bot would give or take what it has not itself."""
    made = {}
    for n, one in enumerate(given):
        target = discord_wire.snowflake(one.get("id"), f"permission_overwrites.{n}.id")
        made[target] = _overwrite(world, channel, target, one)
    return made


def _overwrite(world: "discord_world.World", channel: Channel, target: int, given: Json) -> Overwrite:
    assert channel.guild is not None
    bits = may.of_member(channel.guild, world.bot.id)
    allow, deny = int(given.get("allow") or 0), int(given.get("deny") or 0)
    if (allow | deny) & ~bits:
        raise discord_wire.refused(50013)
    for_member = int(given.get("type") or 0) == 1
    if not for_member and target not in channel.guild.roles:
        raise discord_wire.refused(10011)
    return Overwrite(target, allow, deny, for_member)


def put_overwrite(world: "discord_world.World", call: Call) -> None:
    """PUT /channels/{channel}/permissions/{overwrite}."""
    channel = manageable(world, call, may.MANAGE_ROLES)
    target = call.id("overwrite_id")
    channel.overwrites[target] = _overwrite(world, channel, target, call.form)
    _overwritten(world, channel)


def delete_overwrite(world: "discord_world.World", call: Call) -> None:
    """DELETE /channels/{channel}/permissions/{overwrite}."""
    channel = manageable(world, call, may.MANAGE_ROLES)
    if channel.overwrites.pop(call.id("overwrite_id"), None) is None:
        raise discord_wire.refused(10009)
    _overwritten(world, channel)


def _overwritten(world: "discord_world.World", channel: Channel) -> None:
    assert channel.guild is not None
    world.announce(channel.guild, "CHANNEL_UPDATE", channel.json())


# --- threads


def thread_from_message(world: "discord_world.World", call: Call) -> Json:
    """POST /channels/{channel}/messages/{message}/threads: a public thread with the id of its message."""
    channel = manageable(world, call, may.CREATE_PUBLIC_THREADS)
    message = channel.messages.get(call.id("message_id"))
    if message is None or message.deleted:
        raise discord_wire.refused(10008)
    if message.thread:
        raise discord_wire.refused(160004)
    message.thread = _thread(world, channel, call.form, message.id)
    world.changed(channel.id)
    return message.thread.json()


def thread(world: "discord_world.World", call: Call) -> Json:
    """POST /channels/{channel}/threads: a thread without a message, private unless the body says otherwise."""
    kind = call.form.get("type") or discord_places.PRIVATE_THREAD
    private = kind == discord_places.PRIVATE_THREAD
    channel = manageable(world, call, may.CREATE_PRIVATE_THREADS if private else may.CREATE_PUBLIC_THREADS)
    return _thread(world, channel, call.form, world.new_id(), kind).json()


def _thread(
    world: "discord_world.World", channel: Channel, body: Json, thread_id: int, kind: int | None = None
) -> Channel:
    announcement = channel.kind == discord_places.ANNOUNCEMENT
    if channel.is_thread or channel.kind == discord_places.CATEGORY:
        raise discord_wire.refused(50024)
    public = discord_places.ANNOUNCEMENT_THREAD if announcement else discord_places.PUBLIC_THREAD
    made = Channel(thread_id, kind or public, _name(body.get("name")), channel.guild, created=world.now())
    made.parent, made.owner_id, made.bot_id = channel, world.bot.id, world.bot.id
    made.auto_archive = int(body.get("auto_archive_duration") or made.auto_archive)
    if made.auto_archive not in AUTO_ARCHIVE:
        raise discord_wire.invalid("auto_archive_duration", "BASE_TYPE_CHOICES", f"Must be one of {AUTO_ARCHIVE}.")
    made.thread_members.add(world.bot.id)
    return world.add_channel(made)


def thread_member(world: "discord_world.World", call: Call) -> None:
    """PUT or DELETE /channels/{thread}/thread-members/{user or @me}."""
    channel = visible(world, call)
    if not channel.is_thread:
        raise discord_wire.refused(50024)
    user_id = world.bot.id if call.ids["user_id"] == "@me" else call.id("user_id")
    (channel.thread_members.add if call.method == "PUT" else channel.thread_members.discard)(user_id)
    world.changed(channel.id)


def _name(given: Any) -> str:
    if not given:
        raise discord_wire.missing("name")
    if len(str(given)) > 100:
        raise discord_wire.too_long("name", 100)
    return str(given)


def _category(channel: Channel, given: Any) -> Channel | None:
    if given is None or channel.guild is None:
        return None
    found = channel.guild.channels.get(discord_wire.snowflake(given, "parent_id"))
    if found is None or found.kind != discord_places.CATEGORY:
        raise discord_wire.invalid("parent_id", "CHANNEL_PARENT_INVALID", "Category does not exist")
    return found
