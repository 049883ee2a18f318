"""Proof: tools that follow the stream through lost lines, restarts and kills have every event once, and in order.

Real PostgreSQL, the unmodified product in the role webhooks, in as many processes as asked for; signals are published
by the product's own functions, several at once. What each tool was told is held against the record's own lines and
against what the publishers know that they published.
"""

import asyncio
import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson
from sqlalchemy import select

from core import catalogue, db, models, settings, stack, work
from core.signals import feed
from tests.core import people
from tests.core.signals import press
from tests.proofs import followers
from tests.sandbox import product

_PLANS = """
[[plans]]
key = "all"
name = "Everything"
[[plans]]
key = "bitcoin"
name = "Bitcoin only"
symbols = ["BTC/USDT"]
"""
_SYMBOLS = (people.BTC, people.ETH)
_LONGEST = 600.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How many tools follow how many signals.

    While these are published a process ends every `every` seconds, by SIGTERM or SIGKILL in turn.
    """

    consumers: int = 500
    signals: int = 1000
    processes: int = 2
    publishers: int = 4
    every: float = 12.0
    most: int = 10_000
    """Ends of processes."""
    pause: float = 0.2
    """Seconds that a publisher waits between two events, at most twice as much."""
    patience: tuple[int, int] = (20, 900)
    """After how many events a tool loses its line."""
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted, and every difference that was found."""

    scale: Scale
    seconds: float
    events: int
    received: int
    expected: int
    connections: int
    dropped: int
    ended: Counter[str]
    codes: Counter[int]
    refusals: Counter[str]
    lost: int
    repeated: int
    disordered: int
    wrong: int
    unknown: int
    latency: tuple[float, float]

    @property
    def ok(self) -> bool:
        bad = self.lost + self.repeated + self.disordered + self.wrong + self.unknown
        return not bad and self.received == self.expected > 0

    def __str__(self) -> str:
        median, late = self.latency
        return (
            f"{'GOOD' if self.ok else 'BAD'}: {self.scale.consumers} consumers, {self.scale.signals} signals, "
            f"{self.events} events in {self.seconds:.0f} s; received {self.received} of {self.expected}: "
            f"lost {self.lost}, repeated {self.repeated}, out of order {self.disordered}, wrong {self.wrong}, "
            f"not in the record {self.unknown}\n"
            f"{self.connections} connections, {self.dropped} lost lines; processes ended: {dict(self.ended)}; "
            f"close codes {dict(self.codes)}, refusals {dict(self.refusals)}; "
            f"commit to arrival: median {median * 1000:.0f} ms, p95 {late * 1000:.0f} ms, lost lines included"
        )


@dataclass
class Press:
    """Publishes signals and lets them run to their ends, several at once; knows what it published, and when."""

    held: stack.Stack
    scale: Scale
    published: dict[tuple[int, str], float] = field(default_factory=dict)
    symbols: dict[int, str] = field(default_factory=dict)
    _next: int = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as jobs:
            for number in range(self.scale.publishers):
                jobs.create_task(self._publish(random.Random(self.scale.seed * 100 + number)))

    async def _publish(self, dice: random.Random) -> None:
        running: list[tuple[models.Signal, int]] = []
        while self._next < self.scale.signals or running:
            if self._next < self.scale.signals and (len(running) < 5 or dice.random() < 0.3):
                self._next += 1
                running.append((await self._open(self._next, dice.choice(_SYMBOLS)), 0))
            else:
                signal, stage = running.pop(dice.randrange(len(running)))
                if not await self._move(signal, stage, dice):
                    running.append((signal, stage + 1))
            self.held.deliver()
            await asyncio.sleep(dice.uniform(0, 2 * self.scale.pause))

    async def _open(self, number: int, symbol: str) -> models.Signal:
        async with self.held.db.transaction() as session:
            signal = await press.opened(session, number, now=datetime.now(UTC), symbol=symbol)
        self.symbols[signal.id] = symbol
        self.published[signal.id, "opened"] = time.monotonic()
        return signal

    async def _move(self, signal: models.Signal, stage: int, dice: random.Random) -> bool:
        """One more thing happened to the signal; says whether that was its end."""
        async with self.held.db.transaction() as session:
            session.add(signal)
            if stage == 0 and dice.random() < 0.7:
                await press.moved(session, signal, now=datetime.now(UTC))
            elif dice.random() < 0.3:
                await press.closed(session, signal, now=datetime.now(UTC))
            else:
                to = press.LAST if dice.random() < 0.5 else press.STOP
                await press.moved(session, signal, now=datetime.now(UTC), to=to)
            over = signal.status != models.SignalStatus.OPEN
            known = {kind for number, kind in self.published if number == signal.id}
            mine = select(models.SignalEvent.event).where(models.SignalEvent.signal_id == signal.id)
            fresh = set(await session.scalars(mine)) - known
        self.published.update({(signal.id, kind): time.monotonic() for kind in fresh})
        return over


async def _trouble(sites: Sequence[product.Product], scale: Scale, ended: Counter[str], over: asyncio.Event) -> None:
    """Processes end again and again, in order and without a goodbye, and others go on in their place."""
    dice = random.Random(scale.seed)
    while sum(ended.values()) < scale.most:
        await work.pause(over, scale.every * dice.uniform(0.6, 1.4))
        if over.is_set():
            return
        how = ("SIGTERM", "SIGKILL")[sum(ended.values()) % 2]
        site = dice.choice(sites)
        await (site.stop() if how == "SIGTERM" else site.kill())
        ended[how] += 1
        await site.start()


async def prove(folder: Path, database_url: str, scale: Scale, *, redis_url: str = "") -> Outcome:
    """What a run of this scale showed."""
    began, ended = time.monotonic(), Counter[str]()
    (folder / "plans.toml").write_text(_PLANS, encoding="utf-8")
    conf = settings.Settings(_env_file=None, database_url=database_url, redis_url=redis_url, secret_key="s" * 24)
    env = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "s" * 24,
        "SIGNALSTACK_CONFIG": str(folder / "plans.toml"),
        "LOG_LEVEL": "warning",
    }
    sites = [product.Product(folder / f"site{n}", env, "webhooks") for n in range(scale.processes)]
    async with stack.opened(conf, catalogue.read(folder / "plans.toml")) as held:
        tools = await _tools(held, scale)
        try:
            await asyncio.gather(*(site.start() for site in sites))
            writer = Press(held, scale)
            await _play(tools, sites, writer, scale, ended)
        finally:
            await asyncio.gather(*(site.stop() for site in sites))
        return await _judged(held.db, tools, writer, scale, time.monotonic() - began, ended)


async def _tools(held: stack.Stack, scale: Scale) -> list[followers.Follower]:
    made = await followers.keys_for(held.db, scale.consumers, ["all", "all", "all", "bitcoin"])
    return [
        followers.Follower(
            number, key, feed.markets_of(held.catalogue, [plan]), random.Random(scale.seed * 10_000 + number)
        )
        for number, (key, plan) in enumerate(made)
    ]


async def _play(
    tools: Sequence[followers.Follower],
    sites: Sequence[product.Product],
    writer: Press,
    scale: Scale,
    ended: Counter[str],
) -> None:
    urls = [site.url for site in sites]
    following = [asyncio.create_task(tool.follow(urls, patience=scale.patience)) for tool in tools]
    over = asyncio.Event()
    trouble = asyncio.create_task(_trouble(sites, scale, ended, over))
    try:
        await writer.run()
        over.set()
        last = max(await _record(writer.held.db), default=0)
        for tool in tools:
            tool.until = last
        async with asyncio.timeout(_LONGEST):
            await asyncio.gather(*following)
    except TimeoutError:
        pass  # what is missing is counted
    finally:
        over.set()
        for task in following:
            task.cancel()
        await asyncio.gather(trouble, *following, return_exceptions=True)


async def _record(database: db.Database) -> dict[int, tuple[int, str]]:
    """Signal and kind of every entry by number, from the lines that everybody may read."""
    async with database.reading() as session:
        rows = await session.execute(select(models.RecordEntry.n, models.RecordEntry.line))
        lines = {n: orjson.loads(line) for n, line in rows}
    return {n: (line["signal"], line["kind"]) for n, line in sorted(lines.items())}


async def _judged(
    database: db.Database,
    tools: Sequence[followers.Follower],
    writer: Press,
    scale: Scale,
    seconds: float,
    ended: Counter[str],
) -> Outcome:
    record = await _record(database)
    unknown = len(set(record.values()) ^ set(writer.published))
    figures: Counter[str] = Counter()
    delays = []
    for tool in tools:
        due = [n for n, (signal, _) in record.items() if feed.opens(tool.markets, writer.symbols[signal])]
        got = [one.n for one in tool.told]
        figures["expected"] += len(due)
        figures["received"] += len(got)
        figures["lost"] += len(set(due) - set(got))
        figures["repeated"] += len(got) - len(set(got))
        figures["disordered"] += sum(before >= after for before, after in itertools.pairwise(got))
        mine = set(due)
        figures["wrong"] += sum(one.n not in mine or record[one.n] != (one.signal, one.kind) for one in tool.told)
        delays += [one.at - writer.published[one.signal, one.kind] for one in tool.told[:: max(1, len(got) // 500)]]
    cut = statistics.quantiles(delays, n=20) if len(delays) > 1 else [0.0] * 19
    return Outcome(
        scale=scale,
        seconds=seconds,
        events=len(record),
        received=figures["received"],
        expected=figures["expected"],
        connections=sum(tool.connections for tool in tools),
        dropped=sum(tool.dropped for tool in tools),
        ended=ended,
        codes=Counter(code for tool in tools for code in tool.codes),
        refusals=Counter(text for tool in tools for text in tool.refusals),
        lost=figures["lost"],
        repeated=figures["repeated"],
        disordered=figures["disordered"],
        wrong=figures["wrong"],
        unknown=unknown,
        latency=(cut[9], cut[18]),
    )
