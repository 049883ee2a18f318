"""Rounds through the gated places of one platform: every ten minutes, who is inside is held against who may be.

One process at a time makes them. Events have told most of it already; a round finds what they did not tell, repairs it
both ways, and leaves an account that `/drift` shows. Asking the platform and writing down what it said are two steps,
so that no transaction waits for a network.
"""

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import platforms
from core import doors, errors, leases, models, places, rounds, stack, work

EVERY = timedelta(minutes=10)
KNOWN_AT_ONCE = 1000
"""People a round asks about one by one where a platform does not list who is inside; the longest unasked first."""
_LOOK = 5.0
_PATIENCE = 240.0  # seconds that one place may take
log = structlog.get_logger()


class Doorkeeper:
    """Makes the rounds of one platform; `wake` on the bell's topic `places:NAME` begins one at once."""

    def __init__(self, held: stack.Stack, platform: platforms.Platform) -> None:
        self._stack, self._platform = held, platform
        self._lease = f"places.{platform.name}"
        self._epoch: int | None = None
        self._asked = True  # the first round follows the start
        self.pulse = work.Pulse(held, f"{platform.name}.places", limit=_PATIENCE + 60)

    async def run(self, stop: asyncio.Event) -> None:
        """Rounds are made until `stop` is set."""
        await work.repeat(self.pulse.part, self._step, stop)
        if self._epoch is not None:
            async with self._stack.db.transaction() as session:
                await leases.release(session, self._lease, self._epoch, now=self._stack.clock())

    async def _step(self) -> None:
        await self.pulse.beat()
        if await self._due():
            await self.round()
        self._asked = await self._stack.bell.wait(f"places:{self._platform.name}", timeout=_LOOK)

    async def _due(self) -> bool:
        """Whether this process leads and a round is due: after ten minutes, at the start, when somebody rang, or when
        an operator has let go of what the last one held back.
        """
        now = self._stack.clock()
        async with self._stack.db.transaction() as session:
            self._epoch = await leases.acquire(
                session, self._lease, self._stack.holder, ttl=max(60.0, 2 * _LOOK), now=now
            )
            if self._epoch is None:
                return False
            last = await self.last(session)
        return self._asked or last is None or last.at + EVERY <= now or bool(last.held and last.released_by)

    async def last(self, session: AsyncSession) -> models.Round | None:
        """The account of the last round, if there was one."""
        mine = select(models.Round).where(models.Round.platform == self._platform.name)
        return await session.scalar(mine.order_by(models.Round.id.desc()).limit(1))

    async def round(self) -> None:
        """Every place of the platform was looked at, and what was found and done is written down."""
        now = self._stack.clock()
        async with self._stack.db.reading() as session:
            found = await places.active(session, self._platform.name)
            last = await self.last(session)
        if not found:
            return
        released = last.facts if last and last.held and last.released_by else {}
        facts = {place.key: await self._place(place, released.get(place.key, {}).get("held", 0)) for place in found}
        held = sum(one.get("held", 0) for one in facts.values())
        async with self._stack.db.transaction() as session:
            session.add(models.Round(platform=self._platform.name, at=now, facts=facts, held=held))
        self._stack.bell.ring(f"outbox:{self._platform.name}")
        log.info("places_compared", platform=self._platform.name, places=len(facts), held=held)

    async def _place(self, place: models.Place, released: int) -> dict[str, Any]:
        """What was found and done in one place, whose operator has let so many people go; an outage is no finding."""
        now = self._stack.clock()
        try:
            async with asyncio.timeout(_PATIENCE):
                faults = await self._platform.inspect(place)
                async with self._stack.db.transaction() as session:
                    await places.inspected(session, {place.key: faults}, now=now)
                if faults:
                    return {"fault": " ".join(faults)}
                async with self._stack.db.transaction() as session:
                    known = await rounds.to_look_at(session, place, KNOWN_AT_ONCE, now=now)
                roster = await self._platform.roster(place, known)
        except (errors.UnreachableError, TimeoutError) as error:
            log.warning("place_not_looked_at", place=place.key, error=str(error))
            return {"fault": "The platform did not answer."}
        async with self._stack.db.transaction() as session:
            here = await session.get_one(models.Place, place.key, with_for_update=True)
            # Let go once, and as a whole; a few may have come to it since the operator looked.
            allowance = released + doors.BRAKE_LEAST if released else None
            found = await rounds.compare(session, here, roster, allowance=allowance, now=self._stack.clock())
        return asdict(found)
