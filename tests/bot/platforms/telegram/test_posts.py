"""Posts in places: nobody there refuses them but the place itself, and nothing paid is put where everybody reads it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import web

from bot import platforms
from bot.messages import text
from bot.platforms.telegram import hindrances, platform
from core.delivery import outcomes
from core.models import Delivery, State
from tests.bot import stage as stages
from tests.bot.platforms.telegram.conftest import ANN, GROUP, BotMaker, VenueMaker
from tests.bot.platforms.telegram.venue import CHAT, KEY, Venue
from tests.sandbox import server, telegram

Fault, Kind = telegram.Fault, telegram.Kind
CHANNEL, OPEN = -1_000_800, -1_000_900
POST = platforms.Parcel(str(CHANNEL), text.message("Long"), protect=True, place="vip")


@pytest.fixture
def world(world: telegram.Telegram) -> telegram.Telegram:
    world.group(CHANNEL, "News", "channel")
    world.group(OPEN, "Open", "channel", username="open_news")
    return world


async def test_a_signal_is_posted_and_cannot_be_forwarded(world: telegram.Telegram, bot: platform.Telegram) -> None:
    outcome = await bot.send(POST)

    [message] = world.chat(CHANNEL)
    assert outcome == outcomes.Sent(str(message.id))
    assert message.options["protect_content"]


async def test_x06_what_is_for_its_reader_alone_cannot_be_forwarded(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    await bot.send(platforms.Parcel(str(ANN), text.message("yours", paid=True)))

    assert world.chat(ANN)[0].options["protect_content"]


async def test_t20_without_the_right_to_post_the_place_is_barred(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    world.set_bot(CHANNEL, "administrator", rights={"can_invite_users"})
    assert await bot.send(POST) == outcomes.Barred(hindrances.lacking([hindrances.POST]))

    world.set_bot(CHANNEL, "kicked")
    assert await bot.send(POST) == outcomes.Barred(hindrances.ABSENT)

    assert await bot.send(replace(POST, address="-4711")) == outcomes.Barred(hindrances.unknown("-4711"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (400, "Bad Request: not enough rights to send text messages to the chat"),
        (400, "Bad Request: not enough rights to send photos to the chat"),
        (400, "Bad Request: CHAT_WRITE_FORBIDDEN"),
        (400, "Bad Request: have no rights to send a message"),
        (400, "Bad Request: CHANNEL_PRIVATE"),
        (400, "Bad Request: group chat was deactivated"),
        (403, "Forbidden: bot was kicked from the supergroup chat"),
        (403, "Forbidden: CHAT_WRITE_FORBIDDEN"),
    ],
)
async def test_t05_however_telegram_says_it_nobody_is_marked_as_gone(
    world: telegram.Telegram, bot: platform.Telegram, code: int, words: str
) -> None:
    world.faults.add(Fault(Kind.REFUSE, "sendMessage", code=code, description=words, times=None))

    assert isinstance(await bot.send(POST), outcomes.Barred)
    assert isinstance(await bot.send(replace(POST, address=str(ANN), place="")), outcomes.Refused | outcomes.Blocked)


async def test_t05_an_answer_in_a_group_that_put_us_out_ends_there(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    """There is no place to raise an alarm for, and nothing to wait for."""
    world.set_bot(GROUP, "kicked")

    assert isinstance(await bot.send(platforms.Parcel(str(GROUP), text.message("x"))), outcomes.Blocked)


async def test_x06_a_signal_is_not_posted_where_everybody_can_read_it(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    outcome = await bot.send(replace(POST, address=str(OPEN)))

    assert isinstance(outcome, outcomes.Barred)
    assert "public (@open_news)" in outcome.reason
    assert world.chat(OPEN) == []
    assert isinstance(await bot.send(replace(POST, address=str(OPEN), protect=False)), outcomes.Sent)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(Kind.DROP, "getChat"), outcomes.NotSent),
        (Fault(Kind.STORE_THEN_HTML, "getChat"), outcomes.NotSent),
        (Fault(Kind.REFUSE, "getChat", code=502), outcomes.NotSent),
        (Fault(Kind.RETRY_AFTER, "getChat", retry_after=9), outcomes.NotSent),
        (Fault(Kind.REFUSE, "getChat", code=401), outcomes.Fatal),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_x06_when_nobody_says_whether_it_is_public_nothing_is_posted(
    world: telegram.Telegram, bot: platform.Telegram, fault: telegram.Fault, outcome: type
) -> None:
    fault.hits = 0
    world.faults.add(fault)

    assert isinstance(await bot.send(POST), outcome)
    assert world.chat(CHANNEL) == []


@pytest.mark.parametrize("body", [b'{"ok":true,"result":7}', b'{"ok":true,"result":[]}', b"<html>"])
async def test_x06_an_answer_of_another_shape_is_no_leave_to_post(make_bot: BotMaker, body: bytes) -> None:
    asked: list[str] = []

    async def odd(request: web.Request) -> web.Response:
        asked.append(request.path.rpartition("/")[2])
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/{tail:.*}", odd)
    async with server.serving(app) as base:
        bot = await make_bot(started=False, telegram_api_url=base)
        await bot._bot.open()
        assert isinstance(await bot.send(POST), outcomes.NotSent)
    assert asked == ["getChat"]


async def test_x06_buttons_that_act_for_whoever_presses_are_left_out(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    buttons = [
        [text.Button("Mute", data="/mute"), text.Button("Record", url="https://site.example/record")],
        [text.Button("Mine", data="/status")],
        [text.Button("Private chat", start="plans"), text.Button("Enter", place="vip")],
    ]
    message = text.message("x", buttons=buttons)

    for address in (CHANNEL, GROUP):
        await bot.send(platforms.Parcel(str(address), message))
        await bot.send(platforms.Parcel(str(address), message, plain=True))

    for chat in (CHANNEL, GROUP):
        formatted, plain = world.chat(chat)
        assert [[button["text"] for button in row] for row in formatted.buttons] == [["Record"], ["Private chat"]]
        assert "/mute" not in plain.text
        assert "https://site.example/record" in plain.text


# --- with the real courier


async def the_post(venue: Venue) -> Delivery:
    [row] = await venue.stage.rows(Delivery.place == KEY, Delivery.kind == "opening")
    return row


async def test_a_post_and_its_end_reach_the_channel(open_venue: VenueMaker) -> None:
    venue = await open_venue(kind="channel")

    signal = await venue.publish()
    await venue.deliver()
    await venue.stage.end(signal)
    await venue.deliver()

    opening, end = venue.world.chat(CHAT)
    assert opening.text.startswith("▲ Long")
    assert end.reply_to is opening


async def test_t20_a_post_that_is_barred_waits_and_is_an_alarm(open_venue: VenueMaker) -> None:
    venue = await open_venue(kind="channel")
    venue.chat.bot_rights = {"can_invite_users", "can_restrict_members"}

    await venue.publish()
    async with venue.stage.working():
        await stages.until(venue.stage.alarms)
    assert "“Post messages”" in (await venue.stage.alarms())[f"post:{KEY}"]
    assert (await the_post(venue)).state == State.PENDING

    venue.chat.bot_rights |= {"can_post_messages"}
    venue.stage.clock.ahead += timedelta(seconds=61)
    await venue.deliver()

    assert (await the_post(venue)).state == State.SENT
    assert await venue.stage.alarms() == {}
    assert len(venue.world.chat(CHAT)) == 1


async def test_x06_a_place_that_was_made_public_gets_no_signal(open_venue: VenueMaker) -> None:
    venue = await open_venue(kind="channel")
    venue.chat.username = "everybody"
    venue.chat._brief = None

    await venue.publish()
    async with venue.stage.working():
        await stages.until(venue.stage.alarms)

    assert "public (@everybody)" in (await venue.stage.alarms())[f"post:{KEY}"]
    assert venue.world.chat(CHAT) == []
    assert (await the_post(venue)).state == State.PENDING
