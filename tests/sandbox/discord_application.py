"""REST routes of the Discord stand-in for the bot itself: who it is, its application and its commands."""

from typing import TYPE_CHECKING, Any

from tests.sandbox import discord_guilds, discord_wire

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Json = dict[str, Any]
Call = discord_wire.Call


def me(world: "discord_world.World", _call: Call) -> Json:
    """GET /users/@me."""
    return world.bot.json() | {"mfa_enabled": False, "locale": "en-US", "verified": True, "email": None}


def user(world: "discord_world.World", call: Call) -> Json:
    """GET /users/{user}."""
    found = world.users.get(call.id("user_id"))
    if found is None:
        raise discord_wire.refused(10013)
    return found.json()


def application(world: "discord_world.World", _call: Call) -> Json:
    """GET /applications/@me and /oauth2/applications/@me."""
    guilds = sum(world.bot.id in guild.members for guild in world.guilds.values())
    flags = world.gateway.application_flags
    owner = next((world.users[guild.owner] for guild in world.guilds.values()), world.bot)
    nothing = ("icon", "type", "interactions_endpoint_url", "role_connections_verification_url", "team")
    body: Json = dict.fromkeys(nothing) | {"id": str(world.bot.id), "name": world.bot.name, "description": ""}
    body |= {"bot": world.bot.json(), "bot_public": True, "bot_require_code_grant": False, "verify_key": "0" * 64}
    body |= {"flags": flags, "flags_new": str(flags), "redirect_uris": [], "owner": owner.json()}
    body |= {"approximate_guild_count": guilds, "approximate_user_install_count": 0}
    body |= {"approximate_user_authorization_count": 0, "explicit_content_filter": 0, "eligible_oauth2_scopes": []}
    return body


def commands(world: "discord_world.World", call: Call) -> list[Json]:
    """GET /applications/{application}/commands, or those of a guild."""
    return world.commands.of(_scope(world, call))


def put_commands(world: "discord_world.World", call: Call) -> list[Json]:
    """PUT /applications/{application}/commands, or those of a guild: exactly these are registered."""
    scope = _scope(world, call)
    if not isinstance(call.body, list):
        raise discord_wire.invalid("_", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    made, new = world.commands.replace(world.bot.id, scope, call.body)
    names = [command["name"] for command in made]
    world.history.add("discord_commands_put", guild_id=scope, names=names, count=len(made), created=new)
    return made


def _scope(world: "discord_world.World", call: Call) -> int | None:
    if call.id("application_id") != world.bot.id:
        raise discord_wire.Refused(403, 20012, "You are not authorized to perform this action on this application")
    return discord_guilds.known(world, call).id if "guild_id" in call.ids else None
