"""What the roles count and tell while they really run."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from pydantic import SecretStr
from sqlalchemy import select

from core import figures, health, models
from core.delivery import pacing
from tests.core.conftest import sqlite_stage  # noqa: F401 - a fixture
from tests.core.signals.stage import NEWEST, Stage
from tests.core.test_scheduler import held_by, running, until
from tests.ops import receivers


def counted(stage: Stage, name: str, label: str) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        async with stage.held.db.reading() as session:
            return label in (await figures.read(session)).get(name, {})

    return there


async def test_the_scheduler_counts_its_scans_and_tells_of_alarms(sqlite_stage: Stage) -> None:  # noqa: F811
    sqlite_stage.write((NEWEST, 95.0))
    with receivers.http() as hook:
        held = held_by(sqlite_stage, "one")
        settings = held.settings.model_copy(update={"alert_webhook_url": SecretStr(hook.url)})
        held = replace(held, settings=settings)
        async with held.db.transaction() as session:
            await health.alarm(session, "telegram:token", "it is broken", now=held.clock())
        async with running(held):
            await until(counted(sqlite_stage, figures.SCAN, ""))
            held.bell.ring("alert", everywhere=False)

            async def told() -> bool:
                async with held.db.reading() as session:
                    rows = await session.scalars(select(models.Alert).where(models.Alert.channel == "hook"))
                    return any(row.sent_at for row in rows)

            await until(told)
    assert any(b'"telegram:token"' in body for body in hook.bodies)


async def test_an_exchange_that_does_not_answer_is_counted_by_its_kind(sqlite_stage: Stage) -> None:  # noqa: F811
    sqlite_stage.standin.faults.add("429", seconds=1, times=1)
    async with running(held_by(sqlite_stage, "one")):
        await until(counted(sqlite_stage, figures.EXCHANGE, "binance banned"))


async def test_every_wait_for_a_turn_is_told() -> None:
    waits: list[float] = []
    pacer = pacing.Pacer("telegram", pacing.Limits(per_second=50, hard=50, chat_interval=0.05), waited=waits.append)
    for _ in range(2):
        await pacer.acquire("7")
    first, second = waits
    assert first < 0.05 <= second
