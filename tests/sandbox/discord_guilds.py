"""REST routes of the Discord stand-in for guilds, roles and members."""

from typing import TYPE_CHECKING, Any

from tests.sandbox import discord_channels, discord_places
from tests.sandbox import discord_permissions as may
from tests.sandbox import discord_wire as wire

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Json = dict[str, Any]
Call = wire.Call
Guild = discord_places.Guild
Member = discord_places.Member
Role = discord_places.Role


def known(world: "discord_world.World", call: Call, bits: int = 0) -> Guild:
    """The guild in the path, in which the bot is and has these permissions. Refused with 10004 or 50013."""
    guild = world.guilds.get(call.id("guild_id"))
    if guild is None or world.bot.id not in guild.members:
        raise wire.refused(10004)
    if may.of_member(guild, world.bot.id) & bits != bits:
        raise wire.refused(50013)
    return guild


def get(world: "discord_world.World", call: Call) -> Json:
    """GET /guilds/{guild}."""
    guild = known(world, call)
    counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
    return guild.json() | (counts if call.flag("with_counts") else {})


def mine(world: "discord_world.World", _call: Call) -> list[Json]:
    """GET /users/@me/guilds."""
    found = []
    for guild in sorted(world.guilds.values(), key=lambda guild: guild.id):
        if world.bot.id in guild.members:
            body: Json = {"id": str(guild.id), "name": guild.name, "icon": None, "banner": None, "features": []}
            body["permissions"] = str(may.of_member(guild, world.bot.id))
            found.append(body | {"owner": guild.owner == world.bot.id})
    return found


def leave(world: "discord_world.World", call: Call) -> None:
    """DELETE /users/@me/guilds/{guild}."""
    world.kick_bot(known(world, call).id)


def channels(world: "discord_world.World", call: Call) -> list[Json]:
    """GET /guilds/{guild}/channels, without threads."""
    return [channel.json() for channel in known(world, call).channels.values() if not channel.is_thread]


def create_channel(world: "discord_world.World", call: Call) -> Json:
    """POST /guilds/{guild}/channels."""
    return discord_channels.create(world, known(world, call, may.MANAGE_CHANNELS), call)


def threads(world: "discord_world.World", call: Call) -> Json:
    """GET /guilds/{guild}/threads/active."""
    found = [one for one in known(world, call).channels.values() if one.is_thread and not one.archived]
    return {"threads": [one.json() for one in found], "members": [], "has_more": False}


# --- roles


def roles(world: "discord_world.World", call: Call) -> list[Json]:
    """GET /guilds/{guild}/roles."""
    return [role.json() for role in known(world, call).ordered_roles()]


def role(world: "discord_world.World", call: Call) -> Json:
    """GET /guilds/{guild}/roles/{role}."""
    return _role(known(world, call), call).json()


def create_role(world: "discord_world.World", call: Call) -> Json:
    """POST /guilds/{guild}/roles: right above @everyone, with no more than the bot itself may."""
    guild = known(world, call, may.MANAGE_ROLES)
    made = Role(world.new_id(), guild, "new role")
    _fill(world, made, call.form)
    world.place_role(made, 1)
    world.announce(guild, "GUILD_ROLE_CREATE", {"role": made.json()})
    return made.json()


def edit_role(world: "discord_world.World", call: Call) -> Json:
    """PATCH /guilds/{guild}/roles/{role}."""
    guild = known(world, call, may.MANAGE_ROLES)
    changed = _role(guild, call)
    _check_below(world, guild, changed)
    _fill(world, changed, call.form)
    world.announce(guild, "GUILD_ROLE_UPDATE", {"role": changed.json()})
    return changed.json()


def move_roles(world: "discord_world.World", call: Call) -> list[Json]:
    """PATCH /guilds/{guild}/roles: positions, neither of a role nor to a place that is not below the bot's own."""
    guild = known(world, call, may.MANAGE_ROLES)
    for n, entry in enumerate(call.body or []):
        moved = guild.roles.get(wire.snowflake(entry.get("id"), f"{n}.id"))
        if moved is None:
            raise wire.refused(10011)
        _check_below(world, guild, moved)
        position = entry.get("position")
        if position is None or position == moved.position:
            continue
        if position >= guild.top_position(world.bot.id):
            raise wire.refused(50013)
        world.move_role(guild.id, moved.id, int(position))
    return roles(world, call)


def delete_role(world: "discord_world.World", call: Call) -> None:
    """DELETE /guilds/{guild}/roles/{role}."""
    guild = known(world, call, may.MANAGE_ROLES)
    gone = _role(guild, call)
    if gone.id == guild.id:
        raise wire.refused(50028)
    _check_below(world, guild, gone)
    world.delete_role(guild.id, gone.id, by="bot")


def _role(guild: Guild, call: Call) -> Role:
    found = guild.roles.get(call.id("role_id"))
    if found is None:
        raise wire.refused(10011)
    return found


def _check_below(world: "discord_world.World", guild: Guild, target: Role) -> None:
    """The bot's highest role is above this one, and nobody else manages it. Refused with 50013."""
    foreign = target.bot_id is not None and target.bot_id != world.bot.id
    if guild.owner != world.bot.id and (foreign or guild.top_position(world.bot.id) <= target.position):
        raise wire.refused(50013)


def _fill(world: "discord_world.World", target: Role, body: Json) -> None:
    if body.get("name") is not None and len(str(body["name"])) > 100:
        raise wire.too_long("name", 100)
    if body.get("permissions") is not None:
        bits = int(body["permissions"])
        if bits & ~may.of_member(target.guild, world.bot.id):
            raise wire.refused(50013)
        target.permissions = bits
    for name in ("name", "color", "hoist", "mentionable"):
        if body.get(name) is not None:
            setattr(target, name, body[name])
    if colors := body.get("colors"):
        target.color = int(colors.get("primary_color") or 0)


# --- members


def members(world: "discord_world.World", call: Call) -> list[Json]:
    """GET /guilds/{guild}/members, by id. Refused with 50001 without the privileged intent."""
    guild = known(world, call)
    limit = call.integer("limit", 1, 1000, 1)
    if not world.gateway.privileged:
        raise wire.refused(50001)
    after = int(call.query.get("after", 0))
    chosen = sorted(user_id for user_id in guild.members if user_id > after)[:limit]
    return [guild.members[user_id].json() for user_id in chosen]


def member(world: "discord_world.World", call: Call) -> Json:
    """GET /guilds/{guild}/members/{user}."""
    return _member(world, known(world, call), call).json()


def edit_member(world: "discord_world.World", call: Call) -> Json:
    """PATCH /guilds/{guild}/members/{user or @me}: nickname and roles."""
    guild = known(world, call)
    changed = guild.members[world.bot.id] if call.ids.get("user_id") is None else _member(world, guild, call)
    bits = may.of_member(guild, world.bot.id)
    if "nick" in call.form:
        if not bits & (may.CHANGE_NICKNAME if changed.user is world.bot else may.MANAGE_NICKNAMES):
            raise wire.refused(50013)
        changed.nick = call.form["nick"] or None
        world.member_changed(guild, changed)
    if call.form.get("roles") is not None:
        wanted = {wire.snowflake(one, "roles") for one in call.form["roles"]}
        differing = sorted(wanted ^ changed.roles)
        for role_id in differing:
            _check_gift(world, guild, role_id)
        for role_id in differing:
            world.set_role(guild.id, changed.user.id, role_id, has=role_id in wanted, by="bot")
    return changed.json()


def kick(world: "discord_world.World", call: Call) -> None:
    """DELETE /guilds/{guild}/members/{user}."""
    guild = known(world, call, may.KICK_MEMBERS)
    gone = _member(world, guild, call)
    if gone.user.id == guild.owner or guild.top_position(gone.user.id) >= guild.top_position(world.bot.id):
        raise wire.refused(50013)
    world.leave(guild.id, gone.user.id, by="bot")


def set_role(world: "discord_world.World", call: Call) -> None:
    """PUT or DELETE /guilds/{guild}/members/{user}/roles/{role}. Having it already, or not having it, is no error."""
    guild = known(world, call)
    changed = _member(world, guild, call)
    role_id = _role(guild, call).id
    _check_gift(world, guild, role_id)
    world.set_role(guild.id, changed.user.id, role_id, has=call.method == "PUT", by="bot")


def _member(world: "discord_world.World", guild: Guild, call: Call) -> Member:
    user_id = call.id("user_id")
    if user_id not in guild.members:
        raise wire.refused(10007 if user_id in world.users else 10013)
    return guild.members[user_id]


def _check_gift(world: "discord_world.World", guild: Guild, role_id: int) -> None:
    """The bot may give and take the role. Refused with 50013, 50028 or 10011."""
    target = guild.roles.get(role_id)
    if target is None:
        raise wire.refused(10011)
    if target.id == guild.id:
        raise wire.refused(50028)
    if target.bot_id is not None or not may.of_member(guild, world.bot.id) & may.MANAGE_ROLES:
        raise wire.refused(50013)
    _check_below(world, guild, target)
