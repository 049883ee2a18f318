"""What an operator has turned on stays on until somebody turns it off."""

from datetime import datetime, timedelta

from core import db, switches


async def test_a_switch_remembers_who_turned_it_on_first(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        assert await switches.turned_on(session, "x") is None
        assert await switches.turn_on(session, "x", by="ann", now=now)
        assert not await switches.turn_on(session, "x", by="bob", now=now + timedelta(hours=1))
        found = await switches.turned_on(session, "x")
        assert found is not None
        assert (found.by, found.at) == ("ann", now)


async def test_a_switch_is_turned_off_once(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await switches.turn_on(session, "x", by="ann", now=now)
        assert await switches.turn_off(session, "x")
        assert not await switches.turn_off(session, "x")
        assert await switches.turned_on(session, "x") is None
