"""/setup: an operator chooses or has made the role and the channel of a place, and learns what is still missing.

Discord is asked first; what came of it is written down afterwards, together with the end of the kept question.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from bot.messages import text
from bot.platforms.discord import api, events, gate, hindrances, making, rights, wire
from core import errors, models, places, stack


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is answered, what the audit says, the places as they are to be written down, and what hinders us where."""

    message: messages.Message
    details: Mapping[str, Any]
    drafts: Sequence[models.Place] = ()
    findings: Mapping[str, Sequence[str]] = field(default_factory=dict)


TOO_LATE = Outcome(text.message("That came too late."), {"refused": "Discord did not answer in time."})


class Setup:
    """Carries out the orders of operators."""

    def __init__(self, connection: api.Api, opened: stack.Stack) -> None:
        self._api, self._stack = connection, opened

    async def carry_out(self, order: events.Order) -> Outcome:
        """What became of the order; raises UnreachableError or DiscordError during an outage."""
        try:
            return await self._allowed(order)(order)
        except errors.RefusedError as error:
            return Outcome(text.message(str(error)), {"refused": str(error)})
        except wire.RefusalError as error:
            known = {10004, 50001}
            words = hindrances.absent(self._api.application) if error.code in known else f"Discord refuses: {error}."
            return Outcome(_told("That did not work.", [], [words]), {"refused": words})

    def _allowed(self, order: events.Order) -> Callable[[events.Order], Awaitable[Outcome]]:
        """What carries out the order; raises RefusedError when that may not be."""
        if (events.PLATFORM, order.ask.external_id) not in self._stack.settings.admin_ids:
            raise errors.RefusedError("Only the operators of this service can set it up.")
        verbs = {"channels": self._channels, "roles": self._roles, "check": self._check}
        if not order.space or order.verb not in verbs:
            raise errors.RefusedError("Say this on the server that is to be set up.")
        return verbs[order.verb]

    # --- the orders

    async def _channels(self, order: events.Order) -> Outcome:
        work = await self._begun(order)
        if work.place.role not in work.house.roles:
            await making.role(self._api, work, "")
        await making.channel(self._api, work, order.values.get("channel", ""))
        return await self._ended(work)

    async def _roles(self, order: events.Order) -> Outcome:
        work = await self._begun(order)
        before = work.place.role
        await making.role(self._api, work, order.values.get("role", ""))
        if work.place.channel in work.house.channels:
            await making.gate(self._api, work, work.house.channels[work.place.channel], before)
        return await self._ended(work)

    async def _check(self, order: events.Order) -> Outcome:
        async with self._stack.db.reading() as session:
            found = await gate.at(session, order.space)
        if not found:
            raise errors.RefusedError("This server has no place of ours yet. Begin with /setup channels.")
        findings = {place.key: await hindrances.of(self._api, place) for place in found}
        lines = [
            row
            for place in found
            for row in (text.line(text.bold(place.name), f" ({place.key})"), *_listed(findings[place.key]), text.BLANK)
        ]
        message = text.message(text.line(text.bold("Places on this server")), *lines)
        return Outcome(message, {"findings": {key: list(faults) for key, faults in findings.items()}}, (), findings)

    async def _begun(self, order: events.Order) -> making.Work:
        house = await rights.house(self._api, order.space)
        async with self._stack.db.reading() as session:
            place = await self._place(session, order, house)
        pinned = next((one for one in self._stack.catalogue.places if one.key == place.key), None)
        fixed = {"channels": pinned.channel, "roles": pinned.role}[order.verb] if pinned else ""
        if fixed:
            what = order.verb.removesuffix("s")
            raise errors.RefusedError(f"signalstack.toml names the {what} of the place {place.key}; change it there.")
        return making.Work(place, house, self._stack.catalogue.service.name)

    async def _place(self, session: AsyncSession, order: events.Order, house: rights.House) -> models.Place:
        """The place that is meant, as a draft; a new one when this server has none."""
        here, wanted = await gate.at(session, order.space), order.values.get("place", "").strip().lower()
        if not wanted and len(here) > 1:
            keys = ", ".join(place.key for place in here)
            raise errors.RefusedError(f"This server has several places ({keys}); say which one with “place”.")
        declared = [one.key for one in self._stack.catalogue.places if one.space == order.space]
        taken = set(await session.scalars(select(models.Place.key)))
        key = wanted or (here[0].key if here else next(iter(declared), _free(taken)))
        row = await session.get(models.Place, key)
        if row is None:
            name = str(house.guild["name"])[:100]
            return _draft(
                models.Place(key=_checked(key), space=order.space, role="", channel="", name=name, symbols=[])
            )
        if (row.platform, row.space) != (events.PLATFORM, order.space):
            raise errors.RefusedError(f"The place {key} is somewhere else; choose another name.")
        return _draft(row)

    async def _ended(self, work: making.Work) -> Outcome:
        faults = [*work.missing, *await hindrances.of(self._api, work.place)]
        faults = list(dict.fromkeys(faults))
        head = "Not ready yet." if faults else "This place is ready."
        details = {"place": work.place.key, "done": work.done, "faults": faults}
        return Outcome(_told(head, work.done, faults), details, [work.place], {work.place.key: faults})


async def write(session: AsyncSession, order: events.Order, outcome: Outcome, held: stack.Stack) -> None:
    """What came of the order is in the tables, and the audit has its row."""
    now = held.clock()
    for draft in outcome.drafts:
        row = await session.get(models.Place, draft.key, with_for_update=True)
        if row is None:
            row = models.Place(key=draft.key, platform=events.PLATFORM, space=draft.space, fixed=False, created_at=now)
            row.name, row.symbols, row.fault = draft.name, [], ""
            session.add(row)
        row.role, row.channel, row.retired_at = draft.role, draft.channel, None
        await session.flush()
        await places.open_to_plans(session, row, held.catalogue)
    await places.inspected(session, outcome.findings, now=now)
    action = f"setup {order.verb}"[:64]
    details = {"space": order.space, **outcome.details}
    session.add(
        models.Audit(at=now, actor=f"{events.PLATFORM}:{order.ask.external_id}", action=action, details=details)
    )


def _draft(place: models.Place) -> models.Place:
    """A place that belongs to no session."""
    return models.Place(
        key=place.key, space=place.space, role=place.role, channel=place.channel, name=place.name, symbols=place.symbols
    )


def _free(taken: set[str]) -> str:
    names = [events.PLATFORM, *(f"{events.PLATFORM}-{n}" for n in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _checked(key: str) -> str:
    if not (key.replace("-", "").replace("_", "").isalnum() and key.isascii() and 1 <= len(key) <= 24):
        raise errors.RefusedError("The name of a place has at most 24 small letters, digits, “-” and “_”.")
    return key


def _told(head: str, done: Sequence[str], faults: Sequence[str]) -> messages.Message:
    rows = [f"· {sentence}" for sentence in done]
    missing = [text.BLANK, text.line(text.bold("Still to do")), *_listed(faults)] if faults else []
    return text.message(text.line(text.bold(head)), *rows, *missing)


def _listed(faults: Sequence[str]) -> list[text.Line]:
    """What is missing; our own invitation, and nothing that people wrote, is a link."""
    if not faults:
        return [text.line("Everything is in order.")]
    rows = []
    for sentence in faults:
        before, link, address = sentence.partition(hindrances.INVITATION)
        rows.append(text.line(f"· {before}", text.Span(f"{link}{address}", live=True)))
    return rows
