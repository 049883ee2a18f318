"""The pages on which members pay: what they show, what they make, and what they never make."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from core import catalogue, models
from core.billing import checkouts, links
from core.privacy import removal
from tests.webhooks.conftest import API_KEY, SECRET, World
from webhooks import payments


def link(world: World, member_id: int, plan: str = "signals") -> str:
    return world.local(links.checkout_url(world.stack.settings, member_id, plan, now=world.now))


def portal(world: World, member_id: int) -> str:
    return world.local(links.portal_url(world.stack.settings, member_id, now=world.now))


async def get(world: World, url: str) -> tuple[int, str]:
    async with world.http.get(url) as answer:
        return answer.status, await answer.text()


async def post(world: World, url: str) -> tuple[int, str, str]:
    async with world.http.post(url, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def rows(world: World) -> list[models.Checkout]:
    async with world.stack.db.reading() as session:
        return list(await session.scalars(select(models.Checkout).order_by(models.Checkout.id)))


async def test_checkout_page_shows_plan_price_and_whose_it_is_and_makes_nothing(world: World) -> None:
    anna = await world.member("Anna <b>")
    status, text = await get(world, link(world, anna))
    assert status == 200
    for words in ("Signals", "29.00 USD", "every month", "Anna &lt;b&gt;", "Not financial advice", "renews until"):
        assert words in text
    assert await rows(world) == []
    assert world.stripe.account.all("checkout.session") == []


async def test_button_leads_to_stripe_with_everything_that_links_the_payment(world: World) -> None:
    anna = await world.member()
    session = world.stripe.account.get("checkout.session", await world.checkout(anna))
    assert session["mode"] == "subscription"
    assert session["client_reference_id"] == str(anna)
    assert session["metadata"] == {"signalstack_member": str(anna), "signalstack_plan": "signals"}
    assert session["allow_promotion_codes"] is True
    assert session["success_url"] == "https://signals.example/thanks?session_id={CHECKOUT_SESSION_ID}"
    assert (await get(world, world.local(session["cancel_url"])))[0] == 200
    hidden = world.stripe.account.secret(session["id"])
    assert hidden["data"]["metadata"]["signalstack_member"] == str(anna)


async def test_s13_two_tabs_get_the_same_checkout(both: World) -> None:
    anna = await both.member()
    answers = await asyncio.gather(*(post(both, link(both, anna)) for _ in range(4)))
    places = {place for status, _, place in answers if status == 303}
    assert {status for status, _, _ in answers} <= {303, 503}  # 503: Stripe says that it is making it already
    assert len(places) == 1
    assert len(both.stripe.account.all("checkout.session")) == 1
    assert (await post(both, link(both, anna)))[2] in places


async def test_s23_answer_lost_after_stripe_made_it_leads_to_the_same_session(world: World) -> None:
    anna = await world.member()
    world.stripe.fault("drop", "POST", "/v1/checkout/sessions", count=2, after_store=True)
    status, text, _ = await post(world, link(world, anna))
    assert status == 503
    assert "Nothing was charged" in text
    await world.stripe.advance(120)  # another click, from a link that was made later
    session = await world.checkout(anna)
    assert [row["id"] for row in world.stripe.account.all("checkout.session")] == [session]


async def test_s23_server_error_that_stripe_remembers_does_not_block_the_member(world: World) -> None:
    anna = await world.member()
    world.stripe.fault("500", "POST", "/v1/checkout/sessions", count=2, after_store=True)
    assert (await post(world, link(world, anna)))[0] == 303
    assert [row.state for row in await rows(world)] == ["failed", "open"]


async def test_stripe_away_is_said_plainly(world: World) -> None:
    anna = await world.member()
    world.stripe.fault("503", count=None)
    status, text, _ = await post(world, link(world, anna))
    assert status == 503
    assert "try again in a few minutes" in text


async def test_refusal_by_stripe_is_an_alarm_and_says_nothing_inward(world: World) -> None:
    anna = await world.member()
    next(iter(world.stripe.account.tables["price"].values()))["active"] = False
    status, text, _ = await post(world, link(world, anna))
    assert status == 503
    assert "price" not in text.split("<main")[1].split("</main")[0]
    assert "checkout_refused" in await world.alarms()


async def test_checkout_that_ran_out_makes_place_for_a_new_one(world: World) -> None:
    anna = await world.member()
    first = await world.checkout(anna)
    await world.stripe.advance(24 * 3600)
    await world.settle()
    assert await world.checkout(anna) != first
    assert [row.state for row in await rows(world)] == ["expired", "open"]


async def test_customer_of_stripe_is_used_again_and_replaced_when_stripe_has_lost_it(world: World) -> None:
    anna = await world.member()
    sub = await world.subscribe(anna)
    customer = (await world.row(anna)).customer_id
    world.stripe.cancel(sub, at_period_end=False)
    await world.settle()
    second = world.stripe.account.get("checkout.session", await world.checkout(anna))
    assert second["customer"] == customer
    async with world.stack.db.transaction() as session:
        await checkouts.closed(session, second["id"], state="expired")
    del world.stripe.account.tables["customer"][customer]
    third = world.stripe.account.get("checkout.session", await world.checkout(anna))
    assert third["customer"] is None


async def test_who_pays_already_is_told_so_and_led_to_the_portal(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    for answer in (await get(world, link(world, anna)), (await post(world, link(world, anna)))[:2]):
        assert answer[0] == 200
        assert "already paid for" in answer[1]
        assert re.search(r'href="https://signals.example/portal/[^"]+"', answer[1])
    assert len(world.stripe.account.all("checkout.session")) == 1


async def test_s12_while_a_slow_payment_is_on_its_way_no_second_one_can_begin(world: World) -> None:
    anna = await world.member()
    world.stripe.account.async_status = "incomplete"
    await world.subscribe(anna, "sepa")
    status, text, _ = await post(world, link(world, anna))
    assert status == 409
    assert "still on its way" in text


@pytest.mark.parametrize("method", ["get", "post"])
async def test_x02_forged_old_or_misused_links_open_nothing(world: World, method: str) -> None:
    anna = await world.member()
    old = link(world, anna)
    billing = portal(world, anna).replace("/portal/", "/checkout/")
    await world.stripe.advance(25 * 3600)
    for url in (old, billing, f"{world.url}/checkout/x", link(world, anna)[:-2], portal(world, anna) + "x"):
        async with world.http.request(method, url, allow_redirects=False) as answer:
            assert answer.status == 403, url
            assert "get a new one" in await answer.text()
    assert world.stripe.account.all("checkout.session") == []


async def test_x02_payment_belongs_to_whom_the_link_was_made_for_whatever_the_mail_address(world: World) -> None:
    anna, eve = await world.member("Anna"), await world.member("Eve")
    session = await world.checkout(anna)
    world.stripe.pay(session, email="eve@example.com")
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    other = await world.checkout(eve)
    world.stripe.pay(other, email="eve@example.com")
    await world.settle()
    assert await world.plans_of(eve) == {"signals"}
    assert (await world.row(anna)).external_id != (await world.row(eve)).external_id


async def test_x02_edited_reference_does_not_move_a_payment_to_another_member(world: World) -> None:
    anna, eve = await world.member("Anna"), await world.member("Eve")
    session = world.stripe.account.get("checkout.session", await world.checkout(anna))
    session["client_reference_id"] = str(eve)
    world.stripe.delivery.mode = "hold"
    world.stripe.pay(session["id"])
    await world.stripe.delivery.release(["checkout.session.completed"])
    await world.settle()
    assert await world.plans_of(anna) == {"signals"}
    assert await world.plans_of(eve) == set()


async def test_x04_links_name_a_member_and_a_plan_and_nothing_secret(world: World) -> None:
    from itsdangerous.encoding import base64_decode

    anna = await world.member("Secret Name")
    token = link(world, anna).rsplit("/", 1)[-1]
    assert base64_decode(token.split(".")[0]) == f'[{anna},"signals"]'.encode()
    place = urlsplit((await post(world, link(world, anna)))[2])
    assert API_KEY not in place.geturl()


async def test_x10_who_was_deleted_cannot_pay_with_an_old_link(world: World) -> None:
    anna = await world.member()
    url, door = link(world, anna), portal(world, anna)
    async with world.stack.db.transaction() as session:
        await removal.remove(session, anna, now=world.now)

    for address in (url, door):
        status, text, _ = await post(world, address)
        assert status == 403
        assert "was deleted" in text
    assert world.stripe.account.all("checkout.session") == []


async def test_plan_that_is_gone_or_has_no_price_cannot_be_bought(worlds: Any) -> None:
    book = catalogue.Catalogue(plans=(catalogue.Plan(key="signals", name="Signals", price_id="price_unknown"),))
    world = await worlds(book=book)
    anna = await world.member()
    for url, words in ((link(world, anna), "cannot be bought"), (link(world, anna, "gone"), "no longer offered")):
        assert words in (await get(world, url))[1]
        assert words in (await post(world, url))[1]
    assert "price_missing:price_unknown" in await world.alarms()


async def test_portal_opens_by_its_button_only_and_leads_back_home(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    status, text = await get(world, portal(world, anna))
    assert (status, "Open my billing page" in text) == (200, True)
    assert world.stripe.account.all("billing_portal.session") == []
    status, _, place = await post(world, portal(world, anna))
    assert status == 303
    (made,) = world.stripe.account.all("billing_portal.session")
    assert place == made["url"]
    assert made["return_url"] == "https://signals.example/returned"
    assert made["customer"] == (await world.row(anna)).customer_id


async def test_whoever_comes_back_from_the_portal_is_led_to_the_chat(world: World) -> None:
    status, text = await get(world, f"{world.url}/returned")
    assert (status, "go back to the chat" in text, "/fix" in text, "t.me" in text) == (200, True, True, False)
    async with world.stack.db.transaction() as session:
        session.add(models.Heartbeat(part="telegram.bot", at=world.now, limit=90, note="signals_bot"))
    assert "https://t.me/signals_bot" in (await get(world, f"{world.url}/returned"))[1]


async def test_portal_of_somebody_who_never_paid_says_so(world: World) -> None:
    anna = await world.member()
    status, text, _ = await post(world, portal(world, anna))
    assert (status, "Nothing to manage yet" in text) == (404, True)
    assert (await post(world, portal(world, anna)[:-3]))[0] == 403
    assert (await get(world, portal(world, anna)[:-3]))[0] == 403


@pytest.mark.parametrize("kind", ["500", "503"])
async def test_portal_says_when_stripe_is_away(world: World, kind: str) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    world.stripe.fault(kind, count=None)
    assert (await post(world, portal(world, anna)))[0] == 503


async def test_portal_link_lives_an_hour(world: World) -> None:
    anna = await world.member()
    url = portal(world, anna)
    await world.stripe.advance(timedelta(hours=1, seconds=2).total_seconds())
    assert (await get(world, url))[0] == 403


async def test_page_of_stripe_under_an_own_domain_is_reached_by_a_link(world: World, monkeypatch: Any) -> None:
    anna = await world.member()
    monkeypatch.setattr(world.here.providers[0], "origins", ("https://checkout.stripe.com",))
    status, text, _ = await post(world, link(world, anna))
    assert status == 200
    assert re.search(r'http-equiv="refresh" content="0; url=http://127.0.0.1:\d+/pay/cs_', text)


async def test_thanks_reassures_and_changes_nothing(world: World) -> None:
    status, text = await get(world, f"{world.url}/thanks?session_id=cs_forged")
    assert (status, "go back to the chat" in text) == (200, True)
    assert "t.me" not in text
    async with world.stack.db.transaction() as session:
        session.add(models.Heartbeat(part="telegram.bot", at=world.now, limit=90, note="signals_bot"))
    assert "https://t.me/signals_bot" in (await get(world, f"{world.url}/thanks"))[1]


async def test_x01_pages_errors_and_logs_hold_no_secret(worlds: Any, capfd: Any) -> None:
    world = await worlds()
    anna = await world.member()
    texts = []
    world.stripe.api.api_key = "sk_test_another"
    texts.append((await post(world, link(world, anna)))[1])
    world.stripe.api.api_key = API_KEY
    sub = await world.subscribe(anna)
    paths = ("/", "/metrics", "/readyz", "/thanks", "/nowhere", "/checkout/x")
    texts += [(await get(world, world.url + path))[1] for path in paths]
    async with world.http.post(
        f"{world.url}/webhooks/stripe", data=b"{}", headers={"Stripe-Signature": "t=1,v1=aa"}
    ) as a:
        texts.append(await a.text())
    logged = capfd.readouterr()
    texts += [logged.out, logged.err, repr(world.stack), repr(world.here), str(await world.alarms())]
    key = world.stack.settings.secret_key.get_secret_value()
    for secret in (API_KEY, SECRET, key, link(world, anna).rsplit("/", 1)[-1]):
        assert all(secret not in text for text in texts)
    assert sub not in "".join(texts[:-5])


async def test_origins_of_the_real_stripe_are_its_two_page_hosts(worlds: Any) -> None:
    world = await worlds(stripe_api_key="", stripe_webhook_secret="")
    live = world.stack.settings.model_copy(update={"stripe_api_url": "https://api.stripe.com"})
    assert payments.opened(live, world.stack.catalogue) == ()
    assert payments.names() == ["stars", "stripe"]
    from webhooks.payments import stripe

    made = stripe.open_provider(live, world.stack.catalogue)
    assert made.origins == ("https://checkout.stripe.com", "https://billing.stripe.com")
    await made.close()
