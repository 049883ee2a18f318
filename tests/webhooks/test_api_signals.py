"""Signals, record, candles and the caller's own affairs, as a member's tool reads them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from core import db
from core.models import SignalStatus
from core.signals import proof
from tests.webhooks import tools
from tests.webhooks.conftest import World, open_world
from tests.webhooks.tools import BTC, ETH, ask

LATEST = "/api/v1/signals/latest"


@pytest.fixture
async def shop(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[World]:
    """A world with plans for single markets, once on each database."""
    async with open_world(database, make_stack, now, book=tools.BOOK) as opened:
        yield opened


def numbers(answer: tools.Answer) -> list[int]:
    return [one["id"] for one in answer.said["signals"]]


async def test_the_latest_are_ones_own_open_signals_and_then_everybodys_results(shop: World) -> None:
    over, mine, other = await tools.closed(shop, ETH), await tools.opened(shop, BTC), await tools.opened(shop, ETH)
    key = await tools.reader(shop, "bitcoin")
    answer = await ask(shop, LATEST, key)
    assert (answer.status, numbers(answer)) == (200, [mine, over])
    assert other not in numbers(answer)
    assert answer.said["cursor"] == 4
    assert numbers(await ask(shop, f"{LATEST}?symbol=ETH/USDT", key)) == [over]
    assert numbers(await ask(shop, f"{LATEST}?status=open", key)) == [mine]
    assert numbers(await ask(shop, f"{LATEST}?limit=1", key)) == [mine]
    assert numbers(await ask(shop, "/api/v1/signals/open", await tools.reader(shop, "all"))) == [other, mine]


async def test_a_signal_has_prices_in_words_and_moments_in_utc(shop: World) -> None:
    number = await tools.closed(shop, BTC, "110.00")
    said = (await ask(shop, f"/api/v1/signals/{number}", await tools.reader(shop, "ether"))).said
    assert (said["entry"], said["stop"], said["status"]) == ("100.00", "95.00", "target")
    assert said["targets"][0] == {"price": "105.00", "share": "0.5", "stop": "100.00"}
    assert said["result"] == {"filled": "100.00", "exit": "110.00", "percent": "9.68", "r": "1.94"}
    assert said["published_at"] == said["closed_at"] == "2026-01-15T12:00:00Z"
    assert [one["event"] for one in said["events"]] == ["opened", "target"]
    assert all(len(one["seal"]) == 64 for one in (said, *said["events"]))


async def test_a_reached_target_moves_the_stop(shop: World) -> None:
    number, key = await tools.opened(shop), await tools.reader(shop, "bitcoin")
    await tools.reached(shop, number)
    said = (await ask(shop, f"/api/v1/signals/{number}", key)).said
    assert (said["stop"], said["stop_now"], said["left"], said["reached"]) == ("95.00", "100.00", "0.5", 1)
    assert [(one["event"], one["share"], one["stop"]) for one in said["events"]] == [
        ("opened", "0", "95.00"),
        ("target1", "0.5", "100.00"),
    ]
    assert said["result"] is None


async def test_who_lacks_the_market_cannot_tell_an_open_signal_from_none(shop: World) -> None:
    number, key = await tools.opened(shop, ETH), await tools.reader(shop, "bitcoin")
    there, nowhere = [await ask(shop, f"/api/v1/signals/{one}", key) for one in (number, number + 1000)]
    assert (there.status, nowhere.status) == (404, 404)
    assert there.said["error"]["message"].replace(str(number), "N") == nowhere.said["error"]["message"].replace(
        str(number + 1000), "N"
    )
    await tools.ended(shop, number, "95.00", SignalStatus.STOPPED)
    assert (await ask(shop, f"/api/v1/signals/{number}", key)).said["status"] == "stopped"


async def test_pages_give_every_signal_once_while_new_ones_come(shop: World) -> None:
    made, key = [await tools.closed(shop) for _ in range(5)], await tools.reader(shop, "bitcoin")
    seen, path = [], "/api/v1/signals?limit=2"
    while path:
        page = await ask(shop, path, key)
        seen += numbers(page)
        await tools.opened(shop)
        path = f"/api/v1/signals?limit=2&cursor={page.said['next']}" if page.said["next"] else ""
    assert seen == made[::-1]


async def test_the_record_is_counted_and_told_line_by_line(shop: World) -> None:
    for price in ("110.00", "95.00", "104.00"):
        await tools.closed(shop, price=price)
    key = await tools.reader(shop)
    said = (await ask(shop, "/api/v1/record", key)).said
    assert (said["whole"]["closed"], said["whole"]["gains"], said["whole"]["losses"]) == (3, 2, 1)
    assert said["markets"][0]["name"] == BTC
    lines: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = (await ask(shop, f"/api/v1/record/entries?after={after}&limit=4", key)).said
        lines, after = lines + page["entries"], page["next"]
    assert [one["n"] for one in lines] == [1, 2, 3, 4, 5, 6]
    written = [proof.entries.canonical(one) + b"\n" for one in lines]
    whole = (await ask(shop, "/record.jsonl")).body
    assert whole.startswith(b"".join(written))


async def test_candles_come_in_order_and_page_by_page(shop: World) -> None:
    await tools.with_candles(shop, number=5)
    key = await tools.reader(shop, "bitcoin")
    newest = (await ask(shop, "/api/v1/candles?symbol=BTC/USDT&limit=2", key)).said
    assert [one["at"] for one in newest["candles"]] == ["2026-01-15T10:00:00Z", "2026-01-15T11:00:00Z"]
    assert newest["candles"][0]["close"] == "101.25"
    seen, since = [], "2026-01-15T08:00:00Z"
    while since:
        page = (await ask(shop, f"/api/v1/candles?symbol=btc/usdt&limit=2&since={since}", key)).said
        seen, since = seen + [one["at"][11:13] for one in page["candles"]], page["next"]
    assert seen == ["08", "09", "10", "11"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("symbol=DOGE/USDT", "no market"),
        ("symbol=BTC/USDT&timeframe=5m", "is watched at 1h"),
        ("", "query.symbol"),
        ("symbol=BTC/USDT&limit=1001", "query.limit"),
        ("symbol=BTC/USDT&limit=1e2", "write a whole number"),
        ("symbol=BTC/USDT&since=yesterday", "query.since"),
        ("symbol=BTC/USDT&since=2026-01-15T12:00:00", "query.since"),
        ("symbol=BTC/USDT&symbol=BTC/USDT", "twice"),
        ("symbol=BTC/USDT&lmit=3", "query.lmit"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_answered_with_why(world: World, query: str, told: str) -> None:
    key = await tools.reader(world, "signals")
    answer = await ask(world, f"/api/v1/candles?{query}", key)
    assert answer.status == (404 if told.startswith(("no market", "is watched")) else 422)
    assert told in answer.said["error"]["message"]


async def test_one_reads_ones_own_standing_and_deliveries_and_nobody_elses(shop: World) -> None:
    anna, ben = await tools.member(shop, "bitcoin"), await tools.member(shop, "all")
    number = await tools.opened(shop)
    mine, theirs = await tools.key(shop, anna), await tools.key(shop, ben)
    said = (await ask(shop, "/api/v1/subscription", mine)).said
    assert (said["paying"], said["open_signals"]) == (True, 1)
    assert said["plans"][0] | {"status": ""} == {
        "plan": "bitcoin",
        "name": "Bitcoin only",
        "markets": [BTC],
        "until": "2026-02-14T12:00:00Z",
        "renews": True,
        "status": "",
        "source": "stripe",
        "by": "",
    }
    sent = [(await ask(shop, "/api/v1/deliveries", key)).said["deliveries"] for key in (mine, theirs)]
    assert [[(one["kind"], one["signal"], one["state"]) for one in each] for each in sent] == [
        [("opening", number, "pending")]
    ] * 2
    assert sent[0][0]["id"] != sent[1][0]["id"]


async def test_asking_for_a_scan_wakes_the_scheduler_and_is_rare(shop: World) -> None:
    key = await tools.reader(shop, "bitcoin")
    waiting = asyncio.create_task(shop.stack.bell.wait("scan", timeout=20))
    await asyncio.sleep(0)
    answers = [await ask(shop, "/api/v1/signals/refresh", key, method="POST") for _ in range(4)]
    assert await waiting
    assert [one.status for one in answers] == [202, 202, 202, 429]
    assert int(answers[3].headers["Retry-After"]) >= 1


async def test_a_checkout_link_is_the_one_that_the_chat_gives(world: World) -> None:
    anna = await world.member()
    key = await tools.key(world, anna)
    answer = await ask(world, "/api/v1/stripe/checkout-session", key, method="POST", json={})
    assert answer.status == 201
    assert (answer.said["plan"], answer.said["price"]) == ("signals", "29.00 USD / month")
    assert answer.headers["Location"] == answer.said["url"]
    async with world.http.get(world.local(answer.said["url"])) as page:
        assert page.status == 200
    unknown = await ask(world, "/api/v1/stripe/checkout-session", key, method="POST", json={"plan": "gold"})
    assert (unknown.status, "signals" in unknown.said["error"]["message"]) == (404, True)
    await world.subscribe(anna)
    again = await ask(world, "/api/v1/stripe/checkout-session", key, method="POST", json={"plan": "signals"})
    assert (again.status, again.said["error"]["code"]) == (409, "subscribed")
