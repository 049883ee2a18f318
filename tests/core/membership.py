"""A world of people and gated places around a real database, for proofs: what platforms know, and what they tell us.

Nothing here is ours: `World` is what is true on the platforms' side. Acts at doors are claimed, attempted in this
world, and written down as the courier does it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from core import access, catalogue, db, linking, models, places, rounds
from core.delivery import outcomes
from core.models import Identity, Place, State
from tests.core import people

VIP, HALL = "vip", "hall"
BOOK = people.BOOK.model_copy(
    update={
        "places": (
            catalogue.Place(key=VIP, name="VIP", platform="telegram", chat="-100200"),
            catalogue.Place(key=HALL, name="Hall", platform="discord", server="900", role="901", channel="902"),
        )
    }
)
AT = {"telegram": VIP, "discord": HALL}
BOSS = "900001"


@dataclass
class World:
    """Who is where; `mute` platforms tell us nothing, `barred` ones let us do nothing."""

    database: db.Database
    now: datetime
    inside: dict[str, set[str]] = field(default_factory=lambda: {VIP: {BOSS}, HALL: {BOSS}})
    server: set[str] = field(default_factory=lambda: {BOSS})
    asking: set[str] = field(default_factory=set)
    barred: set[str] = field(default_factory=set)
    told: bool = True
    requests: int = 0

    async def open(self) -> None:
        async with self.database.transaction() as session:
            await places.sync(session, BOOK, now=self.now)

    # --- people

    async def newcomer(self, platform: str) -> Identity:
        async with self.database.transaction() as session:
            who = await people.person(session, self.now, platform=platform)
        if platform == "discord":
            self.server.add(who.external_id)
        return who

    async def pay(self, identity_id: int, days: int = 30) -> None:
        async with self.database.transaction() as session:
            who = await session.get_one(Identity, identity_id)
            await people.subscription(session, who.member_id, self.now + timedelta(days=days))
            await access.reconcile(session, who.member_id, BOOK, now=self.now)

    async def lapse(self, identity_id: int) -> None:
        async with self.database.transaction() as session:
            who = await session.get_one(Identity, identity_id)
            mine = select(models.Subscription).where(models.Subscription.member_id == who.member_id)
            for sub in await session.scalars(mine):
                sub.access_until, sub.status = None, "canceled"
            await session.flush()
            await access.reconcile(session, who.member_id, BOOK, now=self.now)

    async def ask(self, external_id: str) -> None:
        """Somebody knocks at the Telegram place."""
        if external_id in self.inside[VIP]:
            return
        self.asking.add(external_id)
        async with self.database.transaction() as session:
            await places.asked(session, await session.get_one(Place, VIP), external_id, now=self.now)

    async def move(self, key: str, external_id: str, *, inside: bool) -> None:
        """Somebody is let in by a human, or leaves; we hear of it unless the platform tells nothing."""
        (self.inside[key].add if inside else self.inside[key].discard)(external_id)
        self.asking.discard(external_id)
        if key == HALL and inside:
            self.server.add(external_id)
        if self.told:
            async with self.database.transaction() as session:
                await places.seen(session, await session.get_one(Place, key), external_id, inside=inside, now=self.now)

    async def link(self, one_id: int, other_id: int) -> bool:
        """Whether the two accounts became one member's (or the membership moved)."""
        from core import errors

        async with self.database.transaction() as session:
            one, other = await session.get_one(Identity, one_id), await session.get_one(Identity, other_id)
            try:
                code = await linking.offer(session, one, now=self.now)
                pair = await linking.use(session, other, code, now=self.now)
                for side in (one, other):
                    await linking.answer(session, side, pair.request.id, BOOK, yes=True, now=self.now)
            except errors.RefusedError:
                return False
        return True

    async def unlink(self, identity_id: int) -> None:
        from core import errors

        async with self.database.transaction() as session:
            who = await session.get_one(Identity, identity_id)
            try:
                await linking.unlink(session, who, who.id, BOOK, now=self.now)
            except errors.RefusedError:
                return

    # --- the platforms

    async def work(self) -> int:
        """Acts at doors are done until none is left; says how many there were."""
        number = 0
        for platform in AT:
            while parcels := await people.claim(
                self.database, self.now, platform=platform, entitled=access.entitled(BOOK, now=self.now), limit=500
            ):
                await people.begin(self.database, parcels, self.now)
                for parcel in parcels:
                    await self._settle(parcel)
                    number += parcel.kind == "door"
        return number

    async def _settle(self, parcel: people.claims.Parcel) -> None:
        if parcel.kind != "door":
            await people.settle(self.database, parcel, people.SENT, self.now)
            return
        outcome = self._attempt(parcel.payload or {})
        state = await people.settle(self.database, parcel, outcome, self.now)
        async with self.database.transaction() as session:
            final = state is not State.PENDING
            await places.ended(session, parcel.id, (parcel.payload or {})["act"], outcome, final=final, now=self.now)

    def _attempt(self, act: dict[str, str]) -> outcomes.Outcome:
        self.requests += 1
        key, who = act["place"], act["user"]
        if key in self.barred:
            return outcomes.Barred("give the bot its right back")
        match act["act"]:
            case "give" if who not in self.server:
                return outcomes.Blocked("not a member of the server")
            case "admit" | "decline" if who not in self.asking:
                return outcomes.Blocked("nobody asks")
            case "give" | "admit":
                self.inside[key].add(who)
            case "remove" | "take" if who == BOSS:
                return outcomes.Kept("the owner")
            case "remove" | "take":
                self.inside[key].discard(who)
        self.asking.discard(who)
        return people.SENT

    async def sweep(self) -> list[rounds.Found]:
        """One round through both places, as the doorkeeper makes it."""
        found = []
        for key in (VIP, HALL):
            async with self.database.transaction() as session:
                place = await session.get_one(Place, key, with_for_update=True)
                if key in self.barred:
                    await places.barred(session, place, "give the bot its right back", now=self.now)
                    continue
                await places.restored(session, place, now=self.now)
                known = await rounds.to_look_at(session, place, 300, now=self.now)
                found.append(await rounds.compare(session, place, self._roster(key, known), now=self.now))
        return found

    def _roster(self, key: str, known: list[str]) -> rounds.Roster:
        kept = {BOSS: True}
        if key == HALL:
            self.requests += len(self.server) // 1000 + 1
            inside = dict.fromkeys(self.inside[HALL], False) | kept
            return rounds.Roster(self.now, inside, reachable=frozenset(self.server), whole=True)
        self.requests += len(known) + 2
        inside = {who: False for who in known if who in self.inside[VIP]} | kept
        outside = frozenset(who for who in known if who not in inside)
        return rounds.Roster(self.now, inside, outside, count=len(self.inside[VIP]), requests=len(known) + 2)

    async def entitled(self, platform: str) -> set[str]:
        """The accounts that a plan opens the platform's place to, from the plans alone."""
        from core import rights

        async with self.database.reading() as session:
            who = await session.scalars(select(Identity).where(Identity.platform == platform))
            return {
                one.external_id for one in who if "all" in await rights.plans_of(session, one.member_id, now=self.now)
            }
