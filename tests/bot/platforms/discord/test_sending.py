"""Every row of the outcome table, met on a real socket."""

import io
import time
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot import messages, platforms
from bot.messages import text
from bot.platforms.discord import platform
from core.delivery import outcomes
from tests.bot import signals
from tests.bot.platforms.discord.conftest import (
    ANN,
    BOB,
    CARL,
    GENERAL,
    GUILD,
    PLACE,
    SIGNALS,
    BotMaker,
    held,
    open_place,
)
from tests.sandbox import discord
from tests.sandbox import discord_permissions as may

Fault, Kind = discord.Fault, discord.Kind
POST = "/channels/{channel_id}/messages"
HELLO = platforms.Parcel(str(GENERAL), text.message("Hello"), nonce="N" * 24)
TO_ANN = replace(HELLO, address=f"@{ANN}")


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (100, 60)).save(out, "PNG")
    return out.getvalue()


def lying(world: discord.Discord, channel: int = GENERAL) -> list[discord.Message]:
    return world.messages(channel)


async def test_a_signal_is_one_message_with_its_chart(world: discord.Discord, bot: platform.Discord) -> None:
    message = messages.signals.opening(signals.make(), held(bot).catalogue.service)

    outcome = await bot.send(replace(HELLO, message=message, picture=picture(), protect=True))

    [arrived] = lying(world)
    assert outcome == outcomes.Sent(str(arrived.id))
    assert arrived.has_photo
    assert arrived.content == ""
    [embed] = arrived.embeds
    assert embed["title"] == "▲ Long BTC/USDT · 1h · #12"
    assert embed["image"]["url"].endswith("/chart.png")
    assert embed["footer"]["text"] == "Not financial advice. Trading can lose money."
    assert embed["color"] == 0x2E9E5B
    assert arrived.nonce == HELLO.nonce


async def test_buttons_are_what_discord_takes_of_them(world: discord.Discord, bot: platform.Discord) -> None:
    await open_place(bot, 1, SIGNALS)
    buttons = [
        [text.Button("Plans", data="/plans"), text.Button("Pay", url="https://site.example/x")],
        [text.Button("In private", start="plans"), text.Button("Again", data="/plans")],
        [text.Button("x", data="y" * 101), text.Button(" ", data="/x"), text.Button("Nothing")],
        [text.Button("Lounge", place=PLACE), text.Button("Elsewhere", place="unknown")],
    ]

    await bot.send(replace(HELLO, message=text.message("Hi", buttons=buttons)))

    [arrived] = lying(world)
    assert [(one["label"], one.get("custom_id") or one["url"]) for one in arrived.buttons] == [
        ("Plans", "/plans"),
        ("Pay", "https://site.example/x"),
        ("In private", "/start plans"),
        ("Lounge", f"https://discord.com/channels/{GUILD}/{SIGNALS}"),
    ]


async def test_an_answer_arrives_when_its_opening_is_gone(world: discord.Discord, bot: platform.Discord) -> None:
    await bot.send(HELLO)
    [opening] = lying(world)
    await bot.send(replace(HELLO, reply_to=str(opening.id), nonce="A" * 24))
    await bot.send(replace(HELLO, reply_to="999999", nonce="B" * 24))
    world.allow_bot(GUILD, may.BOT & ~may.READ_MESSAGE_HISTORY)
    everyone = world.guilds[GUILD].roles[GUILD]
    everyone.permissions &= ~may.READ_MESSAGE_HISTORY
    assert isinstance(await bot.send(replace(HELLO, reply_to=str(opening.id), nonce="C" * 24)), outcomes.Sent)

    assert [message.reply_to for message in lying(world)] == [None, opening.id, None, None]


@pytest.mark.parametrize("kind", [Kind.STORE_THEN_DROP, Kind.STORE_THEN_RESET, Kind.DROP])
async def test_d01_a_lost_answer_is_harmless_and_the_resend_is_one_message(
    world: discord.Discord, bot: platform.Discord, kind: Kind
) -> None:
    fault = world.faults.add(Fault(kind, "POST", POST))

    first = await bot.send(HELLO)
    second = await bot.send(HELLO)

    assert isinstance(first, outcomes.Ambiguous)
    assert first.harmless
    [arrived] = lying(world)
    assert second == outcomes.Sent(str(arrived.id))
    assert fault.hits == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
@pytest.mark.parametrize("kind", [Kind.SERVER_ERROR, Kind.STORE_THEN_ERROR])
async def test_d02_every_failure_of_discord_means_the_same_and_is_never_repeated_by_the_library(
    world: discord.Discord, bot: platform.Discord, status: int, kind: Kind
) -> None:
    fault = world.faults.add(Fault(kind, "POST", POST, status=status, times=None))
    began = time.monotonic()

    first = await bot.send(HELLO)

    assert time.monotonic() - began < 0.8
    assert (first, fault.hits) == (outcomes.Ambiguous(f"Discord: Discord answered {status}", harmless=True), 1)
    world.faults.clear()
    assert isinstance(await bot.send(HELLO), outcomes.Sent)
    assert len(lying(world)) == 1


async def test_d02_an_answer_without_json_is_harmless(world: discord.Discord, bot: platform.Discord) -> None:
    world.faults.add(Fault(Kind.STORE_THEN_NOT_JSON, "POST", POST))
    first = await bot.send(HELLO)
    assert first == outcomes.Ambiguous("Discord: Discord answered 200 without JSON", harmless=True)
    assert isinstance(await bot.send(HELLO), outcomes.Sent)
    assert len(lying(world)) == 1


async def test_d03_the_nonce_of_the_delivery_goes_with_every_message(
    world: discord.Discord, bot: platform.Discord
) -> None:
    for parcel in (HELLO, replace(HELLO, plain=True), replace(HELLO, picture=picture()), TO_ANN):
        await bot.send(parcel)
        await bot.send(parcel)
    assert [message.nonce for message in (*lying(world), *world.dm(ANN))] == ["N" * 24, "N" * 24]
    assert isinstance(await bot.send(replace(HELLO, nonce="x" * 36)), outcomes.Refused)
    assert world.violations.pop().endswith("is too long")


async def test_d07_a_request_that_hangs_is_given_up_in_time(world: discord.Discord, make_bot: BotMaker) -> None:
    bot = await make_bot(total=0.3)
    world.faults.add(Fault(Kind.STORE_THEN_HANG, "POST", POST))
    began = time.monotonic()

    first = await bot.send(HELLO)

    assert time.monotonic() - began < 1
    assert first == outcomes.Ambiguous("Discord: no answer within 0.3 seconds", harmless=True)
    assert isinstance(await bot.send(HELLO), outcomes.Sent)
    assert len(lying(world)) == 1


async def test_what_had_no_connection_was_not_sent(bot: platform.Discord, monkeypatch: pytest.MonkeyPatch) -> None:
    import discord as library

    monkeypatch.setattr(library.http.Route, "BASE", "http://127.0.0.1:9/api/v10")
    assert isinstance(await bot.send(HELLO), outcomes.NotSent)
    await bot.stop()
    assert await bot.send(HELLO) == outcomes.NotSent("Discord: closed")


@pytest.mark.parametrize(
    ("who", "code", "expected"),
    [
        ("@", 50007, outcomes.Blocked),
        ("@", 50278, outcomes.Blocked),
        ("@", 10013, outcomes.Blocked),
        ("@", 10003, outcomes.NotSent),
        ("@", 40003, outcomes.NotSent),
        ("#", 10003, outcomes.Barred),
        ("#", 50001, outcomes.Barred),
        ("#", 50013, outcomes.Barred),
        ("#", 50008, outcomes.Refused),
        ("#", 50006, outcomes.Refused),
        ("#", 40005, outcomes.Refused),
    ],
)
async def test_each_refusal_means_what_the_table_says(
    world: discord.Discord, bot: platform.Discord, who: str, code: int, expected: type[Any]
) -> None:
    world.faults.add(Fault(Kind.REFUSE, "POST", POST, code=code))
    outcome = await bot.send(TO_ANN if who == "@" else HELLO)
    assert isinstance(outcome, expected), outcome


async def test_a_token_that_no_longer_counts_stops_everything(world: discord.Discord, bot: platform.Discord) -> None:
    world.token = "another"
    assert isinstance(await bot.send(HELLO), outcomes.Fatal)


async def test_d12_closed_private_chats_and_strangers_are_blocked_and_the_channel_still_gets_its_posts(
    world: discord.Discord, bot: platform.Discord
) -> None:
    world.close_dms(ANN)
    assert isinstance(await bot.send(TO_ANN), outcomes.Blocked)
    world.close_dms(ANN, closed=False)
    assert isinstance(await bot.send(TO_ANN), outcomes.Sent)
    assert isinstance(await bot.send(replace(HELLO, address=f"@{CARL}")), outcomes.Blocked)
    assert isinstance(await bot.send(replace(HELLO, address="@123456")), outcomes.Blocked)
    assert isinstance(await bot.send(HELLO), outcomes.Sent)


@pytest.mark.parametrize("status", [400, 403])
async def test_d12_a_refusal_of_nobody_in_particular_holds_all_private_messages(
    world: discord.Discord, bot: platform.Discord, status: int
) -> None:
    refused = {"status": status, "code": 40003}
    fault = world.faults.add(Fault(Kind.REFUSE, "POST", "/users/@me/channels", times=None, **refused))
    assert isinstance(await bot.send(TO_ANN), outcomes.NotSent)
    to_bob = await bot.send(replace(HELLO, address=f"@{BOB}"))
    assert isinstance(to_bob, outcomes.NotSent)
    assert to_bob.after == pytest.approx(600, abs=2)
    assert fault.hits == 1
    assert isinstance(await bot.send(HELLO), outcomes.Sent)


async def test_d12_private_messages_have_a_budget(world: discord.Discord, make_bot: BotMaker) -> None:
    bot = await make_bot(discord_dms_per_hour=3)
    sent = [await bot.send(replace(TO_ANN, nonce=f"{n:024}")) for n in range(5)]
    assert [type(outcome) for outcome in sent] == [outcomes.Sent] * 3 + [outcomes.NotSent] * 2
    assert sent[-1] == outcomes.NotSent("Discord: this hour's private messages are used up", after=60.0)
    assert len(world.dm(ANN)) == 3
    assert isinstance(await bot.send(HELLO), outcomes.Sent)


async def test_what_may_not_be_posted_is_said_with_the_missing_right(
    world: discord.Discord, bot: platform.Discord
) -> None:
    world.channel(GUILD, SIGNALS, "signals", private_to=[])
    await open_place(bot, 1, SIGNALS)
    there = replace(HELLO, address=str(SIGNALS), place=PLACE)
    world.channels[SIGNALS].overwrites[GUILD].deny |= may.EMBED_LINKS | may.ATTACH_FILES
    for right in (may.EMBED_LINKS, may.ATTACH_FILES):
        role = next(role for role in world.guilds[GUILD].roles.values() if role.bot_id)
        world.channels[SIGNALS].overwrites[role.id].deny |= right
    assert await bot.send(there) == outcomes.Barred(
        "Our bot lacks the rights “Embed Links” and “Attach Files” in #signals: open Edit Channel → Permissions, add "
        "the bot, and switch them on."
    )
    world.delete_channel(SIGNALS)
    gone = await bot.send(there)
    assert isinstance(gone, outcomes.Barred)
    assert "was deleted" in gone.reason
    world.kick_bot(GUILD)
    barred = await bot.send(HELLO)
    assert isinstance(barred, outcomes.Barred)


async def test_the_plain_fallback_has_the_bare_words(world: discord.Discord, bot: platform.Discord) -> None:
    buttons = [[text.Button("Pay", url="http://localhost:8080/x")]]
    message = text.message(text.line(text.bold("*Pay* <@7001> now")), buttons=buttons, picture=True)
    await bot.send(replace(HELLO, message=message, plain=True, picture=picture()))
    [arrived] = lying(world)
    assert arrived.content == "\\*Pay\\* \\<@\u20607001> now\nPay: http://localhost:8080/x"
    assert (arrived.embeds, arrived.components, arrived.has_photo) == ([], [], False)
    assert arrived.mentions == []


async def test_too_many_alike_buttons_become_a_menu(world: discord.Discord, bot: platform.Discord) -> None:
    pairs = [f"C{n}/USDT" for n in range(30)]
    buttons = [[text.Button(pair, data=f"/latest {pair}")] for pair in pairs] + [[text.Button("Plans", data="/plans")]]
    await bot.send(replace(HELLO, message=text.message("Which?", buttons=buttons)))
    [arrived] = lying(world)
    menu = arrived.part("menu:/latest")
    assert menu
    assert [option["value"] for option in menu["options"]] == [f"/latest {pair}" for pair in pairs[:25]]
    assert [button["label"] for button in arrived.buttons] == ["Plans"]
