"""The head of the record in a public channel: everybody can read and keep it, and a closed channel is said aloud."""

from core.delivery import outbox
from core.signals import record
from tests.bot import stage as stages

CHANNEL = -100_555
HEAD = "ab" * 32
FACTS = {"day": "2026-01-15", "entries": 7, "head": HEAD, "url": "https://signals.example/record"}


async def post(stage: stages.Stage) -> None:
    async with stage.held.db.transaction() as session:
        where = ("telegram", str(CHANNEL), "public record")
        assert await outbox.post_notice(session, where, record.HEAD_NOTICE, FACTS, key="record:x", now=stage.now())


async def test_the_head_is_posted_in_a_channel_that_is_no_place(stage: stages.Stage) -> None:
    stage.world.group(CHANNEL, "Everybody")
    await post(stage)
    (row,) = await stage.delivered()
    assert row.state == "sent"
    (message,) = stage.world.chat(CHANNEL)
    words = message.text.replace("\u2060", "")
    assert words.startswith("SignalStack: the record on 2026-01-15 (UTC)\n7 entries, the last of them with the hash\n")
    assert HEAD in words
    assert "protect_content" not in message.options
    assert await stage.alarms() == {}


async def test_a_channel_that_takes_no_post_stands_as_an_alarm(stage: stages.Stage) -> None:
    await post(stage)

    async def alarmed() -> bool:
        return any("“public record”" in text for text in (await stage.alarms()).values())

    async with stage.working():
        await stages.until(alarmed)
    (row,) = await stage.rows()
    assert row.state == "pending"  # it is posted as soon as the operator has opened the channel to the bot
