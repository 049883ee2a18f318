"""The people's side of the Discord stand-in: guilds, roles, channels, who is in them, and what lies there."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.sandbox import (
    discord_commands,
    discord_gateway,
    discord_ids,
    discord_interactions,
    discord_permissions,
    discord_places,
    discord_posts,
    discord_watch,
    history,
)

Json = discord_places.Json
Channel = discord_places.Channel
Guild = discord_places.Guild
Member = discord_places.Member
Message = discord_posts.Message
Role = discord_places.Role
User = discord_places.User

GUILDS, MEMBERS = discord_gateway.GUILDS, discord_gateway.GUILD_MEMBERS


class World(discord_watch.Watched):
    """Everything that is true on Discord's side. `now` returns epoch seconds."""

    def __init__(
        self,
        account: history.History,
        *,
        token: str,
        bot: User,
        now: Callable[[], float] = time.time,
        nonce_memory: float = 180.0,
    ) -> None:
        super().__init__()
        self.history, self.token, self.bot, self.now = account, token, bot, now
        self.nonce_memory = nonce_memory
        """Seconds for which Discord knows a nonce again."""
        self.new_id = discord_ids.Snowflakes(now)
        self.users: dict[int, User] = {bot.id: bot}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        """Every channel, thread and private chat by its id; deleted ones carry their mark."""
        self.dms: dict[int, Channel] = {}
        """The bot's private chats by the other user's id."""
        self.commands = discord_commands.Commands(self.new_id, now)
        self.interactions: dict[int, discord_interactions.Interaction] = {}
        self.gateway = discord_gateway.Gateway(self)
        self.nonces: dict[tuple[int, str], tuple[float, Message]] = {}

    # --- people and places

    def user(self, user_id: int, name: str, *, bot: bool = False) -> User:
        """The person (or other bot) has an account."""
        self.users[user_id] = User(user_id, name, bot)
        return self.users[user_id]

    def guild(
        self, guild_id: int, name: str, *, owner: int, members: Iterable[int] = (), bot: bool = True
    ) -> discord_places.Guild:
        """The guild exists, with its owner and these members and, when `bot`, the bot with a role of its own."""
        guild = Guild(guild_id, name, owner, self.now())
        self.guilds[guild_id] = guild
        everyone = Role(guild_id, guild, "@everyone", discord_permissions.EVERYONE)
        guild.roles[guild_id] = everyone
        for user_id in dict.fromkeys((owner, *members)):
            self.join(guild_id, user_id)
        if bot:
            self.invite_bot(guild_id)
        return guild

    def invite_bot(self, guild_id: int, permissions: int = discord_permissions.BOT) -> None:
        """The bot is in the guild, with a role of its own right above @everyone."""
        guild = self.guilds[guild_id]
        role = Role(self.new_id(), guild, self.bot.name, permissions, bot_id=self.bot.id)
        self.place_role(role, 1)
        guild.members[self.bot.id] = Member(self.bot, self.now(), {role.id})
        self.tell_member(guild, self.bot.id, inside=True)
        self.gateway.guild_created(guild)

    def kick_bot(self, guild_id: int) -> None:
        """The bot is no longer in the guild and its role is gone."""
        guild = self.guilds[guild_id]
        own = [role for role in guild.roles.values() if role.bot_id == self.bot.id]
        del guild.members[self.bot.id]
        for role in own:
            del guild.roles[role.id]
        self.tell_member(guild, self.bot.id, inside=False)
        self.gateway.dispatch("GUILD_DELETE", {"id": str(guild_id)}, guild=guild, intent=GUILDS)

    def role(self, guild_id: int, name: str, *, position: int | None = None, permissions: int = 0) -> Role:
        """The guild has one more role, right above @everyone as Discord does it or at this position; the roles from
        there upwards move up."""
        guild = self.guilds[guild_id]
        role = Role(self.new_id(), guild, name, permissions)
        self.place_role(role, 1 if position is None else position)
        self.announce(guild, "GUILD_ROLE_CREATE", {"role": role.json()})
        return role

    def move_role(self, guild_id: int, role_id: int, position: int) -> None:
        """The role stands at this position, counted from @everyone at 0; the others keep their order."""
        guild = self.guilds[guild_id]
        before = {role.id: role.position for role in guild.roles.values()}
        self.place_role(guild.roles[role_id], position)
        for role in guild.ordered_roles():
            if before[role.id] != role.position:
                self.announce(guild, "GUILD_ROLE_UPDATE", {"role": role.json()})

    def delete_role(self, guild_id: int, role_id: int, *, by: str = "human") -> None:
        """The role is gone, and with it from everybody who had it and from the channels' overwrites."""
        guild = self.guilds[guild_id]
        for user_id in sorted(self.members_with(guild_id, role_id)):
            self.set_role(guild_id, user_id, role_id, has=False, by=by)
        del guild.roles[role_id]
        for channel in guild.channels.values():
            channel.overwrites.pop(role_id, None)
        self.announce(guild, "GUILD_ROLE_DELETE", {"role_id": str(role_id)})

    def allow_bot(self, guild_id: int, permissions: int) -> None:
        """The bot's own role allows exactly this."""
        guild = self.guilds[guild_id]
        role = next(role for role in guild.roles.values() if role.bot_id == self.bot.id)
        role.permissions = permissions
        self.announce(guild, "GUILD_ROLE_UPDATE", {"role": role.json()})

    def channel(
        self,
        guild_id: int,
        channel_id: int,
        name: str,
        *,
        kind: str = "text",
        private_to: Iterable[int] | None = None,
        overwrites: Mapping[int, tuple[int, int]] | None = None,
        category: int | None = None,
    ) -> Channel:
        """The guild has the channel. `private_to`: only these roles see it, and the bot, which its owner lets in;
        `overwrites`: allowed and denied permissions by the id of a role or a user."""
        guild = self.guilds[guild_id]
        channel = Channel(channel_id, discord_places.KINDS[kind], name, guild, created=self.now())
        channel.position, channel.bot_id = len(guild.channels), self.bot.id
        channel.parent = self.channels[category] if category else None
        view = discord_permissions.VIEW_CHANNEL
        if private_to is not None:
            own = (role.id for role in guild.roles.values() if role.bot_id == self.bot.id)
            channel.overwrites[guild_id] = discord_places.Overwrite(guild_id, 0, view)
            for role_id in (*private_to, *own):
                channel.overwrites[role_id] = discord_places.Overwrite(role_id, view)
        for target, (allow, deny) in (overwrites or {}).items():
            channel.overwrites[target] = discord_places.Overwrite(target, allow, deny, target not in guild.roles)
        return self.add_channel(channel)

    def delete_channel(self, channel_id: int) -> None:
        """The channel is gone, and with it its threads."""
        channel = self.channels[channel_id]
        assert channel.guild is not None
        for thread in [one for one in channel.guild.channels.values() if one.parent is channel and one.is_thread]:
            self.delete_channel(thread.id)
        del channel.guild.channels[channel_id]
        channel.deleted = True
        event = "THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE"
        self.announce(channel.guild, event, channel.json())
        self.changed(channel_id)

    # --- members

    def join(self, guild_id: int, user_id: int) -> None:
        """The person is a member of the guild, without roles."""
        guild = self.guilds[guild_id]
        guild.members[user_id] = Member(self.users[user_id], self.now())
        self.tell_member(guild, user_id, inside=True)
        self.announce(guild, "GUILD_MEMBER_ADD", guild.members[user_id].json(), intent=MEMBERS)

    def leave(self, guild_id: int, user_id: int, *, by: str = "human") -> None:
        """The person is no longer a member, and has no roles there any more."""
        guild = self.guilds[guild_id]
        member = guild.members.pop(user_id)
        for role_id in sorted(member.roles):
            self.tell_member(guild, user_id, role_id, inside=False, by=by)
        self.tell_member(guild, user_id, inside=False, by=by)
        self.announce(guild, "GUILD_MEMBER_REMOVE", {"user": member.user.json()}, intent=MEMBERS)

    def add_role(self, guild_id: int, user_id: int, role_id: int) -> None:
        """A human has given the member the role."""
        self.set_role(guild_id, user_id, role_id, has=True, by="human")

    def remove_role(self, guild_id: int, user_id: int, role_id: int) -> None:
        """A human has taken the role from the member."""
        self.set_role(guild_id, user_id, role_id, has=False, by="human")

    def set_role(self, guild_id: int, user_id: int, role_id: int, *, has: bool, by: str) -> None:
        """The member has the role or has it not; only a change is told."""
        guild = self.guilds[guild_id]
        member = guild.members[user_id]
        if (role_id in member.roles) == has:
            return
        (member.roles.add if has else member.roles.remove)(role_id)
        self.tell_member(guild, user_id, role_id, inside=True, has=has, by=by)
        self.member_changed(guild, member)

    def members_with(self, guild_id: int, role_id: int) -> set[int]:
        """The ids of the members who have the role."""
        return {user_id for user_id, member in self.guilds[guild_id].members.items() if role_id in member.roles}

    def can_see(self, channel_id: int, user_id: int) -> bool:
        """Whether the user sees the channel and so what lies in it."""
        channel = self.channels[channel_id]
        seen = discord_permissions.in_channel(channel, user_id) & discord_permissions.VIEW_CHANNEL
        return bool(seen) and not channel.deleted

    def close_dms(self, user_id: int, *, closed: bool = True) -> None:
        """The person takes no private messages from the bot (again, when not `closed`)."""
        self.users[user_id].dms_closed = closed

    # --- messages

    def messages(self, channel_id: int) -> list[Message]:
        """Everything that was ever in the channel, oldest first; deleted messages carry their mark."""
        return list(self.channels[channel_id].messages.values())

    def dm(self, user_id: int) -> list[Message]:
        """Everything that was ever in the private chat of this person and the bot, oldest first."""
        return list(self.dms[user_id].messages.values()) if user_id in self.dms else []

    def whispers(self, user_id: int) -> list[Message]:
        """The ephemeral answers that only this person sees or saw, oldest first."""
        shown = (message for one in self.interactions.values() for message in one.messages)
        return [message for message in shown if message.seen_by == user_id and not message.loading]

    def open_dm(self, user_id: int) -> Channel:
        """The private chat of this person and the bot."""
        if user_id not in self.dms:
            channel = Channel(self.new_id(), discord_places.DM, recipient=self.users[user_id], bot_id=self.bot.id)
            self.dms[user_id] = self.channels[channel.id] = channel
        return self.dms[user_id]

    # --- what the routes use

    def place_role(self, role: Role, position: int) -> None:
        """The role stands at the position; all are numbered anew from @everyone at 0."""
        guild = role.guild
        order = [one for one in guild.ordered_roles() if one.id not in {guild.id, role.id}]
        order.insert(max(0, position - 1), role)
        guild.roles[role.id] = role
        for number, one in enumerate(order, 1):
            one.position = number

    def add_channel(self, channel: Channel) -> Channel:
        """The channel or thread stands in its guild."""
        assert channel.guild is not None
        self.channels[channel.id] = channel.guild.channels[channel.id] = channel
        event = "THREAD_CREATE" if channel.is_thread else "CHANNEL_CREATE"
        self.announce(channel.guild, event, channel.json())
        return channel

    def tell_member(
        self,
        guild: Guild,
        user_id: int,
        role_id: int | None = None,
        *,
        inside: bool,
        has: bool = False,
        by: str = "human",
    ) -> None:
        """The history knows of a membership or, with a role, of who has it."""
        fields: dict[str, Any] = {"guild_id": guild.id, "user_id": user_id, "role_id": role_id}
        self.history.add("discord_member", **fields, inside=inside, has=has, by=by)

    def member_changed(self, guild: Guild, member: Member) -> None:
        """The bot is told; of itself without the members' intent too."""
        intent = 0 if member.user is self.bot else MEMBERS
        self.announce(guild, "GUILD_MEMBER_UPDATE", member.json(), intent=intent)

    def announce(self, guild: Guild, event: str, data: Json, *, intent: int = GUILDS) -> None:
        """The bot is told what happened in the guild, when it is in there and wants to know."""
        if self.bot.id in guild.members:
            self.gateway.dispatch(event, {"guild_id": str(guild.id), **data}, guild=guild, intent=intent)
