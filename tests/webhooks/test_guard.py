"""The guard: how often an address may ask, whose word on addresses counts, who sees figures, how requests are named."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from limits import RateLimitItemPerMinute
from sqlalchemy import select
from structlog.testing import capture_logs

from core import db, log, models
from core.delivery import outbox
from tests.conftest import StackMaker
from tests.sandbox.server import serving
from tests.webhooks.conftest import World
from tests.webhooks.test_events import event, post, signed
from webhooks import guard, limits, server

PROXY = "127.0.0.1"
TOKEN = "a-token-for-prometheus"


@dataclass
class Door:
    """The site at `url`, and how it is asked."""

    app: web.Application
    url: str
    http: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.get(self.url + path, headers=named) as answer:
            return answer.status, answer.headers


@asynccontextmanager
async def opened(database: db.Database, make_stack: StackMaker, **settings: Any) -> AsyncIterator[Door]:
    app = server.build(await make_stack(database, **settings))
    async with serving(app) as url, aiohttp.ClientSession(headers={"Host": "inside:8080"}) as http:
        yield Door(app, url, http)


@pytest.fixture
async def door(sqlite_database: db.Database, make_stack: StackMaker) -> AsyncIterator[Door]:
    """The site of an operator who has no proxy."""
    async with opened(sqlite_database, make_stack, public_url="https://signals.example") as made:
        yield made


@pytest.fixture
async def behind(sqlite_database: db.Database, make_stack: StackMaker) -> AsyncIterator[Door]:
    """The site behind a proxy that the operator has named."""
    values = {"public_url": "https://signals.example", "trusted_proxies": f"{PROXY}, 10.0.0.0/8"}
    async with opened(sqlite_database, make_stack, **values) as made:
        yield made


def smaller(monkeypatch: pytest.MonkeyPatch, **rules: int) -> None:
    """These rules allow so few a minute."""
    few = {getattr(limits, name): RateLimitItemPerMinute(number) for name, number in rules.items()}
    told = tuple((start, few.get(rule, rule) if rule else None) for start, rule in guard._RULES)
    monkeypatch.setattr(guard, "_RULES", told)


async def test_too_many_requests_for_pages_are_refused_with_when_to_come_back(door: Door, monkeypatch: Any) -> None:
    smaller(monkeypatch, PAGES=2)
    first = await door.get("/thanks")
    assert (first[0], first[1]["RateLimit-Limit"], first[1]["RateLimit-Remaining"]) == (200, "2", "1")
    assert (await door.get("/nowhere"))[0] == 404  # what does not exist counts too
    status, headers = await door.get("/thanks")
    assert (status, headers["RateLimit-Remaining"]) == (429, "0")
    assert int(headers["Retry-After"]) >= 1
    assert headers["Connection"] == "close"
    assert (await door.get("/static/site.css"))[0] == 200


async def test_liveness_and_readiness_are_never_refused(door: Door, monkeypatch: Any) -> None:
    smaller(monkeypatch, PAGES=1)
    assert {(await door.get(path))[0] for path in ["/healthz", "/readyz"] * 5} <= {200, 503}


def test_every_address_of_the_site_is_counted_somewhere(door: Door) -> None:
    counted_elsewhere = ("/webhooks/", "/intake/", "/api/v1/")
    uncounted = set()
    for resource in door.app.router.resources():
        rule = next(rule for start, rule in guard._RULES if resource.canonical.startswith(start))
        if rule is None and not resource.canonical.startswith(counted_elsewhere):
            uncounted.add(resource.canonical)
    assert uncounted == {"/healthz", "/readyz"}


async def test_without_a_trusted_proxy_nobody_gets_around_the_limit_by_naming_another_address(
    door: Door, monkeypatch: Any
) -> None:
    smaller(monkeypatch, PAGES=2)
    with capture_logs() as lines:
        told = [(await door.get("/thanks", X_Forwarded_For=f"203.0.113.{n}"))[0] for n in range(4)]
    assert told == [200, 200, 429, 429]
    assert [line["event"] for line in lines].count("site_proxy_not_trusted") == 1


async def test_behind_a_trusted_proxy_each_caller_is_counted_apart(behind: Door, monkeypatch: Any) -> None:
    smaller(monkeypatch, PAGES=1)
    assert [(await behind.get("/thanks", X_Forwarded_For=f"203.0.113.{n}"))[0] for n in range(3)] == [200] * 3
    # The caller wrote the first of these, the proxies the others.
    assert (await behind.get("/thanks", X_Forwarded_For="198.51.100.9, 203.0.113.1, 10.0.0.7"))[0] == 429
    # One household has a whole network of IPv6.
    assert (await behind.get("/thanks", X_Forwarded_For="2001:db8::1"))[0] == 200
    assert (await behind.get("/thanks", X_Forwarded_For="[2001:db8::ffff:2]:443"))[0] == 429
    assert (await behind.get("/thanks", X_Forwarded_For="2001:db8:0:1::1"))[0] == 200


async def test_forged_events_use_up_nothing_of_what_the_provider_has(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "FORGED", RateLimitItemPerMinute(2))
    body = event("evt_true", "customer.created")
    statuses = [(await post(world, body, {"Stripe-Signature": "t=1,v1=aa"}))[0] for _ in range(4)]
    assert statuses == [400, 400, 429, 429]
    assert (await post(world, body, signed(body)))[0] == 200
    monkeypatch.setattr(limits, "PROVIDER", RateLimitItemPerMinute(1))
    assert [(await post(world, body, signed(body)))[0] for _ in range(2)] == [200, 429]


async def test_figures_are_for_this_machine_and_its_network_only(door: Door) -> None:
    assert (await door.get("/metrics"))[0] == 200
    for through in ("X_Forwarded_For", "Forwarded", "Via", "X_Real_IP"):
        assert (await door.get("/metrics", **{through: "10.0.0.9"}))[0] == 403
    assert (await door.get("/metrics", Host="signals.example"))[0] == 403


async def test_figures_behind_a_trusted_proxy_are_for_private_callers_only(behind: Door) -> None:
    assert (await behind.get("/metrics", X_Forwarded_For="198.18.0.1, 8.8.8.8"))[0] == 403
    assert (await behind.get("/metrics", X_Forwarded_For="192.168.1.5"))[0] == 200


async def test_with_a_token_only_the_token_opens_the_figures(sqlite_database: db.Database, make_stack: Any) -> None:
    async with opened(sqlite_database, make_stack, metrics_token=TOKEN) as door:
        assert (await door.get("/metrics"))[0] == 403
        assert (await door.get("/metrics", Authorization="Bearer another-token-altogether"))[0] == 403
        assert (await door.get("/metrics", Authorization=f"Bearer {TOKEN}"))[0] == 200


async def test_a_request_has_a_name_in_the_answer_the_error_and_the_log(door: Door) -> None:
    first, second = (await door.get("/healthz"))[1], (await door.get("/healthz", X_Request_Id="mine-1234"))[1]
    assert len({first["X-Request-Id"], second["X-Request-Id"], "mine-1234"}) == 3
    async with door.http.get(f"{door.url}/api/v1/nowhere") as answer:
        assert (await answer.json())["request"] == answer.headers["X-Request-Id"]


async def test_the_name_that_a_trusted_proxy_gives_is_kept_if_it_is_one(behind: Door) -> None:
    assert (await behind.get("/healthz", X_Request_Id="edge-0001"))[1]["X-Request-Id"] == "edge-0001"
    for odd in ("x", "a b c d", "x" * 37, '"><script>'):
        assert (await behind.get("/healthz", X_Request_Id=odd))[1]["X-Request-Id"] != odd


async def test_what_a_request_causes_names_it(both: World) -> None:
    anna = await both.member()
    async with both.stack.db.transaction() as session:
        with log.caused_by("req-0001"):
            await outbox.tell(session, anna, "revoked", {"plan": "Gold"}, key="one", now=both.now)
        await outbox.tell(session, anna, "revoked", {"plan": "Gold"}, key="two", now=both.now)
        rows = await session.scalars(select(models.Delivery.request).order_by(models.Delivery.id))
        assert list(rows) == ["req-0001", None]
    await both.subscribe(anna)
    async with both.stack.db.reading() as session:
        last = await session.scalar(select(models.Delivery.request).order_by(models.Delivery.id.desc()).limit(1))
    assert last is not None
    assert last.startswith("evt_")


async def test_a_request_that_fails_is_named_on_its_page(sqlite_database: db.Database, make_stack: Any) -> None:
    async def fails(_: web.Request) -> web.Response:
        raise RuntimeError("a fault of ours")

    app = server.build(await make_stack(sqlite_database))
    app.router.add_get("/fails", fails)
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with serving(app) as url, aiohttp.ClientSession() as http, http.get(f"{url}/fails") as answer:
            named, text = answer.headers["X-Request-Id"], await answer.text()
    assert answer.status == 500
    assert f"names the request {named}" in text
    assert "RuntimeError" not in text
    assert named in [line.get("request") for line in lines if line["event"] == "webhooks_request_failed"]


async def test_bodies_that_are_too_large_are_refused_before_they_are_read(world: World) -> None:
    headers = {"Stripe-Signature": "t=1,v1=aa"}
    async with world.http.post(
        f"{world.url}/webhooks/stripe", data=b"x" * (guard.LIMIT + 1), headers=headers
    ) as answer:
        assert answer.status == 413
    assert (await post(world, "x" * guard.LIMIT, headers))[0] == 400


async def test_the_figures_of_readiness_are_looked_up_once_for_all_who_ask_together() -> None:
    looked = []

    async def look(_: web.Request) -> web.Response:
        looked.append(1)
        return web.json_response({"ready": True})

    app = web.Application()
    app.router.add_get("/", guard.shared(look))
    async with serving(app) as url, aiohttp.ClientSession() as http, http.get(url) as answer:
        assert await answer.json() == {"ready": True}
    assert looked == [1]
