"""Users, guilds, roles, channels and members of the Discord stand-in, and how the API writes them down."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.sandbox import discord_ids

if TYPE_CHECKING:
    from tests.sandbox import discord_posts

Json = dict[str, Any]

TEXT, DM, CATEGORY, ANNOUNCEMENT = 0, 1, 4, 5
ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD = 10, 11, 12
KINDS = {"text": TEXT, "category": CATEGORY, "announcement": ANNOUNCEMENT}
THREADS = frozenset({ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD})


@dataclass(slots=True)
class User:
    """Somebody with a Discord account. `dms_closed`: takes no direct messages from members of a guild."""

    id: int
    name: str
    bot: bool = False
    dms_closed: bool = False

    def json(self) -> Json:
        user: Json = {"id": str(self.id), "username": self.name, "discriminator": "0", "avatar": None}
        if not self.bot:
            user["username"] = self.name.lower().replace(" ", "_")
        user |= {"global_name": None if self.bot else self.name, "public_flags": 0, "flags": 0, "primary_guild": None}
        return user | {"bot": True} if self.bot else user


@dataclass(slots=True)
class Role:
    id: int
    guild: "Guild"
    name: str
    permissions: int = 0
    position: int = 0
    color: int = 0
    hoist: bool = False
    mentionable: bool = False
    bot_id: int | None = None
    """Whose own role it is: Discord manages it, nobody can give or take it."""

    def json(self) -> Json:
        body: Json = {"id": str(self.id), "name": self.name, "permissions": str(self.permissions)}
        body |= {"position": self.position, "color": self.color, "hoist": self.hoist, "mentionable": self.mentionable}
        body["colors"] = {"primary_color": self.color, "secondary_color": None, "tertiary_color": None}
        body |= {"managed": self.bot_id is not None, "icon": None, "unicode_emoji": None, "flags": 0}
        return body | {"tags": {"bot_id": str(self.bot_id)}} if self.bot_id is not None else body


@dataclass(slots=True)
class Overwrite:
    """What a channel allows or denies to a role or, when `for_member`, to one member."""

    id: int
    allow: int = 0
    deny: int = 0
    for_member: bool = False

    def json(self) -> Json:
        kind = 1 if self.for_member else 0
        return {"id": str(self.id), "type": kind, "allow": str(self.allow), "deny": str(self.deny)}


@dataclass(slots=True)
class Member:
    user: User
    joined: float
    roles: set[int] = field(default_factory=set)
    nick: str | None = None

    def json(self) -> Json:
        body: Json = {"user": self.user.json(), "nick": self.nick, "avatar": None, "banner": None, "flags": 0}
        body |= {"roles": [str(role) for role in sorted(self.roles)], "joined_at": discord_ids.iso(self.joined)}
        body |= {"premium_since": None, "communication_disabled_until": None}
        return body | {"pending": False, "mute": False, "deaf": False}


@dataclass(slots=True)
class Channel:
    """A channel, category or thread of a guild, or the bot's direct messages with `recipient`."""

    id: int
    kind: int
    name: str = ""
    guild: "Guild | None" = None
    recipient: User | None = None
    bot_id: int = 0
    position: int = 0
    topic: str | None = None
    parent: "Channel | None" = None
    """The category of a channel, the channel of a thread."""
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    messages: dict[int, "discord_posts.Message"] = field(default_factory=dict)
    deleted: bool = False
    owner_id: int = 0
    created: float = 0.0
    archived: bool = False
    locked: bool = False
    auto_archive: int = 1440
    thread_members: set[int] = field(default_factory=set)

    @property
    def is_thread(self) -> bool:
        return self.kind in THREADS

    @property
    def guild_id(self) -> int | None:
        return self.guild.id if self.guild else None

    def json(self) -> Json:
        last = next((message for message in reversed(self.messages.values()) if not message.deleted), None)
        body: Json = {"id": str(self.id), "type": self.kind, "flags": 0}
        body["last_message_id"] = str(last.id) if last else None
        if self.guild is None:
            return body | {"recipients": [self.recipient.json()] if self.recipient else []}
        body |= {"guild_id": str(self.guild.id), "name": self.name}
        body["parent_id"] = str(self.parent.id) if self.parent else None
        if self.is_thread:
            return body | self._thread_json()
        body |= {"position": self.position, "permission_overwrites": [one.json() for one in self.overwrites.values()]}
        if self.kind != CATEGORY:
            body |= {"topic": self.topic, "nsfw": False, "rate_limit_per_user": 0}
        return body

    def _thread_json(self) -> Json:
        count = sum(not message.deleted for message in self.messages.values())
        meta: Json = {"archived": self.archived, "locked": self.locked, "auto_archive_duration": self.auto_archive}
        meta |= {"archive_timestamp": discord_ids.iso(self.created), "create_timestamp": discord_ids.iso(self.created)}
        body: Json = {"owner_id": str(self.owner_id), "thread_metadata": meta, "rate_limit_per_user": 0}
        body |= {"message_count": count, "total_message_sent": len(self.messages)}
        return body | {"member_count": len(self.thread_members)}


@dataclass(slots=True)
class Guild:
    """A community. `roles` includes @everyone, which has the guild's own id; `channels` includes threads."""

    id: int
    name: str
    owner: int
    created: float
    members: dict[int, Member] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)

    def ordered_roles(self) -> list[Role]:
        """Lowest first: @everyone, then by position."""
        return sorted(self.roles.values(), key=lambda role: (role.position, role.id))

    def top_position(self, user_id: int) -> int:
        """The position of the member's highest role, 0 without one."""
        return max((self.roles[role].position for role in self.members[user_id].roles), default=0)

    def json(self) -> Json:
        """The API's guild, without channels and members."""
        nothing = (
            "icon", "description", "home_header", "splash", "discovery_splash", "banner", "application_id",
            "afk_channel_id", "system_channel_id", "widget_channel_id", "vanity_url_code", "rules_channel_id",
            "safety_alerts_channel_id", "public_updates_channel_id", "max_presences", "incidents_data",
        )  # fmt: skip
        zero = (
            "system_channel_flags", "verification_level", "default_message_notifications", "mfa_level",
            "explicit_content_filter", "premium_tier", "premium_subscription_count", "nsfw_level",
        )  # fmt: skip
        body: Json = dict.fromkeys(nothing) | dict.fromkeys(zero, 0)
        body |= {"id": str(self.id), "name": self.name, "owner_id": str(self.owner), "features": []}
        body |= {"region": "deprecated", "afk_timeout": 300, "widget_enabled": False, "nsfw": False}
        body |= {"max_members": 500_000, "max_stage_video_channel_users": 50, "max_video_channel_users": 25}
        body |= {"preferred_locale": "en-US", "premium_progress_bar_enabled": False, "emojis": [], "stickers": []}
        return body | {"roles": [role.json() for role in self.ordered_roles()]}

    def gateway_json(self, bot_id: int, *, with_members: bool) -> Json:
        """The guild as GUILD_CREATE tells it; without presences that is the bot's own member only."""
        members = self.members.values() if with_members else [self.members[bot_id]]
        threads = [channel for channel in self.channels.values() if channel.is_thread and not channel.archived]
        body = self.json() | {"joined_at": discord_ids.iso(self.members[bot_id].joined), "unavailable": False}
        body |= {"member_count": len(self.members), "large": len(self.members) > 250}
        body["members"] = [member.json() for member in members]
        body["channels"] = [channel.json() for channel in self.channels.values() if not channel.is_thread]
        body["threads"] = [thread.json() for thread in threads]
        empty = ("voice_states", "presences", "stage_instances", "guild_scheduled_events", "soundboard_sounds")
        return body | {name: [] for name in empty}
