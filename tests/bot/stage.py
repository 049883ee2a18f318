"""A delivery worker on a stage: Telegram's stand-in, a real database, members who pay, signals on their way to them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from bot import courier, pictures, platforms
from bot.messages import text
from core import access, clock, db, health, members, models, stack
from core.delivery import fanout, outbox, pacing
from core.market import candles
from core.models import Delivery, State
from tests.core import people
from tests.sandbox import telegram

HOUR_MS = 3_600_000
FAST = pacing.Limits(per_second=1000, hard=1000, chat_interval=0, group_per_minute=0)
Fault, Kind = telegram.Fault, telegram.Kind
UNSETTLED = (State.PENDING, State.CLAIMED, State.SENDING)
Opener = Callable[..., Awaitable["Stage"]]


class Clock:
    """The wall clock, which a test may set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return clock.utcnow() + self.ahead


@dataclass
class Stage:
    """Everything around a courier; `bot` is the started platform of `held`."""

    world: telegram.Telegram
    held: stack.Stack
    bot: platforms.Platform
    clock: Clock
    chats: list[int] = field(default_factory=list)

    def now(self) -> datetime:
        return self.clock()

    async def join(self, number: int, *, group: int = 0) -> list[int]:
        """So many more people pay and have a private chat; with `group`, one of them is that group."""
        joined = []
        async with self.held.db.transaction() as session:
            for _ in range(number):
                who = await people.payer(session, self.now())
                self.world.person(int(who.address), f"N{who.address}", started=True)
                joined.append(int(who.address))
            if group:
                self.world.group(group, "Everybody")
                name = str(group)
                place = await members.arrive(
                    session, "telegram", name, address=name, name="", username="", now=self.now()
                )
                await people.subscription(session, place.member_id, self.now() + timedelta(days=30))
        self.chats += joined
        return joined

    async def publish(self, *, drawable: bool = True, life: timedelta = people.HOUR) -> models.Signal:
        """An open signal is on its way to everybody; its candles are in the table if it is drawable."""
        async with self.held.db.transaction() as session:
            signal = await people.publish(session, self.now(), life=life)
            if drawable:
                key = candles.Key(signal.exchange, signal.symbol, signal.timeframe)
                rows = [candle(signal.candle - back * HOUR_MS) for back in range(8, -1, -1)]
                await candles.keep(session, key, rows)
        self.ring()
        return signal

    async def hand_over(self, signal: models.Signal) -> None:
        """The signal is on its way to those who joined since it was published."""
        async with self.held.db.transaction() as session:
            who = await access.recipients(session, people.BOOK, signal.symbol, now=self.now())
            await fanout.open_up(session, signal.id, who, now=self.now(), expires_at=self.now() + people.HOUR)
        self.ring()

    async def end(self, signal: models.Signal) -> None:
        """The signal hit its target, and its update is on its way."""
        async with self.held.db.transaction() as session:
            row = await session.get_one(models.Signal, signal.id)
            row.status, row.close_price = models.SignalStatus.TARGET, row.target
            row.close_candle, row.closed_at = row.candle + 3 * HOUR_MS, self.now()
            await session.flush()
            await fanout.follow_up(session, signal.id, "target", now=self.now())
        self.ring()

    async def reply(self, chat: int, payload: dict[str, Any] | None = None) -> None:
        """An answer is on its way to this chat."""
        said = text.message("An answer").as_dict() if payload is None else payload
        async with self.held.db.transaction() as session:
            key = f"reply:{time.monotonic_ns()}"
            await outbox.reply(session, "telegram", str(chat), said, key=key, now=self.now())
        self.ring()

    def ring(self) -> None:
        self.held.bell.ring("outbox:telegram")

    def worker(self, *, pacer: pacing.Pacer | None = None, urgent: bool = False) -> courier.Courier:
        """A worker as after a restart: it remembers nothing."""
        shown = pictures.Pictures(self.held, "telegram")
        return courier.Courier(self.held, self.bot, pacer or pacing.Pacer("telegram", FAST), shown, urgent=urgent)

    @asynccontextmanager
    async def working(self, *workers: courier.Courier) -> AsyncIterator[None]:
        """These workers (one, unless given) deliver until the block ends; then they stop in good order."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(one.run(stop)) for one in workers or (self.worker(),)]
        try:
            yield
        finally:
            stop.set()
            self.ring()
            await asyncio.gather(*tasks)

    async def delivered(self, **given: Any) -> list[Delivery]:
        """One worker has worked until nothing is left; the rows then."""
        async with self.working(self.worker(**given)):
            await self.settled()
        return list(await self.rows())

    async def settled(self, *where: Any, within: float = 15) -> None:
        """No delivery (of these) waits or is being sent."""

        async def none() -> bool:
            return not await people.deliveries(self.held.db, Delivery.state.in_(UNSETTLED), *where)

        await until(none, within)

    async def rows(self, *where: Any) -> list[Delivery]:
        return list(await people.deliveries(self.held.db, *where))

    async def row(self, chat: int) -> Delivery:
        """The one delivery to this chat."""
        [row] = await self.rows(Delivery.address == str(chat))
        return row

    async def alarms(self) -> dict[str, str]:
        """The open alarms: text by key."""
        async with self.held.db.reading() as session:
            report = await health.report(session, now=self.now())
        return {alarm.key: alarm.text for alarm in report.alarms}

    async def identity(self, chat: int) -> models.Identity:
        """Who has this chat."""
        async with self.held.db.reading() as session:
            found = select(models.Identity).where(models.Identity.external_id == str(chat))
            return (await session.scalars(found)).one()

    def texts(self, chat: int) -> list[str]:
        """The first lines of what lies in the chat."""
        return [message.text.splitlines()[0] for message in self.world.chat(chat)]

    def sent(self) -> list[dict[str, Any]]:
        return self.world.history.of("telegram_message")


def candle(open_time: int) -> candles.Candle:
    return candles.Candle(open_time, *(Decimal(price) for price in ("100", "101", "99", "100", "5")))


async def until(true: Callable[[], Awaitable[Any]], seconds: float = 15) -> None:
    """Returns when it is true; TimeoutError when it does not become so."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - what is waited for happens in a database or on a socket
            await asyncio.sleep(0.01)


async def seen(true: Callable[[], Any], seconds: float = 15) -> None:
    """As `until`, for what needs no waiting itself."""

    async def asked() -> Any:
        return true()

    await until(asked, seconds)


async def opened(
    world: telegram.Telegram, address: str, make_stack: Callable[..., Any], database: db.Database, **settings: Any
) -> Stage:
    """A stage on this database, with the platform started."""
    moments = Clock()
    conf = {"telegram_bot_token": telegram.TOKEN, "telegram_api_url": address, **settings}
    held = await make_stack(database, book=people.BOOK, clock=moments, **conf)
    [bot] = platforms.enabled(held)
    await bot.start()
    return Stage(world, held, bot, moments)
