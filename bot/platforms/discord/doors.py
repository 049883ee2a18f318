"""One attempt at a place's door, which on Discord is a role that is given or taken; and who has it.

Giving what somebody has, or taking what they do not have, changes nothing, so each attempt can be repeated.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from bot import platforms
from bot.platforms.discord import api, hindrances, rights, wire
from core import errors, log, models, rounds
from core.delivery import outcomes

Json = dict[str, Any]

GUILD, MEMBERS = "/guilds/{guild_id}", "/guilds/{guild_id}/members"
ROLE = "/guilds/{guild_id}/members/{user_id}/roles/{role_id}"
MEMBER = "/guilds/{guild_id}/members/{user_id}"
PAGE = 1000
_DONE = outcomes.Sent("")
_NOBODY = frozenset({10007, 10013})
_UNKNOWN_GUILD, _UNKNOWN_ROLE, _INVALID_ROLE = 10004, 10011, 50028
_MISSING = frozenset({50001, 50013})
_TWO_FACTOR = 60003


async def attempt(connection: api.Api, act: platforms.Act) -> outcomes.Outcome:  # noqa: PLR0911 - one table
    """What became of the attempt."""
    ids = {"guild_id": act.space, "user_id": act.user, "role_id": act.role}
    try:
        match act.act:
            case _ if not act.role:
                return outcomes.Barred(hindrances.NO_ROLE)
            case "give":
                await connection.call("PUT", ROLE, ids, reason="subscribed")
            case "take":
                return await _take(connection, act, ids)
            case _:
                return outcomes.Refused(f"nothing on Discord is called “{act.act}”")
    except wire.NotBegunError as error:
        return outcomes.NotSent(_said(error), error.after, "all" if error.pause == "all" else "")
    except wire.UnclearError as error:
        return outcomes.Ambiguous(_said(error), harmless=True)
    except wire.RefusalError as error:
        return await _refused(connection, act, error)
    except (AttributeError, KeyError, TypeError) as error:
        return outcomes.Ambiguous(f"Discord's answer has not the documented shape ({error})", harmless=True)
    return _DONE


async def _take(connection: api.Api, act: platforms.Act, ids: dict[str, str]) -> outcomes.Outcome:
    member = await connection.call("GET", MEMBER, {"guild_id": act.space, "user_id": act.user})
    if act.role not in member["roles"]:
        return _DONE
    guild = await connection.call("GET", GUILD, {"guild_id": act.space})
    if rights.kept(guild, member):
        return outcomes.Kept("the server's owner, an administrator or a bot")
    await connection.call("DELETE", ROLE, ids, reason="no longer subscribed")
    return _DONE


async def _refused(  # noqa: PLR0911 - one table
    connection: api.Api, act: platforms.Act, error: wire.RefusalError
) -> outcomes.Outcome:
    reason = _said(error)
    if error.code in _NOBODY:
        # Nobody who left has a role, so taking it has succeeded; giving it has to wait until they are back.
        return _DONE if act.act == "take" else outcomes.Blocked(f"not on the server: {reason}")
    if error.status == 401:
        return outcomes.Fatal(reason)
    if error.code == _UNKNOWN_GUILD:
        return outcomes.Barred(hindrances.absent(connection.application))
    if error.code in {_UNKNOWN_ROLE, _INVALID_ROLE}:
        return outcomes.Barred(hindrances.ROLE_GONE)
    if error.code == _TWO_FACTOR:
        return outcomes.Barred(hindrances.TWO_FACTOR)
    if error.code in _MISSING:
        return outcomes.Barred(await _lacking(connection, act, reason))
    return outcomes.Barred(f"Discord refuses: {reason}") if error.status in {403, 404} else outcomes.Refused(reason)


async def _lacking(connection: api.Api, act: platforms.Act, reason: str) -> str:
    """Why we may not give or take this role, as well as can be found out."""
    try:
        house = await rights.house(connection, act.space)
    except wire.RefusalError:
        return hindrances.absent(connection.application)
    except errors.UnreachableError:
        return f"{hindrances.MANAGE_ROLES} ({reason})"
    return " ".join(hindrances.about_role(house, act.role)) or hindrances.MANAGE_ROLES


def _said(error: wire.DiscordError) -> str:
    return log.redacted(f"Discord: {error}")[:300]


async def roster(connection: api.Api, place: models.Place, *, clock: Callable[[], datetime]) -> rounds.Roster:
    """Who has the role of this place, and who is on the server; raises UnreachableError when nobody can tell."""
    at, requests = clock(), 1
    inside: dict[str, bool] = {}
    everybody: set[str] = set()
    try:
        with api.documented():
            guild = await connection.fetch(GUILD, {"guild_id": place.space})
            async for page in _pages(connection, place.space):
                requests += 1
                everybody |= {str(member["user"]["id"]) for member in page}
                for member in page:
                    if place.role and place.role in member["roles"]:
                        inside[str(member["user"]["id"])] = rights.kept(guild, member)
    except wire.RefusalError as error:
        raise errors.UnreachableError(
            f"Discord does not list the members of the server {place.space} ({error}); is “Server Members Intent” on?"
        ) from None
    if connection.me not in everybody:  # whoever is asked is a member too
        raise errors.UnreachableError(f"Discord does not list all members of the server {place.space}.")
    found = frozenset(everybody)
    return rounds.Roster(at, inside, reachable=found, whole=True, count=len(inside), requests=requests)


async def _pages(connection: api.Api, space: str) -> AsyncIterator[list[Json]]:
    """Every member of the server, page by page."""
    after = "0"
    while True:
        page = await connection.fetch(MEMBERS, {"guild_id": space}, {"limit": PAGE, "after": after})
        yield page
        if len(page) < PAGE:
            return
        after = max((member["user"]["id"] for member in page), key=int)
