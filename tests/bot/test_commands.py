"""What a person asks in private and what comes back."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from bot import commands, messages
from core import catalogue, db, grants, health, models
from core.billing import links
from core.models import SignalStatus
from tests import conftest
from tests.bot import signals
from tests.bot.desk import BTC_ONLY, GOLD, SERVICE, Chat, a_book, labels


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> AsyncIterator[Chat]:
    return Chat(database, now, a_book())


@pytest.fixture
async def lite(sqlite_database: db.Database, now: datetime) -> AsyncIterator[Chat]:
    return Chat(sqlite_database, now, a_book())


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


async def test_help_lists_every_command_under_its_heading(lite: Chat) -> None:
    message = await lite.ask("/help")

    for command in commands.COMMANDS:
        assert (f"/{command.name} – {command.description}" in message.plain) is not command.operator
    shown = [line for line in message.plain.splitlines() if line in messages.answers.TOPICS.values()]
    assert shown == ["Signals and results", "Your membership", "How signals reach you", "Your data", "About us"]
    assert "@help_desk" in message.plain


def test_every_command_has_a_name_and_a_place_that_the_platforms_take() -> None:
    paths = [command.slash or command.name for command in commands.COMMANDS]
    groups = [path.partition(" ")[0] for path in paths if " " in path]

    assert len(set(paths)) == len(paths)
    assert set(groups).isdisjoint(path for path in paths if " " not in path)
    assert all(groups.count(group) <= 25 for group in groups)
    for command, path in zip(commands.COMMANDS, paths, strict=True):
        assert re.fullmatch(r"[a-z0-9_]{1,32}", command.name)
        assert re.fullmatch(r"[a-z]{1,32}( [a-z]{1,32})?", path)
        assert 1 <= len(command.description) <= 100
        assert command.topic in messages.answers.TOPICS
        assert command.operator == path.startswith("admin ")
        assert all(re.fullmatch(r"[a-z]{1,32}", option.name) for option in command.options)
        assert all(1 <= len(option.description) <= 100 for option in command.options)
        assert all((option.kind == "choice") == bool(option.choices) for option in command.options)


def test_menus_hold_operators_commands_for_operators_only() -> None:
    everybody, groups = [[row.name for row in commands.menu(group=only, operator=False)] for only in (False, True)]
    operators = [row.name for row in commands.menu(group=False, operator=True)]

    assert "admin" not in everybody
    assert operators == [row.name for row in commands.COMMANDS]
    assert groups == ["start", "latest", "record", "plans", "service", "help"]
    assert len(operators) <= 100


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
        await grants.grant(session, member, GOLD, lite.book, until=end, by="cli", now=lite.now)

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


def test_command_lines_are_read_in_any_case_and_bounded() -> None:
    assert commands.parsed("  /LATEST  BTC ", "our_bot") == ("latest", "BTC")
    assert commands.parsed("/latest@OUR_bot", "our_bot") == ("latest", "")
    assert commands.parsed("/latest@nobody x", "our_bot") == ("", "")
    assert commands.parsed("latest", "our_bot") is None
    assert commands.parsed("/" + "x" * 5000, "our_bot") is None
    assert commands.parsed("/start " + "x" * 9000, "our_bot") == ("start", "x" * (commands.LONGEST - 7))
