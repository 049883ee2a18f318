"""The way to pay over the API: the period, money and seats that are asked for stand on the page that it leads to."""

import re
from typing import Any

import pytest

from tests.webhooks import shop, tools
from tests.webhooks.conftest import World
from tests.webhooks.test_checkout import unbroken
from tests.webhooks.tools import ask

PATH = "/api/v1/stripe/checkout-session"


@pytest.fixture
async def world(worlds: Any) -> World:
    opened: World = await worlds(book=shop.full)
    return opened


async def test_wishes_are_chosen_on_the_page(world: World) -> None:
    key = await tools.key(world, await world.member())
    wish = {"plan": "team", "period": "year", "currency": "eur", "seats": 5}
    answer = await ask(world, PATH, key, method="POST", json=wish)
    assert answer.status == 201
    assert answer.said["price"] == "261.00 EUR / year per seat"
    async with world.http.get(world.local(answer.said["url"])) as shown:
        text = await shown.text()
    assert re.search(rf'value="{shop.price_of(world, "team", 1)}" checked', text)
    assert re.search(r'name="seats"[^>]*value="5"', text)
    assert "261.00 EUR every year" in unbroken(text)


async def test_seats_may_be_any_number_that_json_calls_whole(world: World) -> None:
    key = await tools.key(world, await world.member())
    answer = await ask(world, PATH, key, method="POST", json={"plan": "team", "seats": 5.0})
    assert answer.status == 201
    assert "seats=5" in answer.said["url"].split("&")[-1].split("?")[-1]


async def test_without_wishes_it_is_the_link_of_the_chat(world: World) -> None:
    key = await tools.key(world, await world.member())
    answer = await ask(world, PATH, key, method="POST", json={"plan": "pro"})
    assert (answer.status, answer.said["price"], "?" in answer.said["url"]) == (201, "29.00 USD / month", False)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"plan": "team", "period": "quarter"}, "body: Team costs 29.00 USD / month or 290.00 USD / year per seat"),
        ({"plan": "pro", "currency": "GBP"}, "body: Pro costs 29.00 USD / month"),
        ({"plan": "pro", "seats": 3}, "body.seats: Pro sells no seats."),
        ({"plan": "team", "seats": 11}, "body.seats: Team sells 2 to 10 seats."),
    ],
)
async def test_what_is_not_sold_is_said_with_what_is(world: World, wish: dict[str, Any], words: str) -> None:
    key = await tools.key(world, await world.member())
    answer = await ask(world, PATH, key, method="POST", json=wish)
    assert answer.status == 404
    assert answer.said["error"]["message"].startswith(words)


@pytest.mark.parametrize(
    "wish", [{"period": "week"}, {"currency": "EURO"}, *({"seats": seats} for seats in (0, "many", 2.5, True))]
)
async def test_what_makes_no_sense_is_refused(world: World, wish: dict[str, Any]) -> None:
    key = await tools.key(world, await world.member())
    answer = await ask(world, PATH, key, method="POST", json={"plan": "team"} | wish)
    assert answer.status in {400, 422}
