"""No reader is given an old signal after the change of it was committed, in whatever process it was made."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from core import db
from core.models import SignalStatus
from tests.sandbox.server import serving
from tests.webhooks import tools
from tests.webhooks.conftest import World, open_world
from tests.webhooks.tools import ask
from webhooks import cache, limits, server
from webhooks.api import answering

PATHS = (
    "/api/v1/signals/latest?limit=100",
    "/api/v1/signals/open",
    "/api/v1/signals?limit=100",
    "/api/v1/record",
)


@dataclass
class Two:
    """Two sites over one database, each with its cache and its connections, as two processes have them."""

    worlds: tuple[World, World]

    def found(self) -> int:
        """How many answers were given again."""
        return sum(world.app[answering.KEPT].found for world in self.worlds)


@pytest.fixture
async def two(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Two]:
    async with AsyncExitStack() as opened:
        first = await opened.enter_async_context(open_world(database, make_stack, now, book=tools.BOOK))
        worlds = []
        for _ in range(2):
            own = db.Database(database.url.render_as_string(hide_password=False))
            opened.push_async_callback(own.close)
            app = server.build(replace(first.stack, db=own), counters=limits.Limits(times=10_000))
            worlds.append(replace(first, app=app, url=await opened.enter_async_context(serving(app))))
        yield Two((worlds[0], worlds[1]))


@dataclass
class Life:
    """What was committed of each signal so far, and in which order it may only go on."""

    stages: dict[int, int]

    async def move(self, world: World, number: int) -> None:
        """The signal goes one stage on; what is written here was committed before."""
        match self.stages[number]:
            case 0:
                await tools.reached(world, number)
            case 1:
                await tools.ended(world, number, "104.00", SignalStatus.STOPPED)
        self.stages[number] += 1


def stage(signal: dict[str, Any]) -> int:
    """How far a signal has come by what a reader is told."""
    return 2 if signal["status"] != "open" else signal["reached"]


def old(told: dict[str, Any], before: dict[int, int], path: str) -> list[str]:
    """What the answer tells otherwise than it was committed before the question was asked."""
    if path.endswith("record"):
        over = sum(known == 2 for known in before.values())
        return [f"{told['whole']['closed']} closed, not {over}"] if told["whole"]["closed"] < over else []
    shown = {one["id"]: stage(one) for one in told["signals"]}
    expected = {number: known for number, known in before.items() if known < 2 or not path.endswith("open")}
    missing = [f"{number} is missing" for number in expected.keys() - shown.keys() if not path.endswith("open")]
    return missing + [
        f"{one} is at {shown[one]}, not {known}" for one, known in before.items() if shown.get(one, 9) < known
    ]


async def read(world: World, key: str, life: Life, rounds: int, seed: int) -> list[str]:
    """What a reader was told that was old when it was asked for."""
    chance, faults = random.Random(seed), list[str]()
    for _ in range(rounds):
        path, before = chance.choice(PATHS), dict(life.stages)
        answer = await ask(world, path, key)
        faults += [f"{path}: {fault}" for fault in old(answer.said, before, path)]
    return faults


async def write(world: World, life: Life, changes: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(changes):
        going = [number for number, known in life.stages.items() if known < 2]
        if going and chance.random() < 0.6:
            await life.move(world, chance.choice(going))
        else:
            life.stages[await tools.opened(world, chance.choice([tools.BTC, tools.ETH]))] = 0
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_reader_sees_an_old_signal_after_its_commit(two: Two, seed: int) -> None:
    keys = [await tools.reader(two.worlds[0], plan) for plan in ("all", "all")]
    life = Life({})
    readers = [read(world, key, life, 40, seed * 10 + n) for n, key in enumerate(keys) for world in two.worlds]
    writer = write(two.worlds[seed % 2], life, 25, seed)
    *told, _ = await asyncio.gather(*readers, writer)
    assert [fault for faults in told for fault in faults] == []
    # The rest of the questions come when nothing changes any more, and are answered from memory.
    for world in two.worlds:
        for path in PATHS * 2:
            await ask(world, path, keys[0])
    assert two.found() >= 8


async def test_callers_with_other_plans_never_share_an_answer(two: Two) -> None:
    world = two.worlds[0]
    number = await tools.opened(world, tools.BTC)
    mine, theirs = await tools.reader(world, "bitcoin"), await tools.reader(world, "ether")
    for _ in range(2):
        assert [one["id"] for one in (await ask(world, PATHS[0], mine)).said["signals"]] == [number]
        assert (await ask(world, PATHS[0], theirs)).said["signals"] == []
    assert two.found() == 2


async def test_a_key_that_was_revoked_or_has_lapsed_is_not_answered_from_memory(two: Two) -> None:
    world = two.worlds[0]
    anna = await tools.member(world, "all")
    key = await tools.key(world, anna)
    assert (await ask(world, PATHS[0], key)).status == 200
    async with world.stack.db.transaction() as session:
        assert await tools.keys.revoke(session, anna, tools.keys.prefix(key), now=world.now)
    assert (await ask(world, PATHS[0], key)).status == 401
    other = await tools.key(world, anna)
    await world.stripe.advance(31 * 86_400)
    assert (await ask(world, PATHS[0], other)).status == 403


def test_a_cache_keeps_what_was_asked_for_last_and_gives_no_other_version() -> None:
    kept = cache.Cache(size=2)
    for number in range(3):
        kept.keep(number, 1, cache.answer(b"%d" % number))
    assert [kept.find(number, 1) is not None for number in range(3)] == [False, True, True]
    assert kept.find(2, 2) is None
    kept.keep("large", 1, cache.answer(b"x" * 300_000))
    assert kept.find("large", 1) is None
    off = cache.Cache(size=0)
    off.keep(1, 1, cache.answer(b""))
    assert off.find(1, 1) is None


def test_what_is_kept_never_has_more_bytes_than_it_may() -> None:
    kept = cache.Cache(size=10_000)
    for number in range(200):
        kept.keep(number % 150, number, cache.answer(b"x" * 200_000))
    assert 15_000_000 < kept.bytes <= 16 * 1024 * 1024
    assert kept.bytes == 200_000 * sum(kept.find(number % 150, number) is not None for number in range(200))
