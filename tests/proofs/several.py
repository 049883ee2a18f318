"""Proof: several processes that do the same work share the limits, the polling and the scanning, and none is needed.

Three processes, each with a scheduler and a bot, on one PostgreSQL and one Redis, against Telegram with its usual
limits. What people wrote before the start is answered. In a fan-out Telegram demands a pause. The process that scans
is stopped (SIGSTOP) for longer than its lease and wakes up again (SIGCONT). At last people write while processes are
killed at random. The checker judges from the sandbox's history; tables are asked what was reported as ambiguous.
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from core import models
from core.signals import scan
from tests.proofs import community, theatre
from tests.sandbox import checker, product, telegram

_FIRST_VISITOR = 700_001
_PAUSE = 2
_CONFLICTS = 5  # a poll that a killed or sleeping process left behind is ended by the next one


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the run is; `waiting` of the visitors have written before the start, `rounds` are pauses and sleeps."""

    paying: int = 120
    visitors: int = 600
    waiting: int = 100
    rounds: int = 5
    kills: int = 15
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the run showed."""

    verdict: checker.Verdict
    unreported: list[str]
    over_limit: tuple[int, int]
    conflicts: int
    errors: list[str]
    doubled_signals: list[str]
    late_signals: int
    behind: list[str]
    unanswered: list[int]
    answered_twice: list[int]
    takeovers: int
    pauses: int
    kills: int
    seconds: float

    @property
    def ok(self) -> bool:
        wrong = [*self.unreported, *self.doubled_signals, *self.behind, *self.unanswered, *self.answered_twice]
        much = self.errors or self.over_limit[1] or self.late_signals or self.conflicts > self.allowed_conflicts
        return self.verdict.ok and not wrong and not much

    @property
    def allowed_conflicts(self) -> int:
        return _CONFLICTS * (1 + self.kills + self.takeovers)

    def __str__(self) -> str:
        return (
            f"{self.verdict}\nin {self.seconds:.0f} s; {self.pauses} pauses demanded, {self.takeovers} leaders put to "
            f"sleep and woken, {self.kills} processes killed\n{self.over_limit[0]} messages over a limit, "
            f"{self.over_limit[1]} of them not by a stall of the stand-in; errors logged {self.errors[:2]}\n"
            f"candles with two signals {self.doubled_signals}, late signals {self.late_signals}, watches behind "
            f"{self.behind}\n/start unanswered {self.unanswered}, answered twice {self.answered_twice}, "
            f"getUpdates conflicts {self.conflicts}; doubled or missing unreported {self.unreported[:5]}"
        )


class _Run:
    def __init__(self, stage: theatre.Theatre, scale: Scale) -> None:
        self.stage, self.scale = stage, scale
        self.processes = [stage.company(f"process-{number}", "scheduler", "bot") for number in (1, 2, 3)]
        self.visitors = range(_FIRST_VISITOR, _FIRST_VISITOR + scale.visitors)
        self.kills = 0

    async def play(self) -> None:
        """Everything in turn."""
        world = self.stage.around.telegram
        for visitor in self.visitors:
            world.person(visitor, f"Visitor {visitor}")
        early = self.visitors[: self.scale.waiting]
        for visitor in early:
            await world.start(visitor)
        await asyncio.gather(*(one.start(ready=False) for one in self.processes))
        await self.stage.until(lambda: not self._unanswered(early), 90, "what was written before the start is answered")
        for _ in range(self.scale.rounds):
            await self._pause()
            await self._sleep()
        await self._crowd(self.visitors[self.scale.waiting :])
        await self.stage.drained()
        await self.stage.signal()  # whoever scans now has seen every candle before
        await self.stage.drained()

    async def _pause(self) -> None:
        """In a fan-out Telegram demands a pause of everybody."""
        await self.stage.fan_out(0.1, 0.4)
        kind, demand = telegram.Kind.RETRY_AFTER, self.stage.around.telegram.faults
        fault = demand.add(telegram.Fault(kind, method="sendPhoto", retry_after=_PAUSE))
        await self.stage.until(lambda: fault.hits, 30, "the pause began")
        await self.stage.drained()

    async def _sleep(self) -> None:
        """The process that scans sleeps longer than its lease; another takes over, and candles go on closing."""
        leader, epoch = await self._leader()
        os.kill(leader.pid, signal.SIGSTOP)
        try:
            while (await self._lease()).epoch == epoch:  # noqa: ASYNC110 - another process takes it over
                await asyncio.sleep(0.05)
            await self.stage.signal()
        finally:
            os.kill(leader.pid, signal.SIGCONT)
        await self.stage.around.next_candle(within=60)
        await self.stage.drained()

    async def _leader(self) -> tuple[product.Product, int]:
        while True:
            lease = await self._lease()
            for one in self.processes:
                if one.running and lease.holder.split(":")[-2:-1] == [str(one.pid)]:
                    return one, lease.epoch
            await asyncio.sleep(0.05)

    async def _lease(self) -> models.Lease:
        async with self.stage.database.reading() as session:
            return (await session.scalars(select(models.Lease).where(models.Lease.name == scan.LEASE))).one()

    async def _crowd(self, late: range) -> None:
        """People write one after another, and processes are killed at random moments meanwhile."""
        chance = self.stage.chance
        when = set(chance.sample(range(len(late)), self.scale.kills))
        restarts = []
        for number, visitor in enumerate(late):
            await self.stage.around.telegram.start(visitor)
            await asyncio.sleep(chance.uniform(0, 0.06))
            if number in when:
                restarts.append(asyncio.create_task(self._replaced(chance.choice(self.processes))))
        await asyncio.gather(*restarts)

    async def _replaced(self, one: product.Product) -> None:
        if one.running:
            self.kills += 1
            await one.kill()
            await one.start(ready=False)

    def _unanswered(self, visitors: range) -> list[int]:
        return [visitor for visitor in visitors if not self._answers(visitor)]

    def _answers(self, visitor: int) -> int:
        return sum(message.from_bot for message in self.stage.around.telegram.chat(visitor))

    async def judged(self, seconds: float) -> Outcome:
        """What it showed; an answer whose sending was ambiguous is not resent, so it may be missing if reported."""
        stage, account = self.stage, self.stage.around.history
        unsure = await _ambiguous_answers(stage)
        async with stage.database.reading() as session:
            late = (await session.scalars(select(models.Signal.id).where(models.Signal.late.is_(True)))).all()
            marks = (await session.scalars(select(models.ScanMark))).all()
        newest = max(row["open_time"] for row in account.of("exchange_candle_closed"))
        return Outcome(
            verdict=await stage.judged(checker.Rules(copies=2, updates_lost=True, pause_settling=0.5)),
            unreported=await stage.unreported(),
            over_limit=stage.over_limit(_PAUSE),
            conflicts=len(account.of("telegram_refused", code=409)),
            errors=stage.errors(),
            doubled_signals=stage.candles_with_two_signals(),
            late_signals=len(late),
            behind=[mark.watch for mark in marks if mark.candle < newest],
            unanswered=[visitor for visitor in self._unanswered(self.visitors) if visitor not in unsure],
            answered_twice=[visitor for visitor in self.visitors if self._answers(visitor) > 1],
            takeovers=self.scale.rounds,
            pauses=self.scale.rounds,
            kills=self.kills,
            seconds=seconds,
        )


async def _ambiguous_answers(stage: theatre.Theatre) -> set[int]:
    async with stage.database.reading() as session:
        unsure = select(models.Delivery.address).where(models.Delivery.kind == "reply", models.Delivery.ambiguities > 0)
        return {int(chat) for chat in await session.scalars(unsure)}


async def prove(folder: Path, database_url: str, redis_url: str, scale: Scale) -> Outcome:
    """What a run of this scale showed."""
    began = time.monotonic()
    people = community.Community(scale.paying + 10, scale.paying)
    async with theatre.opened(folder, database_url, redis_url, people, scale.seed) as stage:
        run = _Run(stage, scale)
        await run.play()
        return await run.judged(time.monotonic() - began)
