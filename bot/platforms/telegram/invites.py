"""Ways into places: each person has a link of their own, over which they ask to join; who may, is decided when they do.

So a link that is passed on lets in nobody, and needs neither a limit nor an end.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from telegram import error as failures

from bot import platforms
from bot.platforms.telegram import api, gate, hindrances, sending, updates
from core import db, members, places, stack
from core.delivery import outcomes
from core.models import Place, Presence


async def ways(bot: api.Api, held: stack.Stack, parcel: platforms.Parcel) -> Mapping[str, str]:
    """The addresses that lead the person at this address into the places that the message has buttons for.

    A place is missing when there is no way for them, or we may not make one, which stands as its alarm then. Raises
    TelegramError when Telegram does not say.
    """
    wanted = {button.place for row in parcel.message.buttons for button in row if button.place}
    if not wanted or sending.group(parcel.address):
        return {}
    found = {key: await _way(bot, held, key, parcel.address) for key in sorted(wanted)}
    return {key: address for key, address in found.items() if address}


def unsent(error: failures.TelegramError, address: str) -> outcomes.Outcome:
    """What became of a message for which no way was found: it has not left, whatever else is unclear."""
    outcome = sending.outcome(error, address)
    fitting = isinstance(outcome, outcomes.NotSent | outcomes.Fatal)
    return outcome if fitting else outcomes.NotSent(f"no way into its place: {type(error).__name__}")


async def _way(bot: api.Api, held: stack.Stack, key: str, person: str) -> str:
    async with held.db.reading() as session:
        place = await session.get(Place, key)
        who = await members.find(session, updates.PLATFORM, person)
        known = await session.scalar(select(Presence.link).filter_by(place=key, external_id=person)) or ""
    if place is None or place.platform != updates.PLATFORM or place.retired_at is not None or who is None:
        return ""
    asked: dict[str, Any] = {"chat_id": int(place.space), "name": f"member {who.member_id}"}
    asked["creates_join_request"] = True
    try:
        if known and await _stands(bot, {**asked, "invite_link": known}):
            return known
        made = await bot.call("createChatInviteLink", asked)
    except failures.ChatMigrated as error:
        await gate.follow(held, place.space, str(error.new_chat_id))
        raise
    except failures.TelegramError as error:
        if not (hindrance := hindrances.of(error, hindrances.INVITE, place.space)):
            raise
        await _bar(held, key, hindrance)
        return ""
    if not isinstance(made, dict) or not made.get("invite_link"):
        raise failures.TelegramError("Invalid server response")
    return await _kept(held, key, person, str(made["invite_link"]), known)


async def _stands(bot: api.Api, asked: dict[str, Any]) -> bool:
    """Whether the link still works: an administrator may have revoked it, of which nobody tells us.

    Writing the same name on it again changes nothing and is refused for a link that is no more.
    """
    try:
        link = await bot.call("editChatInviteLink", asked)
    except failures.BadRequest as error:
        return "invite_hash" not in error.message.lower()
    except (failures.ChatMigrated, failures.RetryAfter):
        raise
    except failures.TelegramError:
        return True
    return not (isinstance(link, dict) and link.get("is_revoked"))


async def _kept(held: stack.Stack, key: str, person: str, link: str, instead_of: str) -> str:
    """The link that is theirs from now on: this one, unless another message has brought them one meanwhile."""
    async with held.db.transaction() as session:
        row = db.insert(session, Presence).values(place=key, external_id=person, link=link)
        free = Presence.link == instead_of
        index = ["place", "external_id"]
        await session.execute(row.on_conflict_do_update(index_elements=index, set_={"link": link}, where=free))
        return await session.scalar(select(Presence.link).filter_by(place=key, external_id=person)) or link


async def _bar(held: stack.Stack, key: str, hindrance: str) -> None:
    async with held.db.transaction() as session:
        place = await session.get(Place, key, with_for_update=True)
        if place is not None:
            await places.barred(session, place, hindrance, now=held.clock())
