"""Every route of the site for every kind of caller: who gets which answer, and in whose answers paid words may stand.

The table is written down apart from the product. A route that is not in it is a fault.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from core import db
from tests.sandbox.server import serving
from tests.webhooks import tools
from tests.webhooks.conftest import World, open_world
from webhooks import limits, server

NOBODY, WRONG, REVOKED = "no key", "a wrong key", "a revoked key"
LAPSED, STRANGER, OWNER, READER = "lapsed", "another plan, nothing of it theirs", "owner", "owner's key that only looks"
UNKNOWN = (NOBODY, WRONG, REVOKED)
KINDS = (*UNKNOWN, LAPSED, STRANGER, READER, OWNER)
"""In this order, so that what an owner deletes was there for all others."""
TIMES = 7313
PAID = [f"{TIMES * price}.00" for price in (100, 95, 105, 110)] + ["the reason of BTC/USDT"]
"""What nobody may read but those whose plans have the market of the open signal."""


@dataclass(frozen=True, slots=True)
class Row:
    """A route with a key: the statuses of who lapsed, of a stranger, of a key that looks, and of the owner."""

    lapsed: int
    stranger: int
    reader: int
    owner: int
    ask: str = ""
    body: Any = None
    paid: bool = False

    def status(self, kind: str) -> int:
        known = {LAPSED: self.lapsed, STRANGER: self.stranger, READER: self.reader, OWNER: self.owner}
        return known.get(kind, 401)


API = {
    ("GET", "/signals/latest"): Row(403, 200, 200, 200, paid=True),
    ("GET", "/signals/open"): Row(403, 200, 200, 200, paid=True),
    ("GET", "/signals"): Row(403, 200, 200, 200, paid=True),
    ("GET", "/signals/{id}"): Row(403, 404, 200, 200, ask="/signals/1", paid=True),
    ("POST", "/signals/refresh"): Row(403, 202, 403, 202),
    ("GET", "/events"): Row(403, 200, 200, 200, paid=True),
    ("GET", "/record"): Row(200, 200, 200, 200),
    ("GET", "/record/entries"): Row(200, 200, 200, 200),
    ("GET", "/candles"): Row(403, 404, 200, 200, ask="/candles?symbol=BTC/USDT"),
    ("POST", "/backtest/run"): Row(403, 404, 403, 202, body={"symbol": "BTC/USDT"}),
    ("GET", "/backtest/{id}"): Row(403, 404, 200, 200, ask="/backtest/1"),
    ("GET", "/subscription"): Row(200, 200, 200, 200),
    ("POST", "/stripe/checkout-session"): Row(409, 409, 403, 409, body={}),
    ("GET", "/deliveries"): Row(403, 200, 200, 200),
    ("GET", "/hooks"): Row(200, 200, 200, 200),
    ("POST", "/hooks"): Row(403, 201, 403, 201, body={"url": "https://tools.example.com/"}),
    ("POST", "/hooks/{id}/pause"): Row(404, 404, 403, 200, ask="/hooks/1/pause"),
    ("POST", "/hooks/{id}/resume"): Row(403, 404, 403, 200, ask="/hooks/1/resume", body={}),
    ("POST", "/hooks/{id}/rotate"): Row(404, 404, 403, 200, ask="/hooks/1/rotate"),
    ("POST", "/hooks/{id}/test"): Row(403, 404, 403, 200, ask="/hooks/1/test"),
    ("DELETE", "/hooks/{id}"): Row(404, 404, 403, 200, ask="/hooks/1"),
    ("GET", "/ws"): Row(403, 426, 426, 426),
}
PUBLIC = {
    ("GET", "/"): 200,
    ("GET", "/static/{name}"): ("/static/site.css", 200),
    ("GET", "/healthz"): 200,
    ("GET", "/readyz"): 503,  # the loops of the site do not run here
    ("GET", "/metrics"): 200,
    ("GET", "/plans"): 200,
    ("GET", "/terms"): 200,
    ("GET", "/privacy"): 200,
    ("GET", "/record"): 200,
    ("GET", "/record.jsonl"): 200,
    ("GET", "/record.png"): 404,  # nothing has closed
    ("GET", "/checkout/{token}"): ("/checkout/x", 403),
    ("POST", "/checkout/{token}"): ("/checkout/x", 403),
    ("GET", "/portal/{token}"): ("/portal/x", 403),
    ("POST", "/portal/{token}"): ("/portal/x", 403),
    ("GET", "/thanks"): 200,
    ("GET", "/returned"): 200,
    ("GET", "/change/{token}"): ("/change/x", 403),
    ("POST", "/change/{token}"): ("/change/x", 403),
    ("GET", "/change/{token}/done"): ("/change/x/done", 403),
    ("GET", "/change/{token}/{shown}"): ("/change/x/y", 403),
    ("POST", "/change/{token}/{shown}"): ("/change/x/y", 403),
    ("GET", "/seats/{token}"): ("/seats/x", 403),
    ("POST", "/seats/{token}"): ("/seats/x", 403),
    ("GET", "/gift/{token}"): ("/gift/x", 403),
    ("POST", "/gift/{token}"): ("/gift/x", 403),
    ("GET", "/invitation/{code}"): ("/invitation/nobodys-code-of-today", 404),
    ("POST", "/webhooks/stripe"): 400,
    ("POST", "/api/v1/stripe/webhook"): 400,
    ("POST", "/webhooks/telegram"): 404,
    ("POST", "/intake/{source}"): ("/intake/x", 404),
    ("GET", "/openapi.json"): 200,
    ("GET", "/docs"): 200,
}
ENDLESS = {("GET", "/live")}
"""Answers that never end; what they tell is public, and tested with the status page."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A world with an open signal, a backtest and a hook of the owner, and a key of everybody."""

    world: World
    keys: dict[str, str]

    async def ask(self, method: str, path: str, kind: str, body: Any = None) -> tools.Answer:
        options = {} if body is None else {"json": body}
        return await tools.ask(self.world, path, self.keys[kind], method=method, allow_redirects=False, **options)


@pytest.fixture
async def scene(database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    async with open_world(database, make_stack, now, book=tools.BOOK) as first:
        app = server.build(first.stack, counters=limits.Limits(times=1000))
        async with serving(app) as url:
            world = replace(first, app=app, url=url)
            owner = await tools.member(world, "bitcoin")
            keys = {NOBODY: "", OWNER: await tools.key(world, owner), READER: await tools.key(world, owner, ["read"])}
            keys |= {STRANGER: await tools.reader(world, "ether"), LAPSED: await tools.reader(world, "all", days=-1)}
            keys |= {WRONG: keys[OWNER][:-4] + "AAAA", REVOKED: await tools.key(world, owner)}
            async with world.stack.db.transaction() as session:
                named = tools.keys.prefix(keys[REVOKED])
                assert await tools.keys.revoke(session, owner, named, now=world.now)
            assert await tools.opened(world, tools.BTC, times=TIMES) == 1
            await tools.with_candles(world)
            made = Scene(world, keys)
            for path, row in API.items():
                if path in {("POST", "/backtest/run"), ("POST", "/hooks")}:
                    assert (await made.ask("POST", f"/api/v1{path[1]}", OWNER, row.body)).said["id"] == 1
            yield made


def routes(world: World) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical)
        for route in world.app.router.routes()
        if route.resource and route.method not in {"HEAD", "*"}
    }


async def test_every_route_of_the_site_stands_in_the_table(scene: Scene) -> None:
    written = {(method, f"/api/v1{path}") for method, path in API} | PUBLIC.keys() | ENDLESS
    assert routes(scene.world) == written


async def test_everybody_gets_the_answer_that_the_table_says_and_nothing_paid_for(scene: Scene) -> None:
    wrong, paid = [], 0
    for (method, path), row in API.items():
        for kind in KINDS:
            answer = await scene.ask(method, f"/api/v1{row.ask or path}", kind, row.body)
            if answer.status != row.status(kind):
                wrong.append(
                    f"{method} {path} for {kind}: {answer.status}, not {row.status(kind)}: {answer.body[:150]!r}"
                )
            seen = [word for word in PAID if word in answer.body.decode()]
            if row.paid and kind in {OWNER, READER}:
                assert set(PAID[:2]) <= set(seen), (path, kind)
                paid += 1
            elif seen:
                wrong.append(f"{method} {path} tells {kind} of {seen}")
    assert wrong == []
    assert paid == 10


async def test_a_key_changes_nothing_on_public_pages_and_nothing_paid_for_stands_there(scene: Scene) -> None:
    wrong = []
    for (method, path), expected in PUBLIC.items():
        address, status = expected if isinstance(expected, tuple) else (path, expected)
        for kind in KINDS:
            answer = await scene.ask(method, address, kind)
            if answer.status != status:
                wrong.append(f"{method} {path} for {kind}: {answer.status}, not {status}")
            wrong += [f"{method} {path} tells {kind} of {word}" for word in PAID if word.encode() in answer.body]
    assert wrong == []


async def test_other_methods_tell_nobody_anything(scene: Scene) -> None:
    for (method, path), row in API.items():
        for kind in KINDS if path != "/ws" else ():
            address = f"/api/v1{row.ask or path}"
            told = [await scene.ask(other, address, kind) for other in ("OPTIONS", "PATCH")]
            assert [one.status for one in told] == [204, 405], path
            assert method in told[1].headers["Allow"].split(",")
            assert not any(word in one.body.decode() for one in told for word in PAID)
