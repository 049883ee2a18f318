"""Discord's permissions: the bits, and what somebody may do in a guild or a channel."""

from tests.sandbox import discord_places

KICK_MEMBERS = 1 << 1
ADMINISTRATOR = 1 << 3
MANAGE_CHANNELS = 1 << 4
ADD_REACTIONS = 1 << 6
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
MANAGE_MESSAGES = 1 << 13
EMBED_LINKS = 1 << 14
ATTACH_FILES = 1 << 15
READ_MESSAGE_HISTORY = 1 << 16
MENTION_EVERYONE = 1 << 17
CHANGE_NICKNAME = 1 << 26
MANAGE_NICKNAMES = 1 << 27
MANAGE_ROLES = 1 << 28
USE_APPLICATION_COMMANDS = 1 << 31
MANAGE_THREADS = 1 << 34
CREATE_PUBLIC_THREADS = 1 << 35
CREATE_PRIVATE_THREADS = 1 << 36
SEND_MESSAGES_IN_THREADS = 1 << 38
PIN_MESSAGES = 1 << 51
ALL = (1 << 53) - 1

EVERYONE = (
    VIEW_CHANNEL | SEND_MESSAGES | EMBED_LINKS | ATTACH_FILES | READ_MESSAGE_HISTORY | ADD_REACTIONS
    | USE_APPLICATION_COMMANDS | CHANGE_NICKNAME | CREATE_PUBLIC_THREADS | SEND_MESSAGES_IN_THREADS
)  # fmt: skip
"""What everybody may in a new guild."""
BOT = EVERYONE | MANAGE_ROLES | MANAGE_CHANNELS | MANAGE_MESSAGES | MANAGE_THREADS | CREATE_PRIVATE_THREADS
"""What the bot's own role allows unless `allow_bot` says otherwise: what an operator would tick for such a bot."""


def of_member(guild: discord_places.Guild, user_id: int) -> int:
    """The permissions in the guild, without regard to channels; 0 for whoever is not inside."""
    member = guild.members.get(user_id)
    if member is None:
        return 0
    if guild.owner == user_id:
        return ALL
    bits = guild.roles[guild.id].permissions
    for role_id in member.roles:
        bits |= guild.roles[role_id].permissions
    return ALL if bits & ADMINISTRATOR else bits


def in_channel(channel: discord_places.Channel, user_id: int) -> int:
    """The permissions in the channel, overwrites included; who does not see it has none there."""
    if channel.guild is None:
        return ALL if channel.recipient and user_id in {channel.recipient.id, channel.bot_id} else 0
    if channel.parent and channel.is_thread:
        return _in_thread(channel, user_id)
    guild = channel.guild
    bits = of_member(guild, user_id)
    if bits == ALL or not bits:
        return bits
    bits = _overwritten(channel, bits, user_id, guild.members[user_id].roles)
    return bits if bits & VIEW_CHANNEL else 0


def everyone_sees(channel: discord_places.Channel) -> bool:
    """Whether a member without any role sees the channel."""
    if channel.guild is None or channel.kind == discord_places.PRIVATE_THREAD:
        return False
    place = channel.parent if channel.is_thread and channel.parent else channel
    everyone = channel.guild.roles[channel.guild.id].permissions
    return bool(_overwritten(place, everyone, 0, set()) & VIEW_CHANNEL)


def _overwritten(channel: discord_places.Channel, bits: int, user_id: int, roles: set[int]) -> int:
    """Everyone's overwrite first, then those of all roles together, then the member's own."""
    assert channel.guild is not None
    everyone = channel.overwrites.get(channel.guild.id)
    if everyone:
        bits = bits & ~everyone.deny | everyone.allow
    allow = deny = 0
    for role_id in roles:
        if overwrite := channel.overwrites.get(role_id):
            allow, deny = allow | overwrite.allow, deny | overwrite.deny
    bits = bits & ~deny | allow
    own = channel.overwrites.get(user_id)
    return bits & ~own.deny | own.allow if own else bits


def _in_thread(thread: discord_places.Channel, user_id: int) -> int:
    """A thread has its parent's permissions, and a sending permission of its own kind."""
    assert thread.parent is not None
    bits = in_channel(thread.parent, user_id)
    private = thread.kind == discord_places.PRIVATE_THREAD
    if private and user_id not in thread.thread_members and not bits & MANAGE_THREADS:
        return 0
    return bits | SEND_MESSAGES if bits & SEND_MESSAGES_IN_THREADS else bits & ~SEND_MESSAGES
