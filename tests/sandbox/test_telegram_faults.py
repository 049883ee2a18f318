"""Faults, limits and the way of updates, as the real python-telegram-bot sees them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import telegram as ptb
from aiohttp import web
from telegram import error

from tests.sandbox import history, server, telegram
from tests.sandbox.test_telegram import ANN, BOB, GROUP, bot_at

Fault = telegram.Fault
Kind = telegram.Kind
Limits = telegram.Limits


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def new_world(limits: Limits | None = None, **options: Any) -> telegram.Telegram:
    world = telegram.Telegram(history.History(), limits=limits or Limits.off(), **options)
    world.person(ANN, "Ann", started=True)
    world.person(BOB, "Bob", started=True)
    world.group(GROUP, "Signals", members=[ANN])
    return world


@pytest.fixture
def world() -> telegram.Telegram:
    return new_world()


@pytest.fixture
async def bot(world: telegram.Telegram) -> AsyncIterator[ptb.Bot]:
    async with server.serving(world.app) as url, bot_at(url, read_timeout=0.3) as bot:
        yield bot


AMBIGUOUS = [
    (Kind.STORE_THEN_HANG, error.TimedOut, httpx.ReadTimeout),
    (Kind.STORE_THEN_DROP, error.NetworkError, httpx.RemoteProtocolError),
    (Kind.STORE_THEN_502, error.NetworkError, error.TelegramError),
    (Kind.STORE_THEN_HTML, error.TelegramError, ValueError),
]


@pytest.mark.parametrize(("kind", "raised", "cause"), AMBIGUOUS)
async def test_t01_t03_stored_but_not_answered(
    world: telegram.Telegram, bot: ptb.Bot, kind: telegram.Kind, raised: type, cause: type
) -> None:
    fault = world.faults.add(Fault(kind, method="sendMessage", chat_id=ANN, seconds=1))
    with pytest.raises(error.TelegramError) as caught:
        await bot.send_message(ANN, "once")
    assert type(caught.value) is raised
    assert isinstance(caught.value.__cause__, cause)
    assert (fault.hits, [message.text for message in world.chat(ANN)]) == (1, ["once"])
    assert (await bot.send_message(ANN, "next")).text == "next"


@pytest.mark.parametrize("kind", [Kind.HANG, Kind.DROP])
async def test_t02_neither_stored_nor_answered(world: telegram.Telegram, bot: ptb.Bot, kind: telegram.Kind) -> None:
    world.faults.add(Fault(kind, method="sendMessage", seconds=1))
    with pytest.raises(error.NetworkError):
        await bot.send_message(ANN, "never")
    assert world.chat(ANN) == []


REFUSALS = [
    (Fault(Kind.REFUSE, code=400), error.BadRequest, "(?i)can't parse entities"),
    (Fault(Kind.REFUSE, code=403), error.Forbidden, "blocked by the user"),
    (Fault(Kind.REFUSE, code=401), error.InvalidToken, "Unauthorized"),
    (Fault(Kind.REFUSE, code=404), error.InvalidToken, "Not Found"),
    (Fault(Kind.REFUSE, code=409), error.Conflict, "make sure that only one bot instance is running"),
    (Fault(Kind.REFUSE, code=502), error.NetworkError, "Bad Gateway"),
    (Fault(Kind.RETRY_AFTER, retry_after=7), error.RetryAfter, "Retry in 7 seconds"),
    (Fault(Kind.RETRY_AFTER, retry_after=0), error.NetworkError, "Too Many Requests: retry after 0"),
    (Fault(Kind.RETRY_AFTER_BARE), error.NetworkError, "Too Many Requests"),
    (Fault(Kind.MIGRATE, migrate_to=-1009), error.ChatMigrated, "-1009"),
]


@pytest.mark.parametrize(("fault", "raised", "words"), REFUSALS, ids=lambda value: str(getattr(value, "kind", "")))
async def test_t04_t07_refusals_raise_what_the_outcome_table_says(
    world: telegram.Telegram, bot: ptb.Bot, fault: telegram.Fault, raised: type[Exception], words: str
) -> None:
    fault.hits = 0
    world.faults.add(fault)
    with pytest.raises(raised, match=words) as caught:
        await bot.send_message(ANN, "no")
    assert type(caught.value) is raised
    assert world.chat(ANN) == []
    [event] = world.history.of("telegram_refused", chat_id=ANN, method="sendMessage")
    assert event["code"] == fault.refusal().code


async def test_a_late_answer_is_a_good_answer(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.faults.add(Fault(Kind.DELAY, seconds=0.05, method="sendMessage"))
    assert (await bot.send_message(ANN, "slow")).text == "slow"


async def test_the_same_seed_strikes_the_same_requests() -> None:
    def strikes() -> list[bool]:
        faults = new_world(seed=3).faults
        faults.add(Fault(Kind.DROP, probability=0.4, times=None, skip=2))
        return [faults.strike(telegram.Call("sendMessage", {})) is not None for _ in range(40)]

    assert strikes() == strikes()
    assert strikes()[:2] == [False, False]
    assert 5 < sum(strikes()) < 30


async def test_t07_a_request_inside_a_pause_is_a_violation(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.faults.add(Fault(Kind.RETRY_AFTER, retry_after=30, chat_id=ANN))
    for _ in range(2):
        with pytest.raises(error.RetryAfter):
            await bot.send_message(ANN, "again")
    assert (await bot.send_message(BOB, "other lane")).text == "other lane"
    [violation] = world.history.of("telegram_request_in_pause")
    assert (violation["chat_id"], violation["method"]) == (ANN, "sendMessage")
    assert 0 <= violation["since"] < 5 < violation["left"] <= 30


async def test_t08_the_31st_message_of_a_second_is_refused() -> None:
    clock = Clock()
    world = new_world(Limits(clock=clock))
    for number in range(100, 140):
        world.person(number, "P", started=True)
    async with server.serving(world.app) as url, bot_at(url) as bot:
        for number in range(100, 130):
            await bot.send_message(number, "x")
        with pytest.raises(error.RetryAfter):
            await bot.send_message(130, "x")
        clock.seconds += 0.99
        with pytest.raises(error.RetryAfter):
            await bot.send_message(130, "x")
        clock.seconds += 0.01
        await bot.send_message(130, "x")
    assert len(world.history.of("telegram_request_in_pause")) == 1


@pytest.mark.parametrize(("chat_id", "gap", "allowed"), [(ANN, 0.1, 3), (GROUP, 1.0, 20)])
async def test_t08_one_chat_has_its_own_limit(chat_id: int, gap: float, allowed: int) -> None:
    clock = Clock()
    world = new_world(Limits(clock=clock))
    async with server.serving(world.app) as url, bot_at(url) as bot:
        for _ in range(allowed):
            await bot.send_message(chat_id, "x")
            clock.seconds += gap
        with pytest.raises(error.RetryAfter):
            await bot.send_message(chat_id, "x")
        await bot.send_message(BOB, "not concerned")


async def test_t16_lengths_count_as_telegram_counts_them(world: telegram.Telegram, bot: ptb.Bot) -> None:
    assert len((await bot.send_message(ANN, "<b>" + "x" * 4096 + "</b>", parse_mode="HTML")).text or "") == 4096
    for text in ("x" * 4097, "\U0001f680" * 2049):
        with pytest.raises(error.BadRequest, match=r"(?i)message is too long"):
            await bot.send_message(ANN, text)
    with pytest.raises(error.BadRequest, match=r"(?i)message text is empty"):
        await bot.send_message(ANN, "<b> </b>", parse_mode="HTML")


async def test_t11_updates_stay_until_an_offset_confirms_them(world: telegram.Telegram, bot: ptb.Bot) -> None:
    for word in ("one", "two", "three"):
        await world.say(ANN, word)
    first, *_ = await bot.get_updates(limit=2)
    assert len(await bot.get_updates()) == 3
    rest = await bot.get_updates(offset=first.update_id + 1)
    assert [update.message and update.message.text for update in rest] == ["two", "three"]
    assert [row["update_id"] for row in world.history.of("telegram_update_taken")] == [first.update_id]
    [last] = await bot.get_updates(offset=-1)
    assert last.message
    assert last.message.text == "three"


async def test_t13_updates_are_forgotten_after_a_day() -> None:
    clock = Clock()
    world = new_world(now=clock)
    async with server.serving(world.app) as url, bot_at(url) as bot:
        await world.say(ANN, "old")
        clock.seconds += 86_401
        await world.say(ANN, "new")
        assert [update.message and update.message.text for update in await bot.get_updates()] == ["new"]


async def test_a_long_poll_ends_with_the_first_update(world: telegram.Telegram, bot: ptb.Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=5))
    await asyncio.wait_for(world.updates.polling.wait(), 3)
    await world.say(ANN, "/status")
    [update] = await poll
    assert update.message
    assert update.message.text == "/status"


async def test_t10_the_earlier_of_two_long_polls_ends_with_conflict(world: telegram.Telegram, bot: ptb.Bot) -> None:
    earlier = asyncio.create_task(bot.get_updates(timeout=5))
    await asyncio.wait_for(world.updates.polling.wait(), 3)
    assert await bot.get_updates(timeout=0) == ()
    with pytest.raises(error.Conflict, match="terminated by other getUpdates request"):
        await earlier


async def test_t14_chat_member_comes_only_when_asked_for(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.set_member(GROUP, BOB, "member")
    assert await bot.get_updates(allowed_updates=["message", "chat_member"]) == ()
    assert world.history.of("telegram_update_unwanted", kind="chat_member")
    world.set_member(GROUP, BOB, "left")
    await world.press(ANN, GROUP, (await bot.send_message(GROUP, "x")).message_id, "unasked")
    [update] = await bot.get_updates()
    assert update.chat_member
    assert update.chat_member.new_chat_member.status == "left"


async def test_t15_a_webhook_gets_updates_in_order_with_its_secret(world: telegram.Telegram, bot: ptb.Bot) -> None:
    received: list[tuple[str, str]] = []
    done = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        update = await request.json()
        received.append((request.headers["X-Telegram-Bot-Api-Secret-Token"], update["message"]["text"]))
        if len(received) == 4:
            done.set()
        return web.Response(status=500 if len(received) <= 2 else 200)

    app = web.Application()
    app.router.add_post("/hook", take)
    world.updates.webhook_retry = 0.01
    async with server.serving(app) as hook:
        await bot.set_webhook(f"{hook}/hook", secret_token="s3cret", allowed_updates=["message"])
        await world.say(ANN, "one")
        await world.say(ANN, "two")
        await asyncio.wait_for(done.wait(), 3)
        with pytest.raises(error.Conflict, match="can't use getUpdates method while webhook is active"):
            await bot.get_updates()
        info = await bot.get_webhook_info()
        assert (info.url, info.allowed_updates) == (f"{hook}/hook", ("message",))
        assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
        await bot.delete_webhook()
    assert received == [("s3cret", "one")] * 3 + [("s3cret", "two")]
    with pytest.raises(error.BadRequest, match=r"(?i)An HTTPS URL must be provided for webhook"):
        await bot.set_webhook("http://example.com/hook")


async def test_deleting_the_webhook_can_drop_what_waits(world: telegram.Telegram, bot: ptb.Bot) -> None:
    await world.say(ANN, "dropped")
    await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.get_updates() == ()
    assert len(world.history.of("telegram_update_dropped")) == 1
