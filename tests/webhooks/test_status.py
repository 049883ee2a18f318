"""The status page and the answers for machines."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import migrations
from core import catalogue, db, health, models, stack
from tests.sandbox.server import serving
from tests.webhooks import filled
from tests.webhooks.conftest import World, open_world
from tests.webhooks.filled import signal
from webhooks import glance, server

PAGES = ("/", "/record", "/plans", "/terms", "/privacy", "/docs", "/thanks", "/returned", "/nowhere")


async def get(world: World, path: str) -> tuple[int, str]:
    async with world.http.get(world.url + path) as answer:
        return answer.status, await answer.text()


async def test_empty_status_page_says_so_plainly(world: World) -> None:
    status, text = await get(world, "/")
    assert status == 200
    for words in ("Starting up", "No signal has closed yet", "No part has reported yet", "29.00 USD", "/subscribe"):
        assert words in text


async def test_status_page_shows_results_with_losses_and_nothing_of_open_signals(both: World) -> None:
    closed = {"closed_at": both.now, "close_candle": 5}
    rows = [
        signal(both, candle=1, status="target", close_price=Decimal(41000), **closed),
        signal(both, candle=2, status="stopped", close_price=Decimal(39500), symbol="ETH/USDT", **closed),
        signal(both, candle=3, status="expired", close_price=Decimal(39900), direction="short", late=True, **closed),
        signal(both, candle=4, symbol="SECRET/USDT", entry=Decimal("12345.67")),
    ]
    async with both.stack.db.transaction() as session:
        session.add_all(rows)
    _, text = await get(both, "/")
    for words in (
        "+2.50 %",
        "+2.00 R",
        "−1.25 %",
        "−1.00 R",
        "Target hit",
        "Stopped out",
        "not sent in time",
        "15 Jan 2026",
    ):
        assert words in text
    assert "from 3 closed signals together" in text
    assert "1 reached the target, 1 were stopped out, 1 expired." in text
    assert 'src="/record.png?v=3"' in text
    assert "1 is open now" in text
    assert "SECRET" not in text
    assert "12345" not in text


async def test_status_page_names_every_part_with_the_age_of_its_progress(world: World) -> None:
    async with world.stack.db.transaction() as session:
        for part, age in (
            ("webhooks.site", 3),
            ("telegram.delivery", 400),
            ("scheduler.scan", 0),
            ("odd.part_name", 7200),
        ):
            await health.beat(session, part, limit=90, now=world.now - timedelta(seconds=age), note="inner matter")
        await health.alarm(session, "inner", "An inner matter.", now=world.now)
    _, text = await get(world, "/")
    for words in (
        "Web pages",
        "3 s ago",
        "Signals and notices",
        "silent for 7 min",
        "Market watch",
        "just now",
        "Odd part name",
        "silent for 2 h",
    ):
        assert words in text, words
    assert "Something is not working" in text
    assert "The operator has been informed" in text
    assert "inner" not in text.lower()


async def test_all_well_is_said_and_the_bot_is_one_tap_away(world: World) -> None:
    async with world.stack.db.transaction() as session:
        await health.beat(session, "telegram.bot", limit=90, now=world.now, note="@signals_bot")
        await health.beat(session, "scheduler.scan", limit=90, now=world.now)
        await health.alarm(session, "inner", "An inner matter.", now=world.now)
    _, text = await get(world, "/")
    assert "Everything is working" in text
    assert 'href="https://t.me/signals_bot?start=plans"' in text
    assert "needs attention" in text


async def test_the_server_is_one_tap_away_where_the_operator_names_it(worlds: Any) -> None:
    service = catalogue.Service(discord_invite="https://discord.gg/abc-123")
    world = await worlds(book=catalogue.Catalogue(service=service, plans=(catalogue.Plan(key="p", name="P"),)))
    _, text = await get(world, "/")
    assert 'href="https://discord.gg/abc-123"' in text
    assert "Join in Telegram" not in text


@pytest.mark.parametrize("note", ["<b>x</b>", "a b", '"', "ümlaut"])
async def test_odd_bot_name_is_no_link(world: World, note: str) -> None:
    async with world.stack.db.transaction() as session:
        await health.beat(session, "telegram.bot", limit=90, now=world.now, note=note)
    assert "t.me" not in (await get(world, "/"))[1]


async def test_notice_risk_and_words_of_the_operator_stand_on_every_page(worlds: Any) -> None:
    service = catalogue.Service(
        name="A & B", notice="simulated market", support="@help", operator="A Ltd", terms="T <1>", privacy="P <2>"
    )
    world = await worlds(book=catalogue.Catalogue(service=service))
    for path in ("/", "/plans", "/record", "/terms", "/privacy", "/thanks", "/nowhere", "/checkout/x"):
        _, text = await get(world, path)
        for words in ("A &amp; B", "simulated market", "@help", "A Ltd", "Not financial advice", 'href="/terms"'):
            assert words in text, path
    assert "T &lt;1&gt;" in (await get(world, "/terms"))[1]
    assert "P &lt;2&gt;" in (await get(world, "/privacy"))[1]


async def test_every_answer_has_safe_headers(world: World) -> None:
    for path in ("/", "/static/site.css", "/nowhere", "/metrics", "/checkout/x"):
        async with world.http.get(world.url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert f"form-action 'self' {world.stripe.base_url};" in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Server"] == "SignalStack"
            assert "Strict-Transport-Security" in answer.headers  # PUBLIC_URL is https


async def test_plain_http_promises_no_https(worlds: Any) -> None:
    world = await worlds(public_url="http://localhost:8080")
    async with world.http.get(world.url) as answer:
        assert "Strict-Transport-Security" not in answer.headers


async def test_pages_bring_no_script_but_our_file_and_nothing_from_elsewhere(world: World) -> None:
    await filled.fill(world)
    for path in PAGES:
        _, text = await get(world, path)
        scripts = re.findall(r"<script[^>]*>[^<]*", text)
        assert all(re.fullmatch(r'<script src="/static/live.js\?v=\w+" defer>', one) for one in scripts)
        assert len(scripts) == (path == "/")
        assert "style=" not in text
        assert re.findall(r'<(?:img|link|script)[^>]*(?:src|href)="(?!/)', text) == []


async def test_static_files_are_ours_only_and_kept_by_browsers(world: World) -> None:
    _, text = await get(world, "/")
    (sheet,) = re.findall(r'rel="stylesheet" href="([^"]+)"', text)
    async with world.http.get(world.url + sheet) as answer:
        assert answer.content_type == "text/css"
        assert "immutable" in answer.headers["Cache-Control"]
    assert (await get(world, "/static/mark.svg"))[0] == 200
    for path in ("/static/base.html", "/static/..%2Fsite.py", "/static/"):
        assert (await get(world, path))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/webhooks/stripe", 405, "method_not_allowed"),
        ("POST", "/webhooks/telegram", 404, "not_found"),
    ],
)
async def test_programs_get_errors_as_json(world: World, method: str, path: str, status: int, code: str) -> None:
    async with world.http.request(method, world.url + path) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == code


async def test_people_get_errors_as_pages(world: World) -> None:
    status, text = await get(world, "/nowhere")
    assert (status, "Nothing here" in text) == (404, True)
    async with world.http.post(world.url + "/") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"
        assert "text/html" in answer.headers["Content-Type"]


async def test_x01_fault_of_ours_shows_no_traceback(world: World, monkeypatch: Any) -> None:
    async def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("inner words")

    monkeypatch.setattr(health, "report", breaks)
    status, text = await get(world, "/")
    assert status == 500
    assert "inner words" not in text
    assert "Traceback" not in text


async def test_ready_when_migrated_and_alive_and_not_before(
    empty_database: db.Database, make_stack: Any, now: Any
) -> None:
    conf = {"stripe_api_key": "", "stripe_webhook_secret": ""}
    made: stack.Stack = await make_stack(empty_database, clock=lambda: now, **conf)
    import aiohttp

    async with serving(server.build(made)) as url, aiohttp.ClientSession() as http:

        async def ask() -> tuple[int, Any]:
            async with http.get(f"{url}/readyz") as answer:
                return answer.status, await answer.json()

        status, facts = await ask()
        assert (status, facts["migrated"]) == (503, False)
        await migrations.upgrade(empty_database)
        status, facts = await ask()
        assert (status, facts["migrated"], facts["ready"]) == (503, True, False)
        async with empty_database.transaction() as session:
            await health.beat(session, "webhooks.site", limit=90, now=now)
        assert await ask() == (
            200,
            {
                "ready": True,
                "database": "reachable",
                "migrated": True,
                "parts": {"webhooks.site": {"ok": True, "age_seconds": 0.0}},
            },
        )
        async with empty_database.transaction() as session:
            await session.execute(models.Heartbeat.__table__.update().values(at=now - timedelta(seconds=91)))
        assert (await ask())[0] == 503


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty_database(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_postgres_url")
    database = db.Database(url)
    yield database
    await database.close()


async def test_without_a_database_it_lives_but_is_not_ready(own_postgres: Any, make_stack: Any, now: Any) -> None:
    from tests import databases

    await databases.create_tables(own_postgres.url)
    database = db.Database(own_postgres.url)
    async with open_world(database, make_stack, now) as world:
        own_postgres.stop()
        assert (await get(world, "/healthz"))[0] == 200
        status, text = await get(world, "/readyz")
        assert (status, '"database":"unreachable"' in text) == (503, True)
        status, text = await get(world, "/")
        assert (status, "Back in a moment" in text) == (503, True)
        body, headers = b"{}", {"X": "y"}
        async with world.http.post(f"{world.url}/webhooks/stripe", data=body, headers=headers) as answer:
            assert answer.status == 400  # an unproven event needs no database to be refused
    await database.close()


async def test_metrics_count_requests_by_pattern_and_the_ledgers_by_state(both: World) -> None:
    anna = await both.member()
    await both.subscribe(anna)
    async with both.stack.db.transaction() as session:
        await health.beat(session, "webhooks.site", limit=90, now=both.now - timedelta(seconds=7))
        for watch, failures in (("mine binance BTC/USDT 1h", 3), ("rsi_reversal binance BTC/USDT 1h", 0)):
            session.add(models.ScanMark(watch=watch, candle=0, scanned_at=both.now, failures=failures))
    await get(both, "/nowhere")
    status, text = await get(both, "/metrics")
    assert status == 200
    for line in (
        'signalstack_http_requests_total{method="POST",route="/checkout/{token}",status="303"} 1.0',
        'signalstack_http_requests_total{method="GET",route="unknown",status="404"} 1.0',
        'signalstack_deliveries{kind="notice",platform="telegram",state="pending"} 1.0',
        'signalstack_heartbeat_age_seconds{part="webhooks.site"} 7.0',
        'signalstack_heartbeat_limit_seconds{part="webhooks.site"} 90.0',
        "signalstack_deliveries_ambiguous 0.0",
        "signalstack_alarms_open 0.0",
        "# TYPE signalstack_strategy_failures_total counter",
        'signalstack_strategy_failures_total{watch="mine binance BTC/USDT 1h"} 3.0',
        'signalstack_strategy_failures_total{watch="rsi_reversal binance BTC/USDT 1h"} 0.0',
    ):
        assert line in text
    assert re.search(r'signalstack_inbox_items\{source="stripe",state="done"\} \d+', text)
    assert 'signalstack_http_request_seconds_bucket{le="0.005",route="/checkout/{token}"}' in text


def test_parts_of_a_further_provider_bear_its_name() -> None:
    names = ("webhooks.inbox", "webhooks.inbox.stars", "webhooks.questions.stars", "telegram.odd_part")
    spelt = ["Payment events", "Payment events (Stars)", "Payment questions (Stars)", "Telegram odd part"]
    assert [glance._spelt(name) for name in names] == spelt
