"""A place on one platform with the whole cast in it: what they ask takes its whole way, and what comes back is read."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select

from bot import courier, pictures
from core import bell, catalogue, inbox, linking, models, stack
from core.delivery import pacing
from core.models import Audit, Delivery, Identity
from tests.bot import stage as stages
from tests.rights import cast as casting
from tests.rights import judge, market, table
from tests.sandbox import checker_reading, history

Row = dict[str, Any]
_TOLD = frozenset({"telegram_message", "telegram_edit", "discord_message", "discord_ephemeral", "discord_edit"})
_LINES = 80
"""More than are ever said in one scene."""
_MOVED = (models.Grant, models.Switch, models.Round, models.Place, models.PlacePlan, models.Subscription)
"""Tables in which operators' commands move something."""


@dataclass(slots=True)
class Heard:
    """What came back to somebody who asked: to them alone, and where others read it too."""

    home: list[judge.Shown] = field(default_factory=list)
    public: list[judge.Shown] = field(default_factory=list)


class Scene:
    """One place of the table; subclasses know how people speak on their platform."""

    def __init__(self, place: table.Place, held: stack.Stack, bot: Any, book: catalogue.Catalogue) -> None:
        self.place, self.held, self.bot, self.book = place, held, bot, book
        self.cast = casting.Cast(place.platform)
        self.things: dict[str, Any] = {}
        """What stands in the braces of lines."""
        self.unasked: list[judge.Shown] = []
        """What lay in chats and answers nobody."""
        self._seen = self._noted = 0
        self._renewed = 0
        self._bell = bell.Bell()
        self._busy: Callable[[], bool] = bool

    # --- what a platform knows

    @property
    def history(self) -> history.History:
        raise NotImplementedError

    @property
    def public_chats(self) -> frozenset[checker_reading.Chat]:
        """Chats of the scene that everybody reads."""
        raise NotImplementedError

    @property
    def gated_chats(self) -> frozenset[checker_reading.Chat]:
        """Places of ours, in which signals are posted."""
        raise NotImplementedError

    def asked_in(self, person: casting.Person) -> str:
        """The number of the chat in which this person asks here."""
        raise NotImplementedError

    async def furnish(self) -> None:
        """Everybody is where their kind is, on the platform's side."""
        raise NotImplementedError

    async def speak(self, command: str, said: str, actors: Sequence[str], *, button: bool) -> dict[str, str]:
        """They have said it, and it waits in the inbox; whose each event is, by its number."""
        raise NotImplementedError

    async def answers(self, events: Mapping[str, str], rows: Sequence[Row]) -> dict[str, Heard]:
        """What each of these events brought, out of these rows of the history."""
        raise NotImplementedError

    # --- the product

    async def prepare(self) -> None:
        """Everybody is known as their kind is, a signal is open and lies where it belongs."""
        now = self.held.clock()
        async with self.held.db.transaction() as session:
            await market.stock(session, self.book, now)
            await casting.fill(session, self.cast, self.book, now, lines=_LINES)
        await self.furnish()
        async with self.held.db.transaction() as session:
            opened, closed = await market.publish(session, self.book, now)
            target = self.cast.now[casting.TARGET]
            self.things |= {"open": opened, "closed": closed, "target": f"{target.platform}:{target.number}"}
            self.things |= await self._pending(session)
        self.ring()

    async def _pending(self, session: Any) -> dict[str, int]:
        """A wish to link that waits for a yes, a message to everybody that waits for one, and people held back."""
        now, parts = self.held.clock(), self.cast.now
        payer, target, operator = (parts[kind] for kind in (table.PAYING, casting.TARGET, table.OPERATOR))
        maker, user = [await casting.meet(session, person, now) for person in (target, payer)]
        pair = await linking.use(session, user, await linking.offer(session, maker, now=now), now=now)
        actor = f"{operator.platform}:{operator.number}"
        details = {"words": market.NEWS}
        draft = Audit(at=now, actor=actor, action="broadcast_drafted", details=details)
        session.add_all([draft, models.Round(platform=self.place.platform, at=now, facts={}, held=7)])
        await session.flush()
        return {"request": pair.request.id, "draft": draft.id}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers are delivered until the block ends; when it begins, nothing waits any more."""
        await self.rest()
        async with self._working(urgent=True):
            yield

    async def rest(self) -> None:
        """What nobody asked for, openings and notices and doors, has been delivered too."""
        async with self._working(urgent=False):
            await self.settled(Delivery.kind != "reply")
        self.unasked += [self.shown(row) for row in self.news()]

    @asynccontextmanager
    async def _working(self, *, urgent: bool) -> AsyncIterator[None]:
        name, stop = self.place.platform, asyncio.Event()
        # The courier hears our bell only, so that what is asked together is delivered together.
        held = replace(self.held, bell=self._bell)
        shown, pacer = pictures.Pictures(held, name), pacing.Pacer(name, stages.FAST)
        one = courier.Courier(held, self.bot, pacer, shown, urgent=urgent)
        # As many at a time as ask at a time.
        one._places, one._window = len(table.ACTORS), asyncio.Semaphore(len(table.ACTORS))
        before, self._busy = self._busy, lambda: bool(one._running)
        task = asyncio.create_task(one.run(stop))
        try:
            yield
        finally:
            self._busy = before
            stop.set()
            self.ring()
            await task

    def ring(self) -> None:
        self._bell.ring(f"outbox:{self.place.platform}")

    async def settled(self, *which: Any) -> None:
        """None of these deliveries waits to be sent on this platform, or is being sent."""
        until = time.monotonic() + 20
        mine = (Delivery.platform == self.place.platform, Delivery.state.in_(stages.UNSETTLED), *which)
        while time.monotonic() < until:
            while self._busy():  # noqa: ASYNC110 - the courier's own tasks
                await asyncio.sleep(0.002)
            async with self.held.db.reading() as session:
                if not await session.scalar(select(func.count()).select_from(Delivery).where(*mine)):
                    return
            await asyncio.sleep(0.005)
        raise TimeoutError("something is never sent")

    async def renew(self) -> None:
        """Who was a stranger, or deleted, is somebody else from now on, of whom we know nothing."""
        self._renewed += 1
        # A member's end is much work, and where answers do not come home nobody gets to know who asks.
        often = 6 if self.place.answers == table.AT_HOME else 100
        async with self.held.db.transaction() as session:
            now, gone = self.held.clock(), self._renewed % often == 1 % often
            await casting.renew(session, self.cast, self.book, now, gone=gone)

    async def ask(
        self, command: str, line: table.Line, actors: Sequence[str], *, button: bool = False
    ) -> dict[str, Heard]:
        """Each of them has asked it here, and what came back to each."""
        return await self.heard(await self.speak(command, line.said.format(**self.things), actors, button=button))

    async def heard(self, events: Mapping[str, str]) -> dict[str, Heard]:
        """These events have taken effect, and what each of them brought."""
        for item in await self.claimed(set(events)):
            await self.bot.apply(item)
        self.ring()
        await self.settled(Delivery.kind == "reply")
        return await self.answers(events, self.news())

    async def claimed(self, events: Collection[str]) -> list[inbox.Item]:
        """The items of these events, which have come into the inbox, are ours; others have taken effect."""
        found: list[inbox.Item] = []
        until = time.monotonic() + 20
        while len(found) < len(events) and time.monotonic() < until:
            async with self.held.db.transaction() as session:
                now = self.held.clock()
                items = await inbox.claim(session, self.place.platform, now=now, lease=600, limit=100)
            found += [item for item in items if item.event_id in events]
            for other in (item for item in items if item.event_id not in events):
                await self.bot.apply(other)
            await asyncio.sleep(0 if items else 0.005)
        assert len(found) == len(events)
        return found

    # --- what came of it

    def news(self) -> list[Row]:
        """What the history tells of messages since this was asked last."""
        rows, self._seen = self.history.events[self._seen :], len(self.history.events)
        return [row for row in rows if row["event"] in _TOLD]

    def shown(self, row: Row) -> judge.Shown:
        raise NotImplementedError

    async def known(self) -> judge.Known:
        """By what the secrets of this scene are recognised."""
        async with self.held.db.reading() as session:
            rows = await session.execute(select(Identity.platform, Identity.external_id, Identity.member_id))
            members = {(platform, number): member for platform, number, member in rows}
        found = {who.name: members.get((who.platform, str(who.number))) for who in self.cast.everybody}
        return judge.Known(market.FIGURES, self.cast.signs(), {name: one for name, one in found.items() if one})

    def own(self, actor: str) -> list[str]:
        """The names that may stand in what is for this actor's eyes alone."""
        mine = [who.name for who in self.cast.everybody if who.kind == actor and who in self.faces(actor)]
        asked = [self.cast.now[casting.TARGET].name] if actor == table.PAYING else []
        return mine + asked  # who wants to be linked to somebody is shown to them

    def faces(self, actor: str) -> list[casting.Person]:
        """The accounts of whoever plays the part now."""
        if actor in casting.FRESH:
            return [self.cast.now[actor]]
        return [who for who in self.cast.everybody if who.kind == actor]

    async def effects(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that only operators may move, row by row."""
        noted = select(Audit.__table__).where(Audit.action != "command").order_by(Audit.id)
        sent = select(Delivery.id, Delivery.key).where(Delivery.key.like("broadcast:%")).order_by(Delivery.id)
        wanted = {"audit": noted, "broadcasts": sent}
        wanted |= {one.__tablename__: select(one.__table__) for one in _MOVED}
        async with self.held.db.reading() as session:
            return {name: [tuple(row) for row in await session.execute(query)] for name, query in wanted.items()}

    async def tries(self) -> list[tuple[str, Row]]:
        """Every try of an operator's command that was noted since this was asked last: who tried, and what."""
        rows = select(Audit).where(Audit.action == "command", Audit.id > self._noted).order_by(Audit.id)
        async with self.held.db.reading() as session:
            found = list(await session.scalars(rows))
        self._noted = max((row.id for row in found), default=self._noted)
        return [(row.actor, row.details) for row in found]
