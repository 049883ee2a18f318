"""The pacer in one process, in virtual time: limits that hold always, and no more waiting than they ask for."""

import asyncio
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draws

from core.delivery import pacing
from tests.core.delivery import virtual


def crowd(limits: pacing.Limits | None = None, *, stall: float = 0.0) -> virtual.Crowd:
    world = virtual.World(stall)
    pacer = pacing.Pacer("telegram", limits or pacing.Limits(), clock=world.clock, sleep=world.sleep)
    return virtual.Crowd(world, pacer)


@dataclass(frozen=True)
class Ask:
    """So many messages to neighbouring chats, after a while; some senders give up soon."""

    after: float
    count: int
    chat: int
    urgent: bool
    gives_up: float | None


ASKS = draws.lists(
    draws.builds(
        Ask,
        after=draws.sampled_from([0.0, 0.0, 0.001, 0.03, 0.2, 0.9, 1.1]),
        count=draws.sampled_from([1, 1, 3, 40]),
        chat=draws.integers(0, 60),
        urgent=draws.booleans(),
        gives_up=draws.sampled_from([None, None, None, 0.0, 0.05, 2.0]),
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(asks=ASKS, seed=draws.integers(0, 1000), pause=draws.none() | draws.floats(0, 5))
async def test_no_pattern_of_messages_breaks_a_limit_and_none_starves(
    asks: list[Ask], seed: int, pause: float | None
) -> None:
    dice = random.Random(seed)
    people = crowd(stall=dice.choice([0.0, 0.12]))
    hiccup = lambda: dice.choice([0.0] * 20 + [0.005, 0.08, 0.15])  # noqa: E731 - a die, thrown at each step
    staying = 0
    for ask in asks:
        await people.world.run(ask.after, hiccup=hiccup)
        # Chats below ten are groups.
        chats = range(ask.chat, ask.chat + ask.count)
        tasks = [people.ask(str(chat), group=chat < 10, urgent=ask.urgent) for chat in chats]
        if ask.gives_up is None:
            staying += ask.count
            continue
        await people.world.run(ask.gives_up, hiccup=hiccup)
        for task in tasks:
            task.cancel()
    begun = people.world.now
    await people.pacer.pause(pause or 0)
    await people.world.run(600, hiccup=hiccup)
    assert virtual.most(people.times()) <= 30
    for chat in range(100):
        assert virtual.closest(people.times(str(chat))) >= 1.0
        assert chat >= 10 or virtual.most(people.times(str(chat)), 60) <= 20
    assert not [at for at in people.times() if begun < at < begun + (pause or 0)]
    assert people.pacer.waiting() == 0
    assert len(people.sent) >= staying
    await people.leave()


@pytest.mark.parametrize("stall", [0.0, 0.12])
async def test_at_least_94_percent_of_the_strict_limit_is_used(stall: float) -> None:
    people = crowd(stall=stall)
    for number in range(4000):
        people.ask(str(number))
    await people.world.run(60)
    assert virtual.most(people.times()) <= 30
    assert len(people.sent) >= 0.94 * 30 * 60
    await people.leave()


@pytest.mark.parametrize("late", [0.02, 0.03])
async def test_messages_that_are_a_little_late_at_the_platform_break_no_limit_there(late: float) -> None:
    people, dice = crowd(stall=0.12), random.Random(1)
    for number in range(1000):
        people.ask(str(number))
    await people.world.run(30)
    assert virtual.most([at + dice.random() * late for at in people.times()]) <= 30
    await people.leave()


async def test_paid_broadcasts_go_at_their_own_rate() -> None:
    people = crowd(pacing.Limits(per_second=1000, hard=1001))
    for number in range(3000):
        people.ask(str(number))
    await people.world.run(2)
    assert virtual.most(people.times()) <= 1001
    assert len(people.sent) >= 1900
    await people.leave()


async def test_a_lone_message_leaves_at_once() -> None:
    people = crowd()
    people.ask("1")
    await people.world.run(0)
    assert people.times() == [people.world.now]


async def test_one_private_chat_gets_one_message_a_second() -> None:
    people = crowd()
    for _ in range(5):
        people.ask("1")
    await people.world.run(10)
    assert len(people.sent) == 5
    assert virtual.closest(people.times()) >= 1.0
    assert people.times()[-1] - people.times()[0] < 4.5


async def test_one_group_gets_twenty_messages_a_minute() -> None:
    people = crowd()
    for _ in range(50):
        people.ask("-100", group=True)
    await people.world.run(131)
    assert virtual.most(people.times(), 60) == 20
    assert len(people.sent) == 50
    await people.leave()


async def test_t07_a_pause_holds_everything_that_waits_and_everything_new() -> None:
    people = crowd()
    for number in range(100):
        people.ask(str(number))
    await people.world.run(1)
    await people.pacer.pause(5)
    begun, before = people.world.now, len(people.sent)
    await people.world.run(2)
    people.ask("new", urgent=True)
    await people.world.run(2.99)
    assert len(people.sent) == before
    await people.world.run(60)
    assert min(at for at in people.times() if at > begun) >= begun + 5
    assert len(people.sent) == 101


async def test_t07_a_message_granted_just_before_a_pause_stays() -> None:
    people = crowd()
    task = people.ask("1")
    for _ in range(2):
        await asyncio.sleep(0)
    assert people.pacer.waiting() == 0
    assert not task.done()
    await people.pacer.pause(3)
    await people.world.run(2.9)
    assert not task.done()
    await people.world.run(0.2)
    assert task.done()


async def test_t07_a_shorter_pause_does_not_end_a_longer_one() -> None:
    people = crowd()
    await people.pacer.pause(10)
    await people.pacer.pause(0)
    await people.pacer.pause(2)
    people.ask("1")
    await people.world.run(9.9)
    assert people.sent == []
    await people.world.run(0.2)
    assert len(people.sent) == 1


async def test_q06_a_chat_that_must_wait_ten_minutes_delays_nobody_else() -> None:
    people = crowd()
    await people.pacer.pause(600, "slow")
    for number in range(290):
        people.ask("slow" if number % 10 == 0 else str(number))
    await people.world.run(10)
    assert len(people.sent) == 261
    assert people.times("slow") == []
    await people.world.run(588)
    assert people.times("slow") == []
    assert people.pacer.waiting() == 29
    await people.world.run(40)
    assert len(people.sent) == 290


async def test_answers_to_people_go_before_waiting_bulk() -> None:
    people = crowd()
    for number in range(300):
        people.ask(str(number))
    await people.world.run(2.5)
    asked = people.world.now
    people.ask("person", urgent=True)
    await people.world.run(0.2)
    assert people.times("person")[0] - asked < 0.1
    await people.leave()


async def test_bulk_is_not_starved_by_answers() -> None:
    people = crowd()
    people.ask("bulk")
    for number in range(4000):
        people.ask(f"person {number}", urgent=True)
        if number % 40 == 0:
            await people.world.run(1)
    assert people.times("bulk")
    await people.leave()


async def test_messages_of_one_chat_keep_their_order() -> None:
    people, order = crowd(), []

    async def send(number: int) -> None:
        await people.pacer.acquire("1")
        order.append(number)

    tasks = [asyncio.create_task(send(number)) for number in range(10)]
    await people.world.run(20)
    await asyncio.gather(*tasks)
    assert order == list(range(10))


async def test_one_who_gives_up_frees_the_place() -> None:
    people = crowd()
    people.ask("1")
    await people.world.run(0)
    given_up = [people.ask("1") for _ in range(50)]
    last = people.ask("1")
    await people.world.run(0.1)
    for task in given_up:
        task.cancel()
    await people.world.run(1)
    assert last.done()
    assert people.pacer.waiting() == 0


async def test_nothing_runs_and_little_is_remembered_when_nobody_waits() -> None:
    people = crowd(pacing.Limits(per_second=1000, hard=1001))
    for number in range(6000):
        people.ask(str(number), group=number % 2 == 0)
        if number % 1000 == 0:
            await people.world.run(90)
    await people.world.run(90)
    people.ask("last")
    await people.world.run(1)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "pacer"]
    assert len(people.pacer._queue._lanes) < 3000
    assert len(people.pacer._queue._ready) < 3000


async def test_giving_up_again_and_again_in_a_pause_leaves_nothing_behind() -> None:
    people = crowd()
    await people.pacer.pause(3600)
    for number in range(2000):
        task = people.ask(str(number % 7))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
    await people.world.run(0)
    assert people.pacer.waiting() == 0
    assert len(people.pacer._queue._ready) < 200
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "pacer"]
