"""Events that arrive at once are stored together, each once, and none suffers from another."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import event, func, select

from core import db, models
from webhooks import tray


async def stored(database: db.Database) -> int:
    async with database.reading() as session:
        return await session.scalar(select(func.count()).select_from(models.Inbox)) or 0


async def test_events_that_arrive_at_once_are_stored_once_each_in_few_transactions(
    database: db.Database, make_stack: Any, now: datetime
) -> None:
    begun = []
    event.listen(database.engine.sync_engine, "commit", begun.append)
    made = tray.Tray(await make_stack(database, clock=lambda: now))
    await asyncio.gather(*(made.put("stripe", f"evt_{number % 40}", "kind", b"{}") for number in range(80)))
    assert await stored(database) == 40
    assert len(begun) <= 3
    await made.put("stripe", "evt_1", "kind", b"{}")
    assert await stored(database) == 40


async def test_an_event_that_the_database_refuses_takes_no_other_with_it(
    database: db.Database, make_stack: Any, now: datetime
) -> None:
    made = tray.Tray(await make_stack(database, clock=lambda: now))
    broken: Any = {"not": "text"}
    results = await asyncio.gather(
        *(made.put("stripe", one, "kind", b"{}") for one in ("evt_1", broken, "evt_2")), return_exceptions=True
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert await stored(database) == 2


async def test_while_the_database_is_away_every_sender_hears_of_it(own_postgres: Any, make_stack: Any) -> None:
    database = db.Database(own_postgres.url)
    made = tray.Tray(await make_stack(database))
    own_postgres.stop()
    results = await asyncio.gather(
        *(made.put("stripe", f"evt_{number}", "kind", b"{}") for number in range(5)), return_exceptions=True
    )
    assert all(isinstance(result, Exception) and db.is_unavailable(result) for result in results)
    await database.close()


async def test_a_sender_who_has_gone_keeps_nobody_from_being_answered(
    sqlite_database: db.Database, make_stack: Any, now: datetime
) -> None:
    made = tray.Tray(replace(await make_stack(sqlite_database), clock=lambda: now))
    first, second = (asyncio.create_task(made.put("stripe", name, "kind", b"{}")) for name in ("evt_1", "evt_2"))
    await asyncio.sleep(0)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await stored(sqlite_database) >= 1
