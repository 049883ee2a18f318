"""The world as a whole: where its market begins, how a paid month ends in it, and how the product's end is told."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from core import catalogue, strategies
from core.market import series
from tests.sandbox import demo, demo_shop, market_history, moment, panel, product, transcript, world
from tests.sandbox.checker_reading import Entitlement

START = datetime(2023, 3, 1, tzinfo=UTC)


def _markets() -> moment.Markets:
    raw = {symbol: market_history.simulate(symbol, START, START + timedelta(days=40)) for symbol in world.SYMBOLS}
    return {symbol: {"1h": market_history.aggregate(candles, "1h")} for symbol, candles in raw.items()}


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[world.World]:
    async with world.World.open(tmp_path, markets=_markets(), start=START + timedelta(days=10)) as made:
        yield made


async def _subscribed(made: world.World, **asked: str) -> str:
    """Maya's subscription, paid for as the product would have it paid, with what else was asked for; its id."""
    links = {"inline_keyboard": [[{"text": "Pay", "url": "http://127.0.0.1:1/checkout/WzcsInNpZ25hbHMiXQ.t.s"}]]}
    async with aiohttp.ClientSession(trust_env=False) as http:
        made.telegram.people[world.MEMBER].started = True
        message = {"chat_id": world.MEMBER, "text": "Subscribe", "reply_markup": links}
        await http.post(f"{made.addresses['telegram']}/bot{made.telegram.token}/sendMessage", json=message)
        order = {
            "mode": "subscription",
            "line_items[0][price]": made.price["id"],
            "line_items[0][quantity]": "1",
            "client_reference_id": "7",
            "success_url": "http://127.0.0.1:1/thanks",
            **asked,
        }
        key = {"Authorization": f"Bearer {made.stripe.api.api_key}"}
        async with http.post(f"{made.addresses['stripe']}/v1/checkout/sessions", data=order, headers=key) as answer:
            session = await answer.json()
    sub = made.stripe.pay(session["id"])
    assert sub is not None
    found: str = sub["id"]
    return found


def test_the_market_begins_five_candles_before_a_signal_that_ends_soon() -> None:
    markets = _markets()

    begin = moment.beginning(markets)

    newest = round(begin.timestamp() * 1000) // 3_600_000 * 3_600_000 - 3_600_000
    deciding = newest + moment.LEAD * 3_600_000
    said = []
    for frames in markets.values():
        candles = frames["1h"]
        columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
        entries = strategies.create("mean_reversion", {}).entries(series.Series(candles.ts, *columns))
        said.append(entries.direction[np.searchsorted(candles.ts, deciding)])
    assert any(said)
    assert begin >= moment.EARLIEST


def test_a_market_without_signals_begins_at_the_earliest_moment() -> None:
    flat = np.full(200, 100.0)
    ts = np.arange(200, dtype=np.int64) * 3_600_000 + round(START.timestamp() * 1000)
    still = market_history.Candles("1h", market_history.SIMULATED, ts, flat, flat, flat, flat, flat)

    assert moment.beginning({"BTC/USDT": {"1h": still}}) == moment.EARLIEST


async def test_a_cancelled_subscription_ends_with_the_paid_month_and_stripes_clock_stays(opened: world.World) -> None:
    sub = await _subscribed(opened)
    opened.stripe.cancel(sub)
    before = opened.stripe.now()

    assert await opened.end_paid_period()

    assert opened.subscription is not None
    assert opened.subscription["status"] == "canceled"
    assert opened.stripe.now() - before < 60
    assert not await opened.end_paid_period()


async def test_a_running_subscription_renews_for_another_month(opened: world.World) -> None:
    await _subscribed(opened)

    await opened.end_paid_period()

    assert len(opened.history.of("stripe_renewed")) == 1
    left = opened.history.of("stripe_renewed")[0]["period_end"] - opened.stripe.now()
    assert 27 * 86_400 < left < 32 * 86_400


async def test_the_end_of_free_days_is_charged_and_a_month_begins(opened: world.World) -> None:
    await _subscribed(opened, **{"subscription_data[trial_period_days]": "7"})
    beside = panel.Panel(opened, "")
    assert beside.facts()["plan"].startswith("Free until")
    assert beside.facts()["told"][0]["text"] == "Free days have begun at Stripe"
    assert opened.judge().entitled == 1

    await opened.end_paid_period()

    assert [row["amount"] for row in opened.history.of("stripe_renewed")] == [2900]
    assert opened.subscription is not None
    assert opened.subscription["trial_end"] <= opened.stripe.now()
    left = opened.history.of("stripe_renewed")[0]["period_end"] - opened.stripe.now()
    assert 27 * 86_400 < left < 32 * 86_400
    assert beside.facts()["told"][0]["text"] == "A renewal or a change of 29.00 EUR arrived at Stripe"


async def test_what_the_world_sells_is_in_its_catalogue_with_prices_that_stripe_has(opened: world.World) -> None:
    book = catalogue.read(Path(opened.environment()["SIGNALSTACK_CONFIG"]))

    one, team = book.plans
    assert (one.gift, one.trial_days) == (True, demo_shop.TRIAL_DAYS)
    assert team.seats is not None
    assert (team.seats.least, team.seats.most) == (demo_shop.LEAST, demo_shop.MOST)
    known = {price["id"] for price in opened.stripe.account.all("price")}
    assert known == {*one.named_ids, *team.named_ids}


async def test_a_declined_renewal_is_past_due(opened: world.World) -> None:
    assert not opened.decline_next_renewal()
    await _subscribed(opened)

    assert opened.decline_next_renewal()
    await opened.end_paid_period()

    assert opened.subscription is not None
    assert opened.subscription["status"] == "past_due"


async def test_who_paid_is_read_from_stripe_and_the_links_in_the_chats(opened: world.World) -> None:
    await _subscribed(opened)

    verdict = opened.judge(granted=[Entitlement(world.STRANGER)])

    assert verdict.ok
    assert verdict.entitled == 2


async def test_a_candle_that_nobody_asks_for_is_said_so(opened: world.World) -> None:
    with pytest.raises(world.NothingHappenedError, match="in vain: the product asked for the new candles"):
        await opened.next_candle(within=0.05)


async def test_waiting_ends_when_the_product_has_ended(opened: world.World, tmp_path: Path) -> None:
    shop = product.Product(tmp_path / "shop", {"GRACE_DAYS": "many"})
    await shop.start(ready=False)
    opened.guard = shop.check

    with pytest.raises(product.ProductError, match="exit code 78"):
        await opened.message(world.MEMBER, "Welcome", within=60)
    await shop.stop()


def test_two_demonstrations_never_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text("old")
    with demo._folder(tmp_path) as folder:
        assert not (folder / "history.jsonl").exists()
        with pytest.raises(demo.BusyError, match="Another demonstration is running"), demo._folder(tmp_path):
            pass


async def test_the_panel_says_what_happened_and_what_comes_next(opened: world.World) -> None:
    beside = panel.Panel(opened, "http://127.0.0.1:1")
    assert beside.facts()["plan"] == "No subscription yet."
    assert "No subscription" in await beside.deeds["period"]()
    sub = await _subscribed(opened)
    await beside.deeds["fast"]()

    facts = beside.facts()
    assert facts["plan"].startswith("Paid until")
    assert facts["label"] == market_history.SIMULATED
    assert facts["pace"] == "fast"
    assert [step["done"] for step in facts["steps"]] == [True, True] + [False] * 12
    assert "29.00 EUR" in facts["told"][0]["text"]

    opened.stripe.cancel(sub)
    assert beside.facts()["plan"].startswith("Cancelled")
    await beside.deeds["period"]()
    assert beside.facts()["plan"] == "The subscription has ended."


async def test_the_panel_sees_gifts_charges_and_changes(opened: world.World) -> None:
    beside, sub = panel.Panel(opened, ""), await _subscribed(opened)

    def done() -> list[object]:
        return [step["text"] for step in beside.facts()["steps"] if step["done"]][2:]

    opened.history.add("telegram_stars_paid", user_id=world.STRANGER, amount=2000, period=0)
    assert done() == []
    assert beside.facts()["told"][0]["text"] == "Noah has paid 2,000 Stars in Telegram"
    opened.history.add("stripe_bought", member="7", amount=3100, currency="usd")
    assert done() == ["Buy a gift with /gift"]
    assert beside.facts()["told"][0]["text"] == "A gift of 31.00 USD was paid at Stripe"
    opened.history.add("telegram_message", chat_id=world.STRANGER, text="Signals is yours: a gift from Maya.")
    await opened.end_paid_period()
    opened.stripe.subscription(sub)["items"]["data"][0]["price"] = opened.plans.year
    opened.history.add("stripe_event_sent", type="customer.subscription.updated")
    assert done()[1:] == [
        "Send its /redeem line as Noah", "End the free days, below", "Change the plan with /billing"
    ]  # fmt: skip


async def test_a_transcript_shows_words_and_buttons(opened: world.World) -> None:
    await _subscribed(opened)

    shown = transcript.chat(opened.telegram, world.MEMBER, "a new member")

    assert shown.startswith("── Maya (a new member) ──")
    assert "SignalStack Subscribe" in shown
    assert "[Pay]" in shown


async def test_a_simulated_market_is_named_to_the_product(opened: world.World) -> None:
    book = catalogue.read(Path(opened.environment()["SIGNALSTACK_CONFIG"]))

    assert book.service.notice == "simulated market"


async def test_a_product_that_cannot_start_says_why(tmp_path: Path) -> None:
    shop = product.Product(tmp_path, {"STRIPE_API_KEY": "sk_test_x", "GRACE_DAYS": "many"})

    with pytest.raises(product.ProductError, match=r"(?s)exit code 78.*GRACE_DAYS"):
        await shop.start()
    await shop.stop()
    assert not shop.running


def test_a_log_line_is_readable() -> None:
    line = '{"event": "scan_failed", "level": "error", "timestamp": "2026-01-15T12:30:05.1Z", "market": "BTC/USDT"}'

    assert product.readable(line) == "12:30:05 error scan_failed market=BTC/USDT"
    assert product.readable("Configuration: no token") == "Configuration: no token"


def test_the_product_gets_none_of_this_machines_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "1:real")
    monkeypatch.setenv("stripe_api_key", "sk_live_real")

    env = product.Product(tmp_path, {}).env

    assert not {name.upper() for name in env} & {"TELEGRAM_BOT_TOKEN", "STRIPE_API_KEY"}
    assert env["PATH"] == os.environ["PATH"]
