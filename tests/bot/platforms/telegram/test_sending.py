"""Every row of the outcome table, met on a real socket."""

import asyncio
import io
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from PIL import Image
from telegram.error import NetworkError, TelegramError

from bot import messages, platforms
from bot.messages import text
from bot.platforms.telegram import api, platform, sending, wire
from core.delivery import outcomes
from tests.bot import signals
from tests.bot.platforms.telegram.conftest import ANN, GROUP, BotMaker
from tests.sandbox import server, telegram

HELLO = platforms.Parcel(str(ANN), text.message("Hello"))
Kind = telegram.Kind


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (100, 60)).save(out, "PNG")
    return out.getvalue()


def stored(world: telegram.Telegram, chat: int = ANN) -> list[telegram.Message]:
    return world.chat(chat)


async def test_a_message_is_sent_with_its_markup_and_buttons(world: telegram.Telegram, bot: platform.Telegram) -> None:
    buttons = [
        [text.Button("Plans", data="/plans"), text.Button("Pay", url="https://site.example/x")],
        [text.Button("Open", start="plans"), text.Button("Odd", start="no way"), text.Button("x", data="y" * 65)],
        [text.Button(" ", data="/x"), text.Button("Nothing")],
    ]
    linked = messages.Span("site", url='https://site.example/?a="b"&c')
    message = text.message(text.line(text.bold("Hi <Ann> & co"), " ", linked), buttons=buttons)

    outcome = await bot.send(replace(HELLO, message=message))

    (arrived,) = stored(world)
    assert outcome == outcomes.Sent(str(arrived.id))
    assert arrived.text == "Hi <Ann> & co site"
    assert [entity["type"] for entity in arrived.entities] == ["bold", "text_link"]
    assert arrived.options["link_preview_options"] == {"is_disabled": True}
    assert [[button.get("callback_data") or button["url"] for button in row] for row in arrived.buttons] == [
        ["/plans", "https://site.example/x"],
        ["https://t.me/signalstack_demo_bot?start=plans", "https://t.me/signalstack_demo_bot?start=hello"],
    ]


async def test_x06_a_signal_is_sent_once_as_picture_and_cannot_be_forwarded(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    message = messages.signals.opening(signals.make(), held_service(bot))
    parcel = replace(HELLO, message=message, protect=True, picture=picture())

    first = await bot.send(parcel)
    assert isinstance(first, outcomes.Sent)
    again = await bot.send(replace(parcel, picture=None, file_id=first.file_id))

    one, two = stored(world)
    assert again == outcomes.Sent(str(two.id), first.file_id)
    assert one.text == message.plain
    assert one.photo == two.photo
    assert one.options["protect_content"]


def held_service(bot: platform.Telegram) -> Any:
    return bot._stack.catalogue.service


async def test_a_file_id_of_another_bot_is_uploaded_anew(world: telegram.Telegram, bot: platform.Telegram) -> None:
    parcel = replace(HELLO, picture=picture(), file_id="of-another-bot")

    outcome = await bot.send(parcel)

    assert isinstance(outcome, outcomes.Sent)
    assert stored(world)[0].photo == outcome.file_id
    assert isinstance(await bot.send(replace(parcel, picture=None)), outcomes.Refused)
    world.faults.add(telegram.Fault(Kind.REFUSE, "sendPhoto", skip=1, code=403))
    assert isinstance(await bot.send(parcel), outcomes.Blocked)


async def test_an_answer_arrives_when_its_question_is_gone(world: telegram.Telegram, bot: platform.Telegram) -> None:
    first = await bot.send(HELLO)
    assert isinstance(first, outcomes.Sent)

    await bot.send(replace(HELLO, reply_to=first.message_id))
    await bot.send(replace(HELLO, reply_to="999999"))

    assert [m.reply_to.id if m.reply_to else None for m in stored(world)] == [None, int(first.message_id), None]


async def test_t04_the_plain_fallback_has_the_bare_words(world: telegram.Telegram, bot: platform.Telegram) -> None:
    buttons = [[text.Button("Plans", data="/plans"), text.Button("Pay", url="http://localhost:8080/x")]]
    message = text.message(text.line(text.bold("<b>Pay</b> now")), buttons=buttons, picture=True)

    await bot.send(replace(HELLO, message=message, plain=True, picture=picture()))

    (arrived,) = stored(world)
    assert arrived.text == "<b>Pay</\u2060b> now\nPay: http://localhost:8080/x"
    assert arrived.markup is None
    assert arrived.photo is None


async def test_t16_what_is_too_long_is_cut_rather_than_refused(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    long = text.message("x" * 1200)
    for parcel in (
        replace(HELLO, message=long, picture=picture()),
        replace(HELLO, message=text.message("y " * 4000)),
        replace(HELLO, message=text.message("z " * 4000), plain=True),
    ):
        assert isinstance(await bot.send(parcel), outcomes.Sent)

    assert stored(world)[0].text == "x" * 1200
    assert stored(world)[0].photo is None
    assert all(len(message.text) <= 4096 for message in stored(world))


@pytest.mark.parametrize("kind", [Kind.STORE_THEN_HANG, Kind.DELAY])
async def test_t01_timeout_after_store_is_ambiguous(
    world: telegram.Telegram, bot: platform.Telegram, kind: telegram.Kind
) -> None:
    world.faults.add(telegram.Fault(kind, "sendMessage", seconds=2))

    assert isinstance(await bot.send(HELLO), outcomes.Ambiguous)
    assert len(stored(world)) == 1


async def test_t02_a_full_pool_means_not_sent(world: telegram.Telegram, make_bot: BotMaker) -> None:
    bot = await make_bot(delivery_window=1, total=1.5, connect=0.1)
    world.faults.add(telegram.Fault(Kind.HANG, "sendMessage", seconds=0.5, times=9))
    holding = [asyncio.create_task(bot.send(HELLO)) for _ in range(9)]
    await asyncio.sleep(0.05)

    outcome = await bot.send(HELLO)
    await asyncio.gather(*holding)

    assert isinstance(outcome, outcomes.NotSent)
    assert "No connection in time" in outcome.reason
    assert stored(world) == []


async def test_t02_a_refused_port_means_not_sent(make_bot: BotMaker) -> None:
    bot = await make_bot(started=False, telegram_api_url="http://127.0.0.1:1")
    await bot._bot.open()

    assert isinstance(await bot.send(HELLO), outcomes.NotSent)


@pytest.mark.parametrize("kind", [Kind.STORE_THEN_DROP, Kind.STORE_THEN_502, Kind.STORE_THEN_HTML])
async def test_t03_a_failure_after_store_is_ambiguous(
    world: telegram.Telegram, bot: platform.Telegram, kind: telegram.Kind
) -> None:
    world.faults.add(telegram.Fault(kind, "sendMessage"))

    assert isinstance(await bot.send(HELLO), outcomes.Ambiguous)
    assert len(stored(world)) == 1
    assert isinstance(await bot.send(HELLO), outcomes.Sent)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (400, outcomes.Refused),
        (413, outcomes.Refused),
        (403, outcomes.Blocked),
        (401, outcomes.Fatal),
        (404, outcomes.Fatal),
        (409, outcomes.NotSent),
        (500, outcomes.Ambiguous),
        (302, outcomes.Ambiguous),
    ],
)
async def test_t04_t05_each_refusal_has_its_outcome(
    world: telegram.Telegram, bot: platform.Telegram, code: int, outcome: type
) -> None:
    world.faults.add(telegram.Fault(Kind.REFUSE, "sendMessage", code=code))

    assert isinstance(await bot.send(HELLO), outcome)


async def test_t05_a_blocked_chat_is_told(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.block(ANN)

    assert isinstance(await bot.send(HELLO), outcomes.Blocked)


async def test_t06_a_migrated_group_has_its_new_address(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.group(-55, "Old", "group", members=[ANN])
    new = world.migrate(-55)

    assert await bot.send(replace(HELLO, address="-55")) == outcomes.Moved(str(new))


@pytest.mark.parametrize(("chat", "pause"), [(ANN, "all"), (GROUP, "chat")])
async def test_t07_a_flood_pauses_everyone_or_the_group(
    world: telegram.Telegram, bot: platform.Telegram, chat: int, pause: str
) -> None:
    world.faults.add(telegram.Fault(Kind.RETRY_AFTER, "sendMessage", retry_after=7, chat_id=chat))

    outcome = await bot.send(replace(HELLO, address=str(chat)))

    assert isinstance(outcome, outcomes.NotSent)
    assert (outcome.after, outcome.pause) == (7, pause)


@pytest.mark.parametrize(
    "fault",
    [
        telegram.Fault(Kind.RETRY_AFTER_BARE, "sendMessage"),
        telegram.Fault(Kind.RETRY_AFTER, "sendMessage", retry_after=0),
    ],
)
async def test_t07_a_429_without_a_time_is_a_flood_too(
    world: telegram.Telegram, bot: platform.Telegram, fault: telegram.Fault
) -> None:
    world.faults.add(fault)

    outcome = await bot.send(HELLO)

    assert isinstance(outcome, outcomes.NotSent)
    assert (outcome.after, outcome.pause) == (3.0, "all")


def test_groups_have_negative_addresses(world: telegram.Telegram) -> None:
    assert sending.group("-100500")
    assert not sending.group("7")


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def sent_to(answer: Answer, make_bot: BotMaker) -> outcomes.Outcome:
    """What becomes of a message when the server answers like this."""
    app = web.Application()
    app.router.add_post("/{tail:.*}", answer)
    async with server.serving(app) as base:
        bot = await make_bot(started=False, telegram_api_url=base)
        await bot._bot.open()
        return await bot.send(HELLO)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"ok":true,"result":true}', b'{"ok":true,"result":{}}', b'"x"', b"", b"\xff"]
)
async def test_t03_an_answer_without_a_message_is_ambiguous(make_bot: BotMaker, body: bytes) -> None:
    async def odd(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    assert isinstance(await sent_to(odd, make_bot), outcomes.Ambiguous)


async def test_t03_an_endless_answer_is_ambiguous(make_bot: BotMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_LARGEST_ANSWER", 100_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b" " * 10_000)
        return response

    outcome = await sent_to(endless, make_bot)

    assert isinstance(outcome, outcomes.Ambiguous)
    assert "The connection failed" in outcome.reason


CANARY = "123456:CANARY-token-that-nobody-may-see"


@pytest.fixture
async def refusing() -> AsyncIterator[str]:
    """A server that fails in a different way at each request."""
    number = iter(range(10**6))

    async def fail(request: web.Request) -> web.Response:
        way = next(number) % 4
        if way == 0 and request.transport:
            request.transport.close()
        if way == 1:
            await asyncio.sleep(0.4)
        return web.Response(status=[500, 502, 401, 302][way], text="<html>", headers={"Location": request.path})

    app = web.Application()
    app.router.add_post("/{tail:.*}", fail)
    async with server.serving(app) as base:
        yield base


async def test_x01_no_error_and_no_reason_contains_the_token(
    refusing: str, make_bot: BotMaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    seen = []
    for base in (refusing, "http://127.0.0.1:1", "http://10.255.255.1:9", "http://nowhere.invalid"):
        conf = {"telegram_api_url": base, "telegram_bot_token": CANARY, "total": 0.2, "connect": 0.1}
        bot = await make_bot(started=False, **conf)
        await bot._bot.open()
        for _ in range(4):
            seen += [repr(await bot.send(HELLO)), repr(bot), repr(bot._bot)]
            with pytest.raises(TelegramError) as caught:
                await bot._bot.call("getMe", {})
            seen += chained(caught.value)

    assert "CANARY" not in "\n".join(seen)
    assert "CANARY" not in caplog.text


def chained(error: BaseException | None) -> list[str]:
    """Everything that could be printed of an error, its causes and its hidden contexts included."""
    found = []
    while error is not None:
        found += [repr(error), *traceback.format_exception(error, chain=True)]
        error = error.__cause__ or error.__context__
    return found


async def test_a_closed_connection_is_an_error_of_the_library(make_bot: BotMaker) -> None:
    bot = await make_bot(started=False)
    unopened: api.Api = bot._bot

    with pytest.raises(NetworkError):
        await unopened.call("getMe", {})
    assert unopened._sender.read_timeout == 0.4
    await unopened.open()
    await unopened.open()


async def test_files_can_be_fetched_over_the_same_wire(world: telegram.Telegram, bot: platform.Telegram) -> None:
    photo = world.photos.upload(picture())
    base = bot._stack.settings.telegram_api_url

    assert await bot._bot._sender.retrieve(f"{base}/file/bot{telegram.TOKEN}/{photo.path}") == picture()
