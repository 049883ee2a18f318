"""A gated place on a stage: people knock, come and go; the product hears of it, and its courier does what follows."""

from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import select, update

from bot.platforms.telegram import updates
from core import access, catalogue, db, inbox, members, models, places, rounds
from core.delivery import fanout
from core.models import Delivery, Place, Presence, State
from tests.bot import stage as stages
from tests.core import people
from tests.sandbox import telegram

KEY, CHAT, HOST = "vip", -1_000_500, 900_001
VIP = catalogue.Place(key=KEY, name="VIP room", platform="telegram", chat=str(CHAT))
BOOK = people.BOOK.model_copy(update={"places": (VIP,)})
SECOND = timedelta(seconds=1)


class Venue:
    """The place `KEY`, a supergroup unless another kind is asked for; its owner is HOST, its link needs asking."""

    def __init__(self, stage: stages.Stage) -> None:
        self.stage, self.world = stage, stage.world
        self.link = ""

    async def open(self, kind: Any = "supergroup") -> "Venue":
        self.world.now = lambda: self.stage.now().timestamp()
        self.world.updates.allow(updates.KINDS)
        self.world.person(HOST, "Host", started=True)
        self.world.group(CHAT, "VIP", kind).members[HOST] = "creator"
        self.link = await self.new_link()
        async with self.stage.held.db.transaction() as session:
            await places.sync(session, BOOK, now=self.stage.now())
        return self

    async def new_link(self) -> str:
        asked = {"chat_id": CHAT, "creates_join_request": True}
        made: dict[str, Any] = await self.stage.bot._bot.call("createChatInviteLink", asked)
        return str(made["invite_link"])

    @property
    def chat(self) -> telegram.Chat:
        return self.world.chats[CHAT]

    # --- people

    def stranger(self, user: int, name: str = "Sly") -> int:
        """Somebody who never wrote to the bot."""
        self.world.person(user, name)
        return user

    async def payer(self) -> int:
        """Somebody who pays and has been told so."""
        [user] = await self.stage.join(1)
        await self.reconcile(await self.member_id(user))
        return user

    async def inside(self) -> int:
        """Somebody who pays and was let in."""
        user = await self.payer()
        await self.knock(user)
        await self.act()
        assert self.chat.members[user] == "member"
        return user

    async def member_id(self, user: int) -> int:
        return (await self.stage.identity(user)).member_id

    async def pays(self, user: int) -> None:
        """They have a subscription for another month, and what follows from it is on its way."""
        async with self.stage.held.db.transaction() as session:
            who = await members.find(session, "telegram", str(user))
            assert who is not None
            await people.subscription(session, who.member_id, self.stage.now() + timedelta(days=30))
        await self.reconcile(await self.member_id(user))

    async def ends(self, user: int) -> None:
        """What they paid for is over; nobody was told yet."""
        member = await self.member_id(user)
        over = update(models.Subscription).where(models.Subscription.member_id == member)
        async with self.stage.held.db.transaction() as session:
            await db.execute(session, over.values(access_until=self.stage.now() - SECOND))

    async def reconcile(self, member: int) -> None:
        async with self.stage.held.db.transaction() as session:
            await access.reconcile(session, member, BOOK, now=self.stage.now())

    async def sweep(self) -> None:
        """What the scheduler's sweep does about ends."""
        async with self.stage.held.db.reading() as session:
            now = self.stage.now()
            ended = {*await access.lapsed(session, now=now), *await rounds.overdue(session, now=now)}
        for member in sorted(ended):
            await self.reconcile(member)

    async def lapses(self, user: int) -> None:
        await self.ends(user)
        await self.sweep()

    async def knock(self, user: int, link: str = "") -> str:
        """They have opened the link, and we have heard of it; what the phone says."""
        said = await self.world.knock(user, link or self.link)
        await self.hear()
        return said

    # --- the product

    async def hear(self) -> None:
        """Every update is in the inbox and has taken effect."""
        held, batch = self.stage.held, list(self.world.updates.pending)
        async with held.db.transaction() as session:
            for one in batch:
                number, kind = str(one["update_id"]), next(name for name in one if name != "update_id")
                await inbox.put(session, "telegram", number, kind, orjson.dumps(one), now=self.stage.now())
            items = await inbox.claim(session, "telegram", now=self.stage.now(), lease=30, limit=100)
        self.world.updates._take(batch)
        for item in items:
            await self.stage.bot.apply(item)

    async def deliver(self) -> None:
        """Whatever is due now, or after a retry's pause, has been delivered or done."""
        async with self.stage.working(self.stage.worker(), self.stage.worker(urgent=True)):
            self.stage.ring()
            await self.stage.settled(Delivery.not_before <= self.stage.now() + 5 * SECOND)

    async def act(self) -> None:
        """As `deliver`, and what had to wait some seconds too; then we have heard what came of it."""
        await self.deliver()
        if await self.stage.rows(Delivery.state == State.PENDING):
            self.stage.clock.ahead += 11 * SECOND
            await self.deliver()
        await self.hear()

    async def publish(self) -> models.Signal:
        """A signal is on its way to the place and to everybody who pays."""
        signal = await self.stage.publish(drawable=False)
        where, now = [("telegram", (await self.place()).channel, KEY)], self.stage.now()
        async with self.stage.held.db.transaction() as session:
            await fanout.post(session, signal.id, where, now=now, expires_at=now + people.HOUR)
        return signal

    # --- what we know

    async def place(self) -> Place:
        async with self.stage.held.db.reading() as session:
            return await session.get_one(Place, KEY)

    async def presence(self, user: int) -> Presence:
        async with self.stage.held.db.reading() as session:
            mine = select(Presence).where(Presence.place == KEY, Presence.external_id == str(user))
            return (await session.scalars(mine)).one()

    async def acts(self, user: int) -> list[tuple[str, State]]:
        """What was to be done at the door about this person, and how it ended, oldest first."""
        rows = await self.stage.rows(Delivery.kind == "door", Delivery.address == f"door:{user}")
        return [(row.payload["act"], State(row.state)) for row in rows if row.payload]

    def told(self, user: int) -> list[str]:
        """The first lines of what lies in their private chat."""
        return self.stage.texts(user)
