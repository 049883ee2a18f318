"""What a person asks and what comes back, on both databases, without any platform."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from bot import commands, messages
from core import access, catalogue, db, health, members, models, settings
from core.billing import links, plans
from core.delivery import outbox
from core.models import SignalStatus
from tests import conftest
from tests.bot import signals

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

    async def replies(self, text: str, *, person: str = "7", chat: str = "", data: str = "") -> list[commands.Reply]:
        ask = commands.Ask("telegram", person, chat or person, person, not chat, "Ann", "ann", text, data)
        async with self.db.transaction() as session:
            desk = commands.Desk(self.settings, self.book, self.now, "our_bot")
            return await commands.answer(session, ask, desk)

    async def ask(self, text: str, *, person: str = "7", data: str = "") -> messages.Message:
        (reply,) = await self.replies(text, person=person, data=data)
        assert reply.address == person
        return reply.message

    async def member(self, person: str = "7") -> int:
        async with self.db.transaction() as session:
            known = await members.find(session, "telegram", person)
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
            for plan in keys or self.book.plans:
                price = {"amount": 2900, "currency": "usd", "interval": "month", "interval_count": 1}
                await plans.keep(session, plan.key, price_id=plan.price_id, now=self.now, **price)

    async def published(self, *rows: models.Signal) -> None:
        async with self.db.transaction() as session:
            session.add_all(rows)


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> AsyncIterator[Chat]:
    return Chat(database, now, a_book())


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> AsyncIterator[Chat]:
    return Chat(sqlite_database, now, a_book())


def labels(message: messages.Message) -> list[str]:
    return [button.data or button.url or f"start={button.start}" for row in message.buttons for button in row]


async def test_start_welcomes_and_shows_the_way_to_pay(chat: Chat) -> None:
    message = await chat.ask("/start")

    assert "Welcome to SignalStack." in message.plain
    assert "BTC/USDT, ETH/USDT" in message.plain
    assert "simulated market" in message.plain
    assert SERVICE.risk in message.plain
    assert "/plans" in labels(message)


async def test_start_greets_a_member_differently(lite: Chat) -> None:
    await lite.pays()

    message = await lite.ask("/START@Our_Bot")

    assert "Your access is on" in message.plain
    assert "/plans" not in labels(message)


async def test_start_names_a_few_of_many_markets(lite: Chat) -> None:
    watches = tuple(catalogue.Watch(symbol=f"C{n}/USDT") for n in range(9))
    lite.book = catalogue.Catalogue(watches=watches, plans=(GOLD,))

    assert "and 3 more" in (await lite.ask("/start")).plain
    lite.book = catalogue.Catalogue(plans=(GOLD,))
    assert "We watch the markets" in (await lite.ask("/start")).plain


@pytest.mark.parametrize(
    ("payload", "head"),
    [
        ("plans", "Plans"),
        ("subscribe", "Subscribe to Gold"),
        ("subscribe_gold", "Subscribe to Gold"),
        ("subscribe_nonsense", "Subscribe to Gold"),
        ("mute", "Welcome"),
        ("x" * 64, "Welcome"),
    ],
)
async def test_deep_links_lead_to_their_answer(lite: Chat, payload: str, head: str) -> None:
    await lite.priced()

    assert (await lite.ask(f"/start {payload}")).plain.startswith(head)


async def test_help_lists_every_command(lite: Chat) -> None:
    message = await lite.ask("/help")

    for command in commands.COMMANDS:
        assert f"/{command.name} – {command.description}" in message.plain
    assert "@help_desk" in message.plain


async def test_plans_show_prices_and_what_they_open(lite: Chat) -> None:
    lite.book = a_book(GOLD, BTC_ONLY)
    await lite.priced(GOLD)

    message = await lite.ask("/plans")

    assert "Gold – 29.00 USD / month\nOpens all markets.\nEverything we watch." in message.plain
    assert "Bitcoin – no price at the moment\nOpens BTC/USDT." in message.plain
    assert labels(message) == ["/subscribe gold"]


async def test_without_payments_nothing_is_offered(lite: Chat) -> None:
    lite.settings = conftest.make_settings(lite.db)
    await lite.priced()

    assert "not open at the moment" in (await lite.ask("/plans")).plain
    assert "not open at the moment" in (await lite.ask("/subscribe")).plain
    lite.book = catalogue.Catalogue(plans=(GOLD,))
    assert "Questions?" not in (await lite.ask("/subscribe")).plain


async def test_subscribe_gives_a_signed_link_to_the_one_plan(chat: Chat) -> None:
    await chat.priced()

    message = await chat.ask("/subscribe")

    (url,) = labels(message)
    token = url.removeprefix("https://site.example/checkout/")
    ticket = links.read(chat.settings, links.CHECKOUT, token, now=chat.now)
    assert (ticket.member_id, ticket.plan) == (await chat.member(), "gold")
    assert "29.00 USD / month" in message.plain
    assert SERVICE.risk in message.plain


async def test_several_plans_are_picked_by_button(lite: Chat) -> None:
    lite.book = a_book(GOLD, BTC_ONLY)
    await lite.priced()

    choice = await lite.ask("/subscribe")
    chosen = await lite.ask("", data="/subscribe btc")
    named = await lite.ask("/subscribe BITCOIN")

    assert labels(choice) == ["/subscribe gold", "/subscribe btc", "/plans"]
    assert "Subscribe to Bitcoin" in chosen.plain
    assert "Subscribe to Bitcoin" in named.plain


async def test_s13_who_has_the_plan_is_not_sold_it_again(lite: Chat) -> None:
    await lite.priced()
    await lite.pays()
    await lite.pays("8", cancels_at=lite.now + timedelta(days=9))

    assert "You already have Gold" in (await lite.ask("/subscribe")).plain
    assert "let it go on" in (await lite.ask("/subscribe", person="8")).plain


async def test_status_says_until_when_and_how_it_ends(chat: Chat) -> None:
    await chat.pays()
    await chat.pays("8", cancels_at=chat.now + timedelta(days=9))
    await chat.pays("9", status="past_due")
    await chat.published(signals.make())

    active = await chat.ask("/status")

    assert "Gold: active" in active.plain
    assert "Open signals now: 1" in active.plain
    assert "cancelled, yours until 24 Jan 2026, 12:00 UTC" in (await chat.ask("/status", person="8")).plain
    assert "the last payment failed" in (await chat.ask("/status", person="9")).plain


async def test_status_of_a_guest_says_what_to_do(lite: Chat) -> None:
    message = await lite.ask("/status")

    assert "no subscription" in message.plain
    assert labels(message) == ["/plans"]


@pytest.mark.parametrize(
    ("until", "words"), [(None, "given without end"), (30, "given by the operator until 14 Feb 2026")]
)
async def test_status_of_a_gift(lite: Chat, until: int | None, words: str) -> None:
    await lite.ask("/start")
    member = await lite.member()
    async with lite.db.transaction() as session:
        end = None if until is None else lite.now + timedelta(days=until)
        await access.grant(session, member, GOLD, lite.book, until=end, by="cli", now=lite.now)

    await lite.priced()
    assert words in (await lite.ask("/status")).plain
    assert "Subscribe to Gold" in (await lite.ask("/subscribe")).plain


async def test_muting_is_remembered_and_shown(chat: Chat) -> None:
    await chat.pays()

    assert "Muted" in (await chat.ask("/mute")).plain
    muted = await chat.ask("/status")
    assert "Signals are muted." in muted.plain
    assert "/unmute" in labels(muted)
    assert "Unmuted" in (await chat.ask("/unmute")).plain
    assert "muted" not in (await chat.ask("/status")).plain


async def test_billing_and_cancel_lead_to_the_portal(lite: Chat) -> None:
    await lite.pays()

    for command in ("/billing", "/cancel"):
        (url,) = labels(await lite.ask(command))
        token = url.removeprefix("https://site.example/portal/")
        assert links.read(lite.settings, links.PORTAL, token, now=lite.now).member_id == await lite.member()
        assert "no subscription" in (await lite.ask(command, person="8")).plain
    assert "until the end of the period" in (await lite.ask("/cancel")).plain


async def test_fix_looks_again_and_tells_what_was_missed(lite: Chat) -> None:
    await lite.pays()

    message = await lite.ask("/fix")

    assert "looked at your access again" in message.plain
    async with lite.db.transaction() as session:
        told = await session.scalars(select(models.Delivery).where(models.Delivery.kind == "notice"))
        assert [row.payload["name"] for row in told if row.payload] == ["access_started"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/join", "nothing to join"),
        ("/terms", "no promise of profit"),
        ("/privacy", "Card data stays with Stripe"),
        ("/paysupport", "@help_desk"),
        ("/nonsense", "I do not know that command"),
        ("good morning", "I understand commands"),
    ],
)
async def test_simple_questions_have_simple_answers(lite: Chat, command: str, words: str) -> None:
    assert words in (await lite.ask(command)).plain


async def test_answers_without_operator_or_support_stay_whole(lite: Chat) -> None:
    lite.book = catalogue.Catalogue(plans=(GOLD,))

    assert "answers questions about payments" in (await lite.ask("/paysupport")).plain
    assert "Operator" not in (await lite.ask("/terms")).plain
    assert "Questions?" not in (await lite.ask("/help")).plain


async def test_service_says_whether_it_works(lite: Chat) -> None:
    assert "Starting up" in (await lite.ask("/service")).plain
    async with lite.db.transaction() as session:
        await health.beat(session, "scan", limit=60, now=lite.now - timedelta(seconds=12))
    assert "Everything is working.\n✓ scan: 12 s ago" in (await lite.ask("/service")).plain
    async with lite.db.transaction() as session:
        await health.beat(session, "telegram.poller", limit=60, now=lite.now - timedelta(minutes=5))
        await health.alarm(session, "x", "Something.", now=lite.now)
    message = await lite.ask("/service")
    assert "Not everything is working" in message.plain
    assert "✕ telegram poller: 5 min ago" in message.plain
    assert "1 problem" in message.plain


async def listed(chat: Chat, text: str = "/latest", person: str = "7") -> str:
    return (await chat.ask(text, person=person)).plain.replace("\u202f", " ")


async def test_x06_open_signals_are_shown_to_those_only_who_have_them(chat: Chat) -> None:
    chat.book = a_book(GOLD, BTC_ONLY)
    await chat.pays("8", plan="gold")
    await chat.pays("9", plan="btc")
    await chat.published(
        signals.make(id=1),
        signals.make(id=2, symbol="ETH/USDT", entry=Decimal(1700), target=Decimal(1800), stop=Decimal(1650)),
        signals.ended(SignalStatus.STOPPED, "27100", id=3, candle=signals.CANDLE + 99, symbol="ETH/USDT"),
    )

    guest, gold, btc = [await listed(chat, person=who) for who in ("7", "8", "9")]

    assert "27 412.10" not in guest
    assert "1 700.00" not in guest
    assert "✕ Stopped · ETH/USDT long" in guest
    assert "Open signals go to subscribers" in guest
    assert "27 412.10" in gold
    assert "1 700.00" in gold
    assert "27 412.10" in btc
    assert "1 700.00" not in btc
    assert "✕ Stopped · ETH/USDT" in btc


@pytest.mark.parametrize("pair", ["BTC/USDT", "btcusdt", "btc", "BTC-usdt", " Btc / Usdt "])
async def test_a_pair_is_understood_as_people_write_it(lite: Chat, pair: str) -> None:
    await lite.published(
        signals.ended(SignalStatus.TARGET, "27900", id=1),
        signals.ended(SignalStatus.TARGET, "27900", id=2, symbol="ETH/USDT"),
    )

    words = await listed(lite, f"/latest@our_bot {pair}")

    assert "BTC/USDT long" in words
    assert "ETH/USDT" not in words


async def test_an_unknown_pair_gets_the_known_ones_as_buttons(lite: Chat) -> None:
    for pair in ("doge", "⚡"):
        message = await lite.ask(f"/latest {pair}")
        assert "do not watch that pair" in message.plain
        assert labels(message) == ["/latest BTC/USDT", "/latest ETH/USDT"]


async def test_latest_of_nothing_says_so(lite: Chat) -> None:
    message = await lite.ask("/latest")

    assert "Nothing yet" in message.plain
    assert "/latest ETH/USDT" in labels(message)


async def test_commands_for_other_bots_are_not_ours(lite: Chat) -> None:
    assert await lite.replies("/start@other_bot") == []
    assert await lite.replies("/latest@other_bot", chat="-5") == []


@pytest.mark.parametrize("command", [f"/{row.name}" for row in commands.COMMANDS])
async def test_x06_in_public_nothing_is_said_but_that_it_was_sent_privately(lite: Chat, command: str) -> None:
    await lite.pays()
    await lite.published(signals.make())

    private, public = await lite.replies(command, chat="-5")

    assert private.address == "7"
    assert public == commands.Reply("-5", messages.answers.sent_privately())


async def test_x06_strangers_in_public_are_asked_into_the_private_chat(lite: Chat) -> None:
    for command, payload in (("/latest", "latest"), ("/mute", "hello")):
        (reply,) = await lite.replies(command, chat="-5", person="77")
        assert reply.address == "-5"
        assert labels(reply.message) == [f"start={payload}"]
    async with lite.db.transaction() as session:
        assert await members.find(session, "telegram", "77") is None


async def test_t05_who_blocked_us_is_asked_back_in_public(lite: Chat) -> None:
    await lite.pays()
    async with lite.db.transaction() as session:
        await members.block(session, "telegram", "7", now=lite.now)

    (reply,) = await lite.replies("/status", chat="-5")

    assert labels(reply.message) == ["start=status"]


async def test_talk_in_public_is_not_ours(lite: Chat) -> None:
    for text in ("hello", "/unknown", "/unknown@our_bot"):
        assert await lite.replies(text, chat="-5") == []


@pytest.mark.parametrize("command", ["/admin", "/grant 7 gold", "/revoke 7", "/broadcast hi", "/who 7"])
async def test_x05_operator_commands_do_nothing_in_chat(lite: Chat, command: str) -> None:
    assert "I do not know that command" in (await lite.ask(command)).plain
    assert await lite.replies(command, chat="-5") == []
    member = await lite.member()
    async with lite.db.transaction() as session:
        assert await access.plans_of(session, member, now=lite.now) == set()


async def test_who_asks_too_much_waits_for_the_answers(lite: Chat) -> None:
    async def queue(address: str, number: int) -> None:
        async with lite.db.transaction() as session:
            for n in range(number):
                await outbox.reply(session, "telegram", address, {}, key=f"{address}:{n}", now=lite.now)

    await lite.ask("/start")
    await queue("7", commands.MOST_WAITING)
    assert await lite.replies("/start") == []
    assert await lite.replies("/start", chat="-5") == []
    await queue("-5", commands.MOST_WAITING)
    assert await lite.replies("/start", person="8", chat="-5") == []


async def test_t05_whoever_writes_again_is_reachable_again(lite: Chat) -> None:
    await lite.ask("/start")
    async with lite.db.transaction() as session:
        await members.block(session, "telegram", "7", now=lite.now)

    await lite.ask("/start")

    async with lite.db.transaction() as session:
        known = await members.find(session, "telegram", "7")
        assert known is not None
        assert known.blocked_at is None


def test_command_lines_are_read_in_any_case_and_bounded() -> None:
    assert commands.parsed("  /LATEST  BTC ", "our_bot") == ("latest", "BTC")
    assert commands.parsed("/latest@OUR_bot", "our_bot") == ("latest", "")
    assert commands.parsed("/latest@nobody x", "our_bot") == ("", "")
    assert commands.parsed("latest", "our_bot") is None
    assert commands.parsed("/" + "x" * 5000, "our_bot") is None
    assert commands.parsed("/start " + "x" * 9000, "our_bot") == ("start", "x" * (commands.LONGEST - 7))
