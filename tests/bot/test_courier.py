"""The delivery worker against Telegram's stand-in: what follows every kind of end of an attempt."""

import asyncio
from datetime import timedelta

import pytest

from bot import courier
from core.delivery import pacing
from core.models import Delivery, State
from tests.bot import stage as stages
from tests.bot.stage import Fault, Kind

GROUP = -100_500


async def test_an_opening_is_uploaded_once_and_known_by_its_name_also_after_a_restart(stage: stages.Stage) -> None:
    chats = await stage.join(6)
    signal = await stage.publish()
    assert {row.state for row in await stage.delivered()} == {State.SENT}

    [late] = await stage.join(1)
    await stage.hand_over(signal)
    await stage.delivered()

    messages = [message for chat in [*chats, late] for message in stage.world.chat(chat)]
    assert len(messages) == 7
    assert len({message.photo for message in messages}) == 1
    assert all(message.options["protect_content"] for message in messages)
    assert {row.message_id for row in await stage.rows()} == {str(message.id) for message in messages}


async def test_a_signal_without_a_picture_is_sent_in_words(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)
    await stage.publish(drawable=False)

    [row] = await stage.delivered()

    [message] = stage.world.chat(chat)
    assert (row.state, row.attempts, row.plain) == (State.SENT, 1, False)
    assert message.photo is None
    assert message.entities


async def test_answers_overtake_a_fan_out(stage: stages.Stage) -> None:
    chats = await stage.join(60)
    await stage.publish(drawable=False)
    pacer = pacing.Pacer("telegram", pacing.Limits(per_second=60, hard=60, chat_interval=0))

    async with stage.working(stage.worker(pacer=pacer), stage.worker(pacer=pacer, urgent=True)):
        await stages.seen(lambda: len(stage.sent()) >= 5)
        await stage.reply(chats[0])
        before = len(stage.sent())
        await stage.settled()

    order = [row["text"] for row in stage.sent()]
    assert order.index("An answer") - before < 20
    assert len(order) == 61


async def test_q06_a_recipient_that_hangs_delays_nobody_else(open_stage: stages.Opener) -> None:
    stage = await open_stage(lease_seconds=4.0)  # an attempt may last 2.8 s
    slow, *others = await stage.join(20)
    hang = stage.world.faults.add(Fault(Kind.HANG, chat_id=slow))
    await stage.publish(drawable=False)

    async with stage.working():
        await stages.seen(lambda: hang.hits)
        await stage.settled(Delivery.address != str(slow))
        assert (await stage.row(slow)).state == State.SENDING
        await stage.settled()

    assert [len(stage.world.chat(chat)) for chat in others] == [1] * 19
    assert [line.endswith("(repeat)") for line in stage.texts(slow)] == [True]
    assert [row["chat_id"] for row in stage.sent()][-1] == slow
    row = await stage.row(slow)
    assert (row.state, row.ambiguities) == (State.SENT, 1)


async def test_q06_a_flood_pause_of_a_group_is_its_own(stage: stages.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_PACING_PATIENCE", 0.3)
    await stage.join(10, group=GROUP)
    flood = stage.world.faults.add(Fault(Kind.RETRY_AFTER, chat_id=GROUP, retry_after=600))
    await stage.publish(drawable=False)
    await stage.publish(drawable=False)

    async with stage.working():
        await stage.settled(Delivery.address != str(GROUP))

    waiting = await stage.rows(Delivery.address == str(GROUP))
    assert flood.hits == 1
    assert stage.world.history.of("telegram_request_in_pause") == []
    assert [row.state for row in waiting] == [State.PENDING] * 2
    assert max(row.not_before for row in waiting) > stage.now() + timedelta(seconds=580)
    assert {(row.attempts, row.ambiguities) for row in waiting} == {(0, 0)}
    assert len(stage.sent()) == 20


async def test_t07_a_flood_pause_in_a_private_chat_is_kept_by_all(stage: stages.Stage) -> None:
    await stage.join(12)
    flood = stage.world.faults.add(Fault(Kind.RETRY_AFTER, method="sendMessage", skip=4, retry_after=1))
    await stage.publish(drawable=False)

    rows = await stage.delivered(pacer=pacing.Pacer("telegram", pacing.Limits(50, 50, chat_interval=0)))

    assert flood.hits == 1
    assert {row.state for row in rows} == {State.SENT}
    assert {row.ambiguities for row in rows} == {0}
    # Requests that were on their way when the pause began cannot be called back.
    assert [row for row in stage.world.history.of("telegram_request_in_pause") if row["since"] > 0.2] == []
    assert len(stage.sent()) == 12


async def test_t05_a_chat_that_blocked_us_is_marked(stage: stages.Stage) -> None:
    gone, other = await stage.join(2)
    stage.world.faults.add(Fault(Kind.REFUSE, chat_id=gone, code=403, times=None))
    await stage.publish(drawable=False)
    await stage.delivered()
    await stage.publish(drawable=False)

    await stage.delivered()

    assert (await stage.identity(gone)).blocked_at is not None
    assert (await stage.row(gone)).state == State.BLOCKED
    assert (await stage.identity(other)).blocked_at is None
    assert len(stage.world.chat(other)) == 2


async def test_t06_a_chat_that_moved_is_followed(stage: stages.Stage) -> None:
    await stage.join(1, group=GROUP)
    stage.world.group(GROUP - 1, "Everybody")
    stage.world.faults.add(Fault(Kind.MIGRATE, chat_id=GROUP, migrate_to=GROUP - 1))
    await stage.publish(drawable=False)

    rows = await stage.delivered()

    assert {row.state for row in rows} == {State.SENT}
    assert len(stage.world.chat(GROUP - 1)) == 1
    assert (await stage.identity(GROUP)).address == str(GROUP - 1)


async def test_t04_a_refused_text_is_sent_plain_once(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)
    stage.world.faults.add(Fault(Kind.REFUSE, chat_id=chat))
    await stage.publish(drawable=False)

    [row] = await stage.delivered()

    [message] = stage.world.chat(chat)
    assert (row.state, row.plain, message.entities) == (State.SENT, True, [])
    assert await stage.alarms() == {}


async def test_q04_what_is_refused_twice_is_dead_and_the_others_flow(stage: stages.Stage) -> None:
    poison, *others = await stage.join(6)
    refusals = stage.world.faults.add(Fault(Kind.REFUSE, chat_id=poison, times=None))
    await stage.publish(drawable=False)

    await stage.delivered()

    assert refusals.hits == 2
    assert (await stage.row(poison)).state == State.DEAD
    assert [(await stage.row(chat)).state for chat in others] == [State.SENT] * 5
    assert "could not be delivered" in (await stage.alarms())["telegram:dead"]


async def test_q04_what_cannot_be_rendered_is_dead_and_never_tried_at_the_platform(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)
    await stage.reply(chat, {"lines": "nonsense"})

    [row] = await stage.delivered(urgent=True)

    assert (row.state, row.reason) == (State.DEAD, "it cannot be rendered")
    assert stage.world.chat(chat) == []
    assert "telegram:dead" in await stage.alarms()


async def test_t01_an_ambiguous_opening_is_repeated_once_and_says_so(stage: stages.Stage) -> None:
    once, always = await stage.join(2)
    stage.world.faults.add(Fault(Kind.STORE_THEN_DROP, chat_id=once))
    stage.world.faults.add(Fault(Kind.STORE_THEN_502, chat_id=always, times=None))
    await stage.publish(drawable=False)

    await stage.delivered()

    assert [line.endswith("(repeat)") for line in stage.texts(once)] == [False, True]
    assert [line.endswith("(repeat)") for line in stage.texts(always)] == [False, True]
    assert ((await stage.row(once)).state, (await stage.row(always)).state) == (State.SENT, State.AMBIGUOUS)


async def test_q05_an_update_waits_for_its_opening_and_answers_it(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)
    stage.world.faults.add(Fault(Kind.DROP, chat_id=chat))  # the first try of the opening is lost
    signal = await stage.publish(drawable=False)
    await stage.end(signal)

    opening, update = await stage.delivered()

    first, second = stage.world.chat(chat)
    assert first.text.startswith("▲ Long")
    assert second.text.startswith("✓ Target hit")
    assert second.reply_to is first
    assert (opening.message_id, update.message_id) == (str(first.id), str(second.id))


async def test_t01_an_ambiguous_update_is_not_repeated(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)
    stage.world.faults.add(Fault(Kind.STORE_THEN_DROP, chat_id=chat, skip=1))
    signal = await stage.publish(drawable=False)
    await stage.end(signal)

    opening, update = await stage.delivered()

    assert (opening.state, update.state, update.ambiguities) == (State.SENT, State.AMBIGUOUS, 1)
    assert len(stage.world.chat(chat)) == 2


async def test_a_token_that_is_refused_costs_no_message(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)
    stage.world.faults.add(Fault(Kind.REFUSE, code=401))
    await stage.publish(drawable=False, life=timedelta(hours=2))

    async with stage.working():
        await stages.until(stage.alarms)
    row = await stage.row(chat)
    assert (row.state, row.attempts, row.not_before > stage.now()) == (State.PENDING, 0, True)
    assert set(await stage.alarms()) == {"telegram:token"}

    stage.clock.ahead = timedelta(seconds=61)  # the operator has set the right token and started again
    await stage.delivered()

    assert len(stage.world.chat(chat)) == 1
    assert await stage.alarms() == {}


async def test_a_grant_that_grew_old_while_it_was_written_down_is_asked_for_again(
    stage: stages.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "_FRESH", -1.0)
    asked: list[str] = []

    class Noting(pacing.Pacer):
        async def acquire(self, chat: str, *, group: bool = False, urgent: bool = False) -> None:
            asked.append(chat)
            await super().acquire(chat, group=group, urgent=urgent)

    [chat] = await stage.join(1)
    await stage.publish(drawable=False)

    [row] = await stage.delivered(pacer=Noting("telegram", stages.FAST))

    assert asked == [str(chat), f"{chat}#{row.id}"]
    assert (row.state, len(stage.sent())) == (State.SENT, 1)


async def test_a_turn_that_does_not_come_again_costs_no_attempt(
    stage: stages.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "_FRESH", -1.0)
    monkeypatch.setattr(courier, "_PACING_PATIENCE", 0.1)

    class Stingy(pacing.Pacer):
        async def acquire(self, chat: str, *, group: bool = False, urgent: bool = False) -> None:
            if "#" in chat:
                await asyncio.Event().wait()

    [chat] = await stage.join(1)
    await stage.publish(drawable=False)
    async with stage.working(stage.worker(pacer=Stingy("telegram", stages.FAST))):
        await stages.until(lambda: stage.rows(Delivery.reason == "its turn did not come"))

    row = await stage.row(chat)
    assert (row.state, row.attempts, row.ambiguities, stage.sent()) == (State.PENDING, 0, 0, [])


async def test_q12_an_orderly_stop_in_a_fan_out_leaves_nothing_ambiguous(stage: stages.Stage) -> None:
    await stage.join(60)
    await stage.publish(drawable=False)
    pacer = pacing.Pacer("telegram", pacing.Limits(per_second=80, hard=80, chat_interval=0))

    async with stage.working(stage.worker(pacer=pacer)):
        await stages.seen(lambda: len(stage.sent()) >= 10)

    rows = await stage.rows()
    states = [row.state for row in rows]
    assert set(states) == {State.SENT, State.PENDING}
    assert states.count(State.SENT) == len(stage.sent()) < 60
    assert {row.ambiguities for row in rows} == {0}
    assert len([row for row in await stage.delivered() if row.state == State.SENT]) == 60
    assert len(stage.sent()) == 60
