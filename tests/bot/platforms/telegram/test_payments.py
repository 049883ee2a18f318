"""What Telegram says about payments goes past the bot, as it came."""

import asyncio

import orjson
from sqlalchemy import select

from bot.platforms.telegram import platform
from core import models
from core.billing import passed
from tests.bot.platforms.telegram.conftest import ANN, claimed, held
from tests.bot.platforms.telegram.test_listening import count, listening_with, polling, until
from tests.sandbox import telegram, telegram_call

QUESTION = "pre_checkout_query"
INVOICE = {"title": "Signals", "description": "30 days", "payload": "order-1", "currency": "XTR"}


def invoice(world: telegram.Telegram) -> str:
    more = {"prices": [{"label": "Signals", "amount": 500}], "subscription_period": 2_592_000}
    return world.stars.create_invoice_link(telegram_call.Call("createInvoiceLink", INVOICE | more))


async def test_payments_are_passed_on_and_never_answered(world: telegram.Telegram, bot: platform.Telegram) -> None:
    async with listening_with(bot):
        await until(lambda: polling(world))
        paying = asyncio.create_task(world.stars.pay(ANN, invoice(world)))
        assert await held(bot).bell.wait(f"inbox:{passed.ASKED}", 5)
        async with held(bot).db.reading() as session:
            [asked] = (await session.scalars(select(models.Inbox))).all()
        update = orjson.loads(asked.body or b"")
        assert (asked.source, asked.kind) == (passed.ASKED, QUESTION)
        assert update[QUESTION]["total_amount"] == 500
        number = {"pre_checkout_query_id": update[QUESTION]["id"], "ok": True}
        world.stars.answer(telegram_call.Call("answerPreCheckoutQuery", number))
        assert await paying == "paid"
        [charge] = world.stars.subscriptions
        world.stars.cancel(charge)
        world.stars.refund(
            telegram_call.Call("refundStarPayment", {"user_id": ANN, "telegram_payment_charge_id": charge})
        )
        await until(count(bot, models.Inbox.kind == "refunded_payment"))

    async with held(bot).db.reading() as session:
        rows = (await session.scalars(select(models.Inbox).order_by(models.Inbox.id))).all()
    told = [(passed.PAID, kind) for kind in ("successful_payment", "subscription", "refunded_payment")]
    assert [(row.source, row.kind) for row in rows] == [(passed.ASKED, QUESTION), *told]
    assert await claimed(bot) == []


def test_what_is_not_about_payments_stays_with_the_bot() -> None:
    assert passed.filed({"update_id": 1, "message": {"text": "I sent a successful_payment"}}) == ("telegram", "message")
    assert passed.filed({"update_id": 1, "message": None}) == ("telegram", "message")
    assert passed.filed({"update_id": 1}) == ("telegram", "")
