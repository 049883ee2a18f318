"""The public record: every result on a page, as a picture, and line by line; open signals stay closed."""

from datetime import timedelta
from decimal import Decimal

import aiohttp
import pytest

from core import catalogue
from core.signals import proof
from tests.core.signals import test_record as records
from tests.webhooks.conftest import World, Worlds
from tests.webhooks.test_status import get, signal
from webhooks import record


async def fill(world: World) -> None:
    """A closed signal with two exits, one that is open, and one from before the record that closed."""
    database = world.stack.db
    first = await records.opened(database)
    await records.met(database, first, 40, "100.50", "104.50", "99.00", "104.00")
    await records.met(database, first, 41, "104.00", "104.50", "99.00", "99.50")
    await records.opened(database, candle=50, symbol="SECRET/USDT", strategy="hidden", entry=Decimal("97.77"))
    ended = {"closed_at": world.now, "close_candle": 5, "status": "stopped", "close_price": Decimal(39500)}
    async with database.transaction() as session:
        session.add(signal(world, symbol="ETH/USDT", late=True, **ended))


async def test_an_empty_page_says_so_plainly(world: World) -> None:
    status, text = await get(world, "/record")
    assert status == 200
    assert "No signal has closed yet" in text
    assert "0 entries" in text
    assert "record.png" not in text
    assert (await get(world, "/record.png"))[0] == 404
    assert (await get(world, "/record.jsonl"))[1] == '{"entries":0,"head":"' + "0" * 64 + '"}\n'


async def test_the_page_counts_everything_that_closed(both: World) -> None:
    await fill(both)
    status, text = await get(both, "/record")
    assert status == 200
    for words in (
        "2 closed signals brought",
        "−0.76 R",
        "1 with a gain, 1 with a loss",
        "A share is named from 30 closed signals on",
        "secret_sauce",
        "mean_reversion",
        "BTC/USDT",
        "ETH/USDT",
        "2026-01",
        "0.1 % fee and 0.05 % slippage",
        "1 is from before costs were assumed",
        "The record has 4 entries",
        "signalstack verify https://signals.example/record.jsonl",
        'href="/record.jsonl"',
        "Not financial advice",
    ):
        assert words in text, words
    for secret in ("SECRET", "hidden", "97.77", "because"):
        assert secret not in text
    assert '<a href="/record">' in (await get(both, "/"))[1]


async def test_what_is_downloaded_is_right_and_shows_nothing_of_open_signals(
    both: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_PAGE", 3)
    await fill(both)
    async with both.http.get(both.url + "/record.jsonl") as answer:
        assert (answer.status, answer.content_type) == (200, "application/jsonl")
        for name in ("Content-Security-Policy", "X-Content-Type-Options"):
            assert name in answer.headers
        etag = answer.headers["ETag"]
        lines = (await answer.read()).splitlines(keepends=True)
    chain = proof.Chain()
    for line in lines:
        chain.take(line)
    report = chain.end()
    assert (report.entries, report.closed, report.open) == (4, 1, 1)
    assert b"SECRET" not in b"".join(lines)
    assert etag == f'"{report.head}"'
    async with both.http.get(both.url + "/record.jsonl", headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with both.http.head(both.url + "/record.jsonl") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_a_record_that_cannot_be_sent_wholly_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_PAGE", 1)
    monkeypatch.setattr(record, "_LONGEST", 0.0)
    await fill(world)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with world.http.get(world.url + "/record.jsonl") as answer:
            await answer.read()


async def test_no_more_than_a_few_download_at_once(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await get(await worlds(), "/record.jsonl"))[0] == 200
    monkeypatch.setattr(record, "_AT_ONCE", 0)
    status, text = await get(await worlds(), "/record.jsonl")
    assert (status, "Back in a moment" in text) == (503, True)


async def test_the_picture_is_drawn_anew_when_another_signal_has_closed(world: World) -> None:
    await fill(world)
    async with world.http.get(world.url + "/record.png") as answer:
        first, etag = await answer.read(), answer.headers["ETag"]
        assert (answer.status, answer.content_type) == (200, "image/png")
    assert first.startswith(b"\x89PNG")
    async with world.http.get(world.url + "/record.png", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    assert 'src="/record.png?v=2"' in (await get(world, "/record"))[1]
    async with world.stack.db.transaction() as session:
        ended = {"closed_at": world.now + timedelta(hours=1), "close_price": Decimal(41000), "status": "target"}
        session.add(signal(world, candle=9, **ended))
    async with world.http.get(world.url + "/record.png") as answer:
        assert await answer.read() != first


async def test_figures_are_added_up_once_however_many_ask(world: World) -> None:
    assert "No signal has closed yet" in (await get(world, "/record"))[1]
    await fill(world)
    assert "No signal has closed yet" in (await get(world, "/record"))[1]


async def test_the_public_channel_is_named_where_there_is_one(worlds: Worlds) -> None:
    assert "in our public channel" not in (await get(await worlds(), "/record"))[1]
    book = catalogue.Catalogue(record=catalogue.Record(telegram="-1001"))
    assert "in our public channel" in (await get(await worlds(book=book), "/record"))[1]
