"""Without a socket the stand-in answers byte for byte as over one, and the vendor's library cannot tell."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import stripe

from tests.sandbox.history import History
from tests.sandbox.server import serving
from tests.sandbox.stripe import Stripe
from tests.sandbox.stripe_inside import InsideClient

NOW = 1_768_478_400.0
ANSWERED = ("Stripe-Version", "Idempotency-Key", "Idempotent-Replayed", "Content-Type", "Stripe-Rate-Limited-Reason")


class Copying(stripe.HTTPClient):
    """Another client, and the bytes and headers that it was answered."""

    name = "copying"

    def __init__(self, held: stripe.HTTPClient) -> None:
        super().__init__()
        self.held = held
        self.answers: list[tuple[bytes, int, dict[str, str | None]]] = []

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, said = await self.held.request_async(method, url, headers, post_data)
        self.answers.append((content, status, {name: said.get(name) for name in ANSWERED}))
        return content, status, said

    async def close_async(self) -> None:
        await self.held.close_async()


@pytest.fixture
async def shop() -> AsyncIterator[Stripe]:
    """A stand-in on a socket, with something to sell and somebody who pays."""
    made = Stripe(History(), now=lambda: NOW)
    async with serving(made.app) as url:
        made.base_url = url
        made.add_price(2900, "usd", "month", id="price_1", currency_options={"eur": 2700})
        yield made


def client(shop: Stripe, held: stripe.HTTPClient, key: str = "sk_test_sandbox") -> Any:
    return stripe.StripeClient(key, base_addresses={"api": shop.base_url}, http_client=held, max_network_retries=1).v1


WANTED: Any = {
    "mode": "subscription",
    "success_url": "https://signals.example/thanks?a=1&b=ü",
    "line_items": [{"price": "price_1", "quantity": 1}],
    "metadata": {"signalstack_member": "7", "note": "50 % & more = ünï+codé"},
}


async def asked(shop: Stripe, held: stripe.HTTPClient, session: str, sub: str) -> None:
    """Reads, lists, a repeated make, and what is refused."""
    v1 = client(shop, held)
    await v1.prices.retrieve_async("price_1", {"expand": ["currency_options"]})
    await v1.checkout.sessions.create_async(WANTED, {"idempotency_key": "checkout-1"})
    await v1.checkout.sessions.retrieve_async(session)
    await v1.subscriptions.retrieve_async(sub, {"expand": ["latest_invoice.payments"]})
    await v1.subscriptions.list_async({"status": "all", "limit": 1, "created": {"gte": 1}})
    await v1.events.list_async({"delivery_success": False, "types": ["customer.*"]})
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        await v1.subscriptions.retrieve_async("sub_none")
    with pytest.raises(stripe.IdempotencyError):
        await v1.checkout.sessions.create_async({**WANTED, "mode": "setup"}, {"idempotency_key": "checkout-1"})
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        await v1.subscriptions.update_async(sub, {"colour": "red"}, {"idempotency_key": "paint-1"})
    with pytest.raises(stripe.AuthenticationError):
        await client(shop, held, "sk_test_other").events.list_async()


async def test_the_answers_inside_are_those_over_the_socket_byte_for_byte(shop: Stripe) -> None:
    sockets, inside = Copying(stripe.AIOHTTPClient()), Copying(InsideClient(shop.api))
    v1 = client(shop, inside)
    page = await v1.checkout.sessions.create_async(WANTED, {"idempotency_key": "checkout-1"})
    sub = shop.pay(page.id)
    assert sub is not None
    inside.answers.clear()
    await asked(shop, sockets, page.id, sub["id"])
    await asked(shop, inside, page.id, sub["id"])
    await sockets.close_async()
    assert len(inside.answers) == 10
    assert inside.answers == sockets.answers


@pytest.mark.parametrize("kind", ["500", "503", "429", "drop"])
@pytest.mark.parametrize("stored", [False, True])
async def test_faults_inside_are_those_over_the_socket(shop: Stripe, kind: str, stored: bool) -> None:
    found: list[tuple[type[Exception], int | None, str]] = []
    for held in (stripe.AIOHTTPClient(), InsideClient(shop.api)):
        shop.fault(kind, "POST", count=2, after_store=stored)
        with pytest.raises(stripe.StripeError) as caught:
            await client(shop, held).checkout.sessions.create_async(WANTED)
        found.append((type(caught.value), caught.value.http_status, str(caught.value).split(":")[0][:20]))
        await shop.calm()
        await held.close_async()
    assert found[0][:2] == found[1][:2]


async def test_a_broken_answer_is_asked_for_again_and_found_under_its_key(shop: Stripe) -> None:
    held = InsideClient(shop.api)
    shop.fault("drop", "POST", after_store=True)
    page = await client(shop, held).checkout.sessions.create_async(WANTED, {"idempotency_key": "checkout-9"})
    assert held.asked == 2
    assert [row["id"] for row in shop.account.all("checkout.session")] == [page.id]


async def test_while_it_is_away_nobody_answers_and_nothing_happens(shop: Stripe) -> None:
    held = InsideClient(shop.api)
    held.away = True
    with pytest.raises(stripe.APIConnectionError):
        await client(shop, held).checkout.sessions.create_async(WANTED)
    assert shop.account.all("checkout.session") == []
