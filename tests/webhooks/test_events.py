"""The door for events and the worker behind it: proof, once-only, retries, outages."""

import asyncio
import hashlib
import hmac
import io
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from core import inbox, models
from tests.webhooks.conftest import SECRET, World
from webhooks import events, payments


def signed(body: str, *, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={digest}", "Content-Type": "application/json"}


def event(event_id: str = "evt_1", kind: str = "customer.subscription.updated", **obj: Any) -> str:
    return json.dumps({"id": event_id, "type": kind, "data": {"object": {"id": "sub_none", **obj}}})


async def post(world: World, body: str, headers: dict[str, str], path: str = "/webhooks/stripe") -> tuple[int, Any]:
    async with world.http.post(world.url + path, data=body.encode(), headers=headers) as answer:
        return answer.status, await answer.json()


async def test_s01_without_stripe_there_is_no_door(worlds: Any) -> None:
    world = await worlds(stripe_api_key="", stripe_webhook_secret="")
    for path in ("/webhooks/stripe", "/api/v1/stripe/webhook"):
        status, answer = await post(world, event(), signed(event(), secret=""), path)
        assert (status, answer["error"]["code"]) == (404, "not_found")
    assert await world.inbox() == []


@pytest.mark.parametrize("secret", ["", "  ", ","])
async def test_s01_empty_secret_proves_nothing(worlds: Any, secret: str) -> None:
    world = await worlds(stripe_webhook_secret=secret)
    for used in ("", " ", secret):
        assert (await post(world, event(), signed(event(), secret=used)))[0] == 400
    assert await world.inbox() == []


async def test_good_event_is_kept_before_it_is_acknowledged(both: World) -> None:
    for path in ("/webhooks/stripe", "/api/v1/stripe/webhook"):
        assert await post(both, event(path), signed(event(path)), path) == (200, {"received": True})
    rows = await both.inbox()
    assert [row.body for row in rows] == [event("/webhooks/stripe").encode(), event("/api/v1/stripe/webhook").encode()]
    assert {row.state for row in rows} == {"pending"}


async def test_s02_replayed_old_event_is_refused(world: World) -> None:
    body = event()
    assert (await post(world, body, signed(body, at=int(time.time()) - 600)))[0] == 400
    assert await world.inbox() == []


@pytest.mark.parametrize("header", [None, "", "t=1", "v1=aa", "t=x,v1=aa", "nonsense", "t=1,v1=" + "0" * 64])
async def test_missing_or_wrong_signature_is_refused_without_saying_why(world: World, header: str | None) -> None:
    status, answer = await post(world, event(), {} if header is None else {"Stripe-Signature": header})
    assert status == 400
    assert answer["error"] == {"code": "bad_request", "message": "The signature is missing, wrong or too old."}


async def test_s03_signature_is_proven_on_the_raw_bytes(world: World) -> None:
    odd = '{ "type":"customer.created" ,\n\n"id" : "evt_odd","data":{"object":{}} }'
    assert (await post(world, odd, signed(odd)))[0] == 200
    again = json.dumps(json.loads(odd))
    assert (await post(world, again, signed(odd)))[0] == 400


async def test_s05_events_signed_with_any_configured_secret_pass_and_others_do_not(worlds: Any) -> None:
    world = await worlds(stripe_webhook_secret=f"whsec_new_secret, {SECRET}")
    body = event()
    for secret, status in ((SECRET, 200), ("whsec_new_secret", 200), ("whsec_gone", 400)):
        assert (await post(world, body, signed(body, secret=secret)))[0] == status
    world.stripe.roll_secret("whsec_new_secret")  # Stripe signs with both for a while
    await world.subscribe(await world.member())
    world.stripe.roll_secret("whsec_unknown_here", keep_old=False)
    world.stripe.account.emit("customer.created", {"id": "cus_1", "object": "customer"})
    await world.stripe.delivery.settled()
    assert not world.stripe.delivery.succeeded(world.stripe.events[-1]["id"])


async def test_s06_twenty_copies_at_once_change_the_state_once(both: World) -> None:
    anna = await both.member()
    both.stripe.delivery.mode = "drop"
    both.stripe.pay(await both.checkout(anna))
    made = next(one for one in both.stripe.events if one["type"] == "customer.subscription.created")
    body = json.dumps(made)
    answers = await asyncio.gather(*(post(both, body, signed(body)) for _ in range(20)))
    assert {status for status, _ in answers} == {200}
    assert len(await both.inbox()) == 1
    await both.settle()
    assert await both.plans_of(anna) == {"signals"}
    assert await both.notices(anna) == ["access_started"]


@pytest.mark.parametrize("body", ["[]", "{}", '{"id": 7, "type": "x"}', '{"id": "", "type": "x"}', "not json", '"'])
async def test_signed_body_that_is_no_event_is_refused(world: World, body: str) -> None:
    assert (await post(world, body, signed(body)))[0] == 400


@pytest.mark.parametrize("body", [b"\xff\xfe{}", b"\x00"])
async def test_bytes_that_are_no_text_are_refused(world: World, body: bytes) -> None:
    headers = {"Stripe-Signature": f"t={int(time.time())},v1=00"}
    async with world.http.post(f"{world.url}/webhooks/stripe", data=body, headers=headers) as answer:
        assert answer.status == 400


async def test_body_beyond_a_megabyte_is_refused(world: World) -> None:
    large = io.BytesIO(b"x" * (1024 * 1024 + 1))
    async with world.http.post(f"{world.url}/webhooks/stripe", data=large) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("obj", [{"data": None}, {"data": {"object": None}}, {"data": 7}, {"nothing": 1}])
async def test_event_of_unexpected_shape_is_done_without_effect(world: World, obj: dict[str, Any]) -> None:
    body = json.dumps({"id": "evt_1", "type": "invoice.paid", **obj})
    assert (await post(world, body, signed(body)))[0] == 200
    await world.settle()
    assert [row.state for row in await world.inbox()] == ["done"]


async def test_event_about_something_that_stripe_does_not_know_is_done(world: World) -> None:
    for kind in ("customer.subscription.updated", "checkout.session.completed"):
        body = event(kind, kind)
        await post(world, body, signed(body))
    for kind, obj in (("charge.refunded", {"payment_intent": "pi_no"}), ("invoice.paid", {"parent": None})):
        body = event(kind, kind, **obj)
        await post(world, body, signed(body))
    await world.settle()
    assert {row.state for row in await world.inbox()} == {"done"}


async def test_s07_effect_and_end_of_the_event_stand_or_fall_together(both: World, monkeypatch: Any) -> None:
    anna = await both.member()

    async def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("the database broke after the effect")

    with monkeypatch.context() as broken:
        broken.setattr(inbox, "done", breaks)
        await both.subscribe(anna)
    assert {row.state for row in await both.inbox()} == {"pending"}
    assert await both.plans_of(anna) == set()
    await both.stripe.advance(60)
    await both.settle()
    assert {row.state for row in await both.inbox()} == {"done"}
    assert await both.plans_of(anna) == {"signals"}
    assert await both.notices(anna) == ["access_started"]


async def test_s08_event_of_a_worker_that_died_is_taken_up_after_its_lease(both: World) -> None:
    anna = await both.member()
    both.stripe.pay(await both.checkout(anna))
    await both.stripe.delivery.settled()
    async with both.stack.db.transaction() as session:  # claimed by a process that was killed then
        await inbox.claim(session, "stripe", now=both.now, lease=events.LEASE, limit=100)
    await both.settle()
    assert await both.plans_of(anna) == set()
    await both.stripe.advance(events.LEASE + 1)
    await both.settle()
    assert await both.plans_of(anna) == {"signals"}


async def test_item_taken_over_by_another_worker_is_left_to_it(world: World, monkeypatch: Any) -> None:
    await post(world, event(), signed(event()))
    read = world.here.providers[0].read

    async def slow_read(subject: payments.Subject, **moment: Any) -> payments.Reading:
        async with world.stack.db.transaction() as session:
            await session.execute(update(models.Inbox).values(epoch=models.Inbox.epoch + 1))
        return await read(subject, **moment)

    monkeypatch.setattr(world.here.providers[0], "read", slow_read)
    assert await events.work_off(world.here, world.here.providers[0]) == 1
    assert [row.state for row in await world.inbox()] == ["claimed"]


@pytest.mark.parametrize("kind", ["500", "503", "429", "drop"])
async def test_s22_while_stripe_fails_nothing_changes_and_the_event_waits(world: World, kind: str) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    world.stripe.fault(kind, count=None)
    world.stripe.cancel(sub, at_period_end=False)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    assert "pending" in {row.state for row in await world.inbox()}
    world.stripe.api.faults.clear()
    await world.stripe.advance(30)
    await world.settle()
    assert await world.plans_of(anna) == set()
    assert {row.state for row in await world.inbox()} == {"done"}


async def test_s22_stripe_away_for_a_day_gives_no_event_up(world: World) -> None:
    anna = await world.member()
    session = await world.checkout(anna)
    world.stripe.fault("503", count=None)
    world.stripe.pay(session)
    await world.settle()
    async with world.stack.db.transaction() as session:  # many hours of attempts have passed already
        await session.execute(update(models.Inbox).values(attempts=inbox.MAX_ATTEMPTS - 3))
    for _ in range(5):
        await world.settle()
        await world.stripe.advance(1800)
    assert "dead" not in {row.state for row in await world.inbox()}
    world.stripe.api.faults.clear()
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}


async def test_event_that_always_breaks_us_is_given_up_with_an_alarm(world: World, monkeypatch: Any) -> None:
    async def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(events, "take", breaks)
    await post(world, event(), signed(event()))
    for _ in range(inbox.MAX_ATTEMPTS):
        await world.settle()
        await world.stripe.advance(700)
    assert [row.state for row in await world.inbox()] == ["dead"]
    assert "event_given_up:stripe" in await world.alarms()


async def test_s22_slow_stripe_delays_no_acknowledgement(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(events, "_READ_SECONDS", 0.2)
    anna = await world.member()
    session = await world.checkout(anna)
    world.stripe.fault("hang", count=None, seconds=5)
    world.stripe.pay(session)
    await world.settle()
    assert all(world.stripe.delivery.succeeded(one["id"]) for one in world.stripe.events)
    assert {row.error for row in await world.inbox() if row.state == "pending"} == {"TimeoutError"}
    world.stripe.api.faults.clear()
    await world.stripe.calm()
    await world.stripe.advance(30)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}


async def test_s22_wrong_key_leaves_events_waiting_and_names_no_key(worlds: Any) -> None:
    world = await worlds()
    await post(world, event(), signed(event()))
    world.stripe.api.api_key = "sk_test_another"
    await world.settle()
    (row,) = await world.inbox()
    assert row.state == "pending"
    assert row.error == "RefusedError: Stripe does not accept our key; see STRIPE_API_KEY."


async def test_reading_that_was_overtaken_is_asked_again(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    async with world.stack.db.transaction() as session:
        await session.execute(update(models.Subscription).values(read_at=world.now + timedelta(seconds=5)))
    world.stripe.cancel((await world.row(anna)).external_id, at_period_end=False)
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    await world.stripe.advance(10)
    await world.settle()
    assert await world.plans_of(anna) == set()


async def test_purchase_asks_for_its_subscription_twice_although_it_makes_many_events(world: World) -> None:
    await world.subscribe(await world.member())
    asked = world.stripe.account.history.of("stripe_request", method="GET")
    assert len([row for row in asked if "/v1/subscriptions/" in row["path"]]) == 2
    assert len(await world.inbox()) >= 8


async def test_changed_price_is_known_at_once(world: World) -> None:
    price = next(iter(world.stripe.account.tables["price"].values()))
    price["active"] = False
    world.stripe.account.emit("price.updated", price)
    await world.settle()
    assert f"price_missing:{price['id']}" in await world.alarms()
    price["active"] = True
    world.stripe.account.emit("price.updated", price)
    await world.settle()
    assert f"price_missing:{price['id']}" not in await world.alarms()
