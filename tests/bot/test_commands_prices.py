"""What is said in chat of plans with several prices: every way to pay on one line, and what else there is to know."""

from datetime import datetime

import pytest

from core import catalogue, db, sold
from core.billing import plans
from tests.bot.desk import Chat, a_book

IDS = [sold.Price(id=f"price_{name}") for name in ("month", "year")]
PRO = catalogue.Plan(key="pro", name="Pro", prices=tuple(IDS), trial_days=7)
TEAM = catalogue.Plan(key="team", name="Team", price_id="price_team", seats=sold.Seats(least=3, most=20))


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    chat = Chat(database, now, a_book(PRO, TEAM))
    prices = [
        plans.Priced("pro", "price_month", 2900, "usd", "month", 1),
        plans.Priced("pro", "price_month", 2600, "eur", "month", 1, main=False),
        plans.Priced("pro", "price_year", 29_000, "usd", "year", 1),
        plans.Priced("team", "price_team", 1900, "usd", "month", 1),
    ]
    async with database.transaction() as session:
        await plans.keep(session, "stripe", prices, now=now)
    return chat


async def test_plans_say_every_way_to_pay(chat: Chat) -> None:
    said = await chat.said("/plans")
    assert "Pro – 29.00 USD / month or 290.00 USD / year; also EUR\nOpens all markets. 7 days free, once." in said
    assert "Team – 19.00 USD / month per seat\nOpens all markets. For teams of 3 to 20." in said


async def test_subscribe_lets_choose_and_leads_to_the_page(chat: Chat) -> None:
    asked = await chat.ask("/subscribe")
    shown = [button.text for row in asked.buttons for button in row][:2]
    assert shown == ["Pro – 29.00 USD / month", "Team – 19.00 USD / month"]
    said = await chat.said("/subscribe pro")
    assert said.startswith("Subscribe to Pro for 29.00 USD / month or 290.00 USD / year; also EUR. 7 days free, once.")
