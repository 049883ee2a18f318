"""The routes of Discord's REST API that the stand-in answers, found by method and path."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sandbox import (
    discord_application,
    discord_channels,
    discord_guilds,
    discord_interactions,
    discord_messages,
    discord_wire,
)

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Answer = Callable[["discord_world.World", discord_wire.Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """`open`: needs no token of the bot, and the limit over all routes does not count it."""

    method: str
    path: str
    answer: Answer
    status: int = 200
    open: bool = False


COMMANDS = "/applications/{application_id}"
WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
CHANNEL, MESSAGES = "/channels/{channel_id}", "/channels/{channel_id}/messages"
GUILD, MEMBER = "/guilds/{guild_id}", "/guilds/{guild_id}/members/{user_id}"

ROUTES = (
    Route("GET", "/users/@me", discord_application.me),
    Route("GET", "/users/{user_id}", discord_application.user),
    Route("GET", "/users/@me/guilds", discord_guilds.mine),
    Route("DELETE", "/users/@me/guilds/{guild_id}", discord_guilds.leave),
    Route("POST", "/users/@me/channels", discord_channels.open_dm),
    Route("GET", "/applications/@me", discord_application.application),
    Route("GET", "/oauth2/applications/@me", discord_application.application),
    Route("GET", f"{COMMANDS}/commands", discord_application.commands),
    Route("PUT", f"{COMMANDS}/commands", discord_application.put_commands),
    Route("GET", f"{COMMANDS}/guilds/{{guild_id}}/commands", discord_application.commands),
    Route("PUT", f"{COMMANDS}/guilds/{{guild_id}}/commands", discord_application.put_commands),
    Route(
        "POST", "/interactions/{interaction_id}/{interaction_token}/callback", discord_interactions.callback, open=True
    ),
    Route("POST", WEBHOOK, discord_interactions.follow_up, open=True),
    Route("GET", f"{WEBHOOK}/messages/@original", discord_interactions.get_answer, open=True),
    Route("PATCH", f"{WEBHOOK}/messages/@original", discord_interactions.edit_answer, open=True),
    Route("DELETE", f"{WEBHOOK}/messages/@original", discord_interactions.delete_answer, open=True),
    Route("GET", f"{WEBHOOK}/messages/{{message_id}}", discord_interactions.get_answer, open=True),
    Route("PATCH", f"{WEBHOOK}/messages/{{message_id}}", discord_interactions.edit_answer, open=True),
    Route("DELETE", f"{WEBHOOK}/messages/{{message_id}}", discord_interactions.delete_answer, open=True),
    Route("GET", CHANNEL, discord_channels.get),
    Route("PATCH", CHANNEL, discord_channels.edit),
    Route("DELETE", CHANNEL, discord_channels.delete),
    Route("POST", f"{CHANNEL}/typing", discord_channels.typing, 204),
    Route("PUT", f"{CHANNEL}/permissions/{{overwrite_id}}", discord_channels.put_overwrite),
    Route("DELETE", f"{CHANNEL}/permissions/{{overwrite_id}}", discord_channels.delete_overwrite),
    Route("POST", f"{CHANNEL}/threads", discord_channels.thread, 201),
    Route("PUT", f"{CHANNEL}/thread-members/{{user_id}}", discord_channels.thread_member),
    Route("DELETE", f"{CHANNEL}/thread-members/{{user_id}}", discord_channels.thread_member),
    Route("GET", MESSAGES, discord_messages.listed),
    Route("POST", MESSAGES, discord_messages.create),
    Route("GET", f"{MESSAGES}/{{message_id}}", discord_messages.get),
    Route("PATCH", f"{MESSAGES}/{{message_id}}", discord_messages.edit),
    Route("DELETE", f"{MESSAGES}/{{message_id}}", discord_messages.delete),
    Route("POST", f"{MESSAGES}/{{message_id}}/crosspost", discord_messages.crosspost),
    Route("POST", f"{MESSAGES}/{{message_id}}/threads", discord_channels.thread_from_message, 201),
    Route("PUT", f"{MESSAGES}/pins/{{message_id}}", discord_messages.pin),
    Route("DELETE", f"{MESSAGES}/pins/{{message_id}}", discord_messages.pin),
    Route("GET", GUILD, discord_guilds.get),
    Route("GET", f"{GUILD}/channels", discord_guilds.channels),
    Route("POST", f"{GUILD}/channels", discord_guilds.create_channel, 201),
    Route("GET", f"{GUILD}/threads/active", discord_guilds.threads),
    Route("GET", f"{GUILD}/roles", discord_guilds.roles),
    Route("POST", f"{GUILD}/roles", discord_guilds.create_role),
    Route("PATCH", f"{GUILD}/roles", discord_guilds.move_roles),
    Route("GET", f"{GUILD}/roles/{{role_id}}", discord_guilds.role),
    Route("PATCH", f"{GUILD}/roles/{{role_id}}", discord_guilds.edit_role),
    Route("DELETE", f"{GUILD}/roles/{{role_id}}", discord_guilds.delete_role),
    Route("GET", f"{GUILD}/members", discord_guilds.members),
    Route("PATCH", f"{GUILD}/members/@me", discord_guilds.edit_member),
    Route("GET", MEMBER, discord_guilds.member),
    Route("PATCH", MEMBER, discord_guilds.edit_member),
    Route("DELETE", MEMBER, discord_guilds.kick),
    Route("PUT", f"{MEMBER}/roles/{{role_id}}", discord_guilds.set_role),
    Route("DELETE", f"{MEMBER}/roles/{{role_id}}", discord_guilds.set_role),
)

_BY_SHAPE: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
for _route in ROUTES:
    _parts = _route.path.split("/")
    _BY_SHAPE.setdefault((_route.method, len(_parts)), []).append((_parts, _route))
for _found in _BY_SHAPE.values():
    # Names written out win over placeholders: /users/@me is not a user called @me.
    _found.sort(key=lambda entry: sum(part.startswith("{") for part in entry[0]))


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a path, with what stands in its placeholders."""
    given = path.split("/")
    for parts, route in _BY_SHAPE.get((method, len(given)), []):
        if all(part == name or part.startswith("{") for part, name in zip(parts, given, strict=True)):
            named = zip(parts, given, strict=True)
            return route, {part[1:-1]: name for part, name in named if part.startswith("{")}
    return None
