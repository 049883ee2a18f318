"""A picture is drawn once and uploaded once, whoever asks for it and whatever goes wrong."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack
from datetime import datetime

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from bot import pictures
from core import db, models, stack
from core.market import candles
from core.signals import charts
from tests import conftest
from tests.bot import stage as stages
from tests.core import people


@pytest.fixture
async def held(sqlite_database: db.Database, make_stack: conftest.StackMaker) -> stack.Stack:
    return await make_stack(sqlite_database, book=people.BOOK)


@pytest.fixture
def shown(held: stack.Stack) -> pictures.Pictures:
    return pictures.Pictures(held, "telegram")


async def made(held: stack.Stack, now: datetime, *, drawable: bool = True) -> models.Signal:
    async with held.db.transaction() as session:
        signal = await people.signal(session, now)
        if drawable:
            key = candles.Key(signal.exchange, signal.symbol, signal.timeframe)
            await candles.keep(session, key, [stages.candle(signal.candle)])
    return signal


def away() -> OperationalError:
    return OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))


async def test_those_who_ask_at_once_wait_for_the_first_upload(
    held: stack.Stack, shown: pictures.Pictures, now: datetime
) -> None:
    signal = await made(held, now)
    uploads = 0

    async def send() -> str | None:
        nonlocal uploads
        async with shown.of(signal) as picture:
            if picture.data:
                uploads += 1
                await asyncio.sleep(0.05)
                await shown.keep(picture.key, "file-1")
                return "file-1"
            return picture.file_id

    assert set(await asyncio.gather(*(send() for _ in range(9)))) == {"file-1"}
    assert uploads == 1
    assert await asyncio.create_task(send()) == "file-1"


async def test_a_failed_upload_is_taken_over_by_one_of_those_who_waited(
    held: stack.Stack, shown: pictures.Pictures, now: datetime
) -> None:
    signal = await made(held, now)
    kinds: list[bool] = []

    async def send(number: int) -> None:
        async with shown.of(signal) as picture:
            kinds.append(picture.data is not None)
            await asyncio.sleep(0.02)
            if len(kinds) > 1 and picture.data:
                await shown.keep(picture.key, "file-2")

    await asyncio.gather(*(send(number) for number in range(5)))

    assert kinds == [True, True, False, False, False]


async def test_who_has_waited_long_enough_uploads_too(
    held: stack.Stack, shown: pictures.Pictures, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_PATIENCE", 0.05)
    signal = await made(held, now)

    async with AsyncExitStack() as slow:
        first = await slow.enter_async_context(shown.of(signal))
        async with shown.of(signal) as second:
            assert first.data is second.data is not None


async def test_another_process_knows_what_was_uploaded(
    held: stack.Stack, shown: pictures.Pictures, now: datetime
) -> None:
    signal = await made(held, now)
    await shown.keep(f"signal:{signal.id}", "old")
    await shown.keep(f"signal:{signal.id}", "new")
    await shown.keep(f"signal:{signal.id}", "new")

    async with pictures.Pictures(held, "telegram").of(signal) as picture:
        assert picture.file_id == "new"
    async with pictures.Pictures(held, "discord").of(signal) as picture:
        assert picture.data is not None


async def test_what_cannot_be_drawn_is_no_picture(held: stack.Stack, shown: pictures.Pictures, now: datetime) -> None:
    async with shown.of(await made(held, now, drawable=False)) as picture:
        assert picture == pictures.Picture("")


async def test_a_database_that_was_away_is_asked_again(
    held: stack.Stack, shown: pictures.Pictures, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = await made(held, now)
    with monkeypatch.context() as broken:
        broken.setattr(charts, "draw", lambda *_: (_ for _ in ()).throw(away()))
        with pytest.raises(OperationalError):
            async with shown.of(signal):
                raise AssertionError("there is no picture")

    async with shown.of(signal) as picture:
        assert picture.data is not None


async def test_a_name_that_cannot_be_kept_now_does_not_stop_the_message(
    held: stack.Stack, shown: pictures.Pictures, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = await made(held, now)
    error: Exception = away()

    def broken() -> None:
        raise error

    monkeypatch.setattr(held.db, "transaction", broken)
    await shown.keep(f"signal:{signal.id}", "file-3")

    async with shown.of(signal) as picture:
        assert picture.file_id == "file-3"
    error = ProgrammingError("INSERT", {}, Exception("no such table"))
    with pytest.raises(ProgrammingError):
        await shown.keep("signal:0", "file-4")


async def test_only_the_newest_pictures_are_remembered(
    held: stack.Stack, shown: pictures.Pictures, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_KEPT", 2)
    for _ in range(3):
        async with shown.of(await made(held, now)) as picture:
            assert picture.data is not None
    for number in range(25):
        await shown.keep(f"signal:{100 + number}", f"file-{number}")

    assert len(shown._drawn) == 2
    assert next(iter(shown._known)) == "signal:105"
    assert len(shown._known) == 20
