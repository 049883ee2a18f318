"""A person at the desk of the commands, without any platform."""

from datetime import datetime, timedelta
from typing import Any

from bot import commands, messages
from core import catalogue, db, members, models, settings
from core.billing import plans
from tests import conftest

GOLD = catalogue.Plan(key="gold", name="Gold", price_id="price_1", description="Everything we watch.")
BTC_ONLY = catalogue.Plan(key="btc", name="Bitcoin", price_id="price_2", symbols=frozenset({"BTC/USDT"}))
WATCHES = tuple(catalogue.Watch(symbol=pair) for pair in ("BTC/USDT", "ETH/USDT"))
SERVICE = catalogue.Service(support="@help_desk", operator="Ann Smith, Bern", notice="simulated market")


def a_book(*on_sale: catalogue.Plan) -> catalogue.Catalogue:
    return catalogue.Catalogue(service=SERVICE, watches=WATCHES, plans=on_sale or (GOLD,))


class Chat:
    """A person at the desk, in their private chat unless another is named."""

    def __init__(self, database: db.Database, now: datetime, book: catalogue.Catalogue, **conf: Any) -> None:
        self.db, self.now, self.book = database, now, book
        given = {"stripe_api_key": "sk_test_x", "public_url": "https://site.example"} | conf
        self.settings: settings.Settings = conftest.make_settings(database, **given)

    async def replies(
        self, text: str, *, person: str = "7", chat: str = "", data: str = "", platform: str = "telegram", **given: Any
    ) -> list[commands.Reply]:
        names = {"name": "Ann", "username": "ann"} if platform == "telegram" else {"name": "Bob", "username": "bob"}
        facts = {"chat": chat or person, "home": person, "private": not chat, **names, "text": text, "data": data}
        ask = commands.Ask(platform, person, **(facts | given))
        async with self.db.transaction() as session:
            desk = commands.Desk(self.settings, self.book, self.now, "our_bot")
            return await commands.answer(session, ask, desk)

    async def ask(
        self, text: str, *, person: str = "7", data: str = "", platform: str = "telegram", **given: Any
    ) -> messages.Message:
        (reply,) = await self.replies(text, person=person, data=data, platform=platform, **given)
        assert reply.address == person
        return reply.message

    async def said(self, text: str, **given: Any) -> str:
        """The words of the answer, with common spaces."""
        return (await self.ask(text, **given)).plain.replace("\u202f", " ").replace("\u2060", "")

    async def member(self, person: str = "7", platform: str = "telegram") -> int:
        async with self.db.transaction() as session:
            known = await members.find(session, platform, person)
            assert known is not None
            return known.member_id

    async def pays(self, person: str = "7", plan: str = "gold", **given: Any) -> None:
        await self.replies("/start", person=person)
        row = {"member_id": await self.member(person), "plan": plan, "status": "active", "snapshot": {}}
        row |= {"provider": "stripe", "external_id": f"sub_{person}_{plan}", "customer_id": "cus_1"}
        row |= {"access_until": self.now + timedelta(days=30), "created_at": self.now, "read_at": self.now}
        async with self.db.transaction() as session:
            session.add(models.Subscription(**(row | given)))

    async def priced(self, *keys: catalogue.Plan) -> None:
        async with self.db.transaction() as session:
            priced = [
                plans.Priced(plan.key, plan.price_id, 2900, "usd", "month", 1) for plan in keys or self.book.plans
            ]
            await plans.keep(session, "stripe", priced, now=self.now)

    async def published(self, *rows: models.Base) -> None:
        async with self.db.transaction() as session:
            session.add_all(rows)


def labels(message: messages.Message) -> list[str]:
    return [_label(button) for row in message.buttons for button in row]


def _label(button: messages.Button) -> str:
    return button.data or button.url or (f"place={button.place}" if button.place else f"start={button.start}")
