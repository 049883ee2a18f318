"""Telegram Stars in the stand-in, as the real python-telegram-bot sees them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import telegram as ptb
from telegram import error

from tests.sandbox import history, server, telegram, telegram_stars
from tests.sandbox.test_telegram import bot_at

ANN, BOB = 7001, 7002
START = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> telegram.Telegram:
    world = telegram.Telegram(history.History(), limits=telegram.Limits.off(), now=clock)
    world.person(ANN, "Ann", "ann_trades", started=True)
    world.person(BOB, "Bob", started=True)
    return world


@pytest.fixture
async def bot(world: telegram.Telegram) -> AsyncIterator[ptb.Bot]:
    async with server.serving(world.app) as url, bot_at(url) as bot:
        yield bot


async def invoice(bot: ptb.Bot, **more: Any) -> str:
    values: dict[str, Any] = {"title": "Signals", "description": "30 days", "payload": "order-1", "provider_token": ""}
    values |= {"currency": "XTR", "prices": [ptb.LabeledPrice("Signals", 500)], "subscription_period": 2_592_000}
    return await bot.create_invoice_link(**(values | more))


async def bought(world: telegram.Telegram, bot: ptb.Bot, user: int = ANN, refusal: str = "") -> str:
    """What the phone of somebody says who pays an invoice, which the bot lets them."""
    paying = asyncio.create_task(world.stars.pay(user, await invoice(bot)))
    query = None
    while query is None:
        updates = await bot.get_updates(timeout=5, allowed_updates=["message", "pre_checkout_query", "subscription"])
        query = next((one.pre_checkout_query for one in updates if one.pre_checkout_query), None)
    assert (query.from_user.id, query.total_amount, query.currency) == (user, 500, "XTR")
    await query.answer(ok=not refusal, error_message=refusal or None)
    return await paying


async def heard(bot: ptb.Bot, last: int = 1) -> list[ptb.Update]:
    return list(await bot.get_updates(timeout=0))[-last:]


async def test_a_subscription_is_bought_when_the_bot_says_yes(world: telegram.Telegram, bot: ptb.Bot) -> None:
    assert await bought(world, bot) == "paid"
    [update] = await heard(bot)
    assert update.message
    assert update.message.successful_payment
    said = update.message.successful_payment
    assert (said.is_recurring, said.is_first_recurring, said.total_amount) == (True, True, 500)
    assert said.subscription_expiration_date
    assert said.subscription_expiration_date.timestamp() == START + 2_592_000
    [entry] = (await bot.get_star_transactions()).transactions
    assert entry.id == said.telegram_payment_charge_id
    assert isinstance(entry.source, ptb.TransactionPartnerUser)
    assert (entry.source.user.id, entry.source.invoice_payload) == (ANN, "order-1")


async def test_nothing_is_paid_when_the_bot_says_no_or_nothing(world: telegram.Telegram, bot: ptb.Bot) -> None:
    assert await bought(world, bot, refusal="Not for you.") == "Not for you."
    world.stars.answer_within = 0.05
    assert await world.stars.pay(ANN, await invoice(bot)) == "The bot did not answer in time."
    assert (await bot.get_star_transactions()).transactions == ()
    with pytest.raises(error.BadRequest, match=r"(?i)query is too old"):
        await bot.answer_pre_checkout_query("1", ok=True)


async def test_it_is_charged_again_by_the_clock_until_somebody_cancels(
    world: telegram.Telegram, bot: ptb.Bot, clock: Clock
) -> None:
    await bought(world, bot)
    [first] = world.stars.subscriptions
    clock.now += 2 * telegram_stars.PERIOD + 5
    entries = (await bot.get_star_transactions()).transactions
    assert [entry.date.timestamp() - START for entry in entries] == [0, 2_592_000, 2 * 2_592_000]
    again = [update.message.successful_payment for update in await heard(bot, 2) if update.message]
    assert [(one.is_recurring, one.is_first_recurring) for one in again if one] == [(True, None), (True, None)]
    world.stars.cancel(first)
    assert (await heard(bot))[0].api_kwargs["subscription"]["state"] == "canceled"
    clock.now += telegram_stars.PERIOD
    assert len((await bot.get_star_transactions(offset=3)).transactions) == 0


async def test_without_stars_it_ends_and_the_bot_is_told(world: telegram.Telegram, bot: ptb.Bot, clock: Clock) -> None:
    world.stars.balance[ANN] = 700
    await bought(world, bot)
    clock.now += telegram_stars.PERIOD
    assert len((await bot.get_star_transactions()).transactions) == 1
    assert (await heard(bot))[0].api_kwargs["subscription"]["state"] == "failed"
    assert await world.stars.pay(ANN, await invoice(bot)) == "You do not have enough Stars."


async def test_a_payment_is_given_back_once(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.stars.balance[ANN] = 500
    await bought(world, bot)
    [charge] = world.stars.payments
    assert await bot.refund_star_payment(ANN, charge)
    assert world.stars.balance[ANN] == 500
    [update] = await heard(bot)
    assert update.message
    assert update.message.refunded_payment
    assert update.message.refunded_payment.telegram_payment_charge_id == charge
    paid, back = (await bot.get_star_transactions()).transactions
    assert (paid.id, back.id) == (charge, charge)
    assert isinstance(back.receiver, ptb.TransactionPartnerUser)
    with pytest.raises(error.BadRequest, match=r"(?i)CHARGE_ALREADY_REFUNDED"):
        await bot.refund_star_payment(ANN, charge)
    with pytest.raises(error.BadRequest, match=r"(?i)CHARGE_NOT_FOUND"):
        await bot.refund_star_payment(BOB, charge)


async def test_what_the_bot_cancels_its_user_cannot_resume(world: telegram.Telegram, bot: ptb.Bot) -> None:
    await bought(world, bot)
    [charge] = world.stars.subscriptions
    world.stars.cancel(charge)
    world.stars.resume(charge)
    await bot.edit_user_star_subscription(ANN, charge, is_canceled=True)
    with pytest.raises(ValueError, match="cancelled by the bot"):
        world.stars.resume(charge)
    with pytest.raises(error.BadRequest, match=r"(?i)CHARGE_ID_INVALID"):
        await bot.edit_user_star_subscription(BOB, charge, is_canceled=True)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"subscription_period": 86_400}, "SUBSCRIPTION_PERIOD_INVALID"),
        ({"prices": [ptb.LabeledPrice("a", 10_001)]}, "STARS_INVOICE_INVALID"),
        ({"prices": [ptb.LabeledPrice("a", 1), ptb.LabeledPrice("b", 1)]}, "exactly one"),
        ({"title": "x" * 33}, "title must have"),
        ({"payload": "x" * 129}, "INVOICE_PAYLOAD_INVALID"),
        ({"currency": "USD"}, "CURRENCY_INVALID"),
    ],
)
async def test_an_invoice_that_telegram_would_not_take_is_refused(bot: ptb.Bot, more: dict[str, Any], why: str) -> None:
    with pytest.raises(error.BadRequest, match=f"(?i){why}"):
        await invoice(bot, **more)
