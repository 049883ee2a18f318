"""The world on both chats: its server, its gated places, what people do there, and what the judge makes of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core import catalogue
from tests.sandbox import checker, market_history, panel, small_bot, transcript, world
from tests.sandbox.world import LOBBY, MAYA_D, MEMBER, NOAH_D, OLGA_D, OPERATOR, ROLE, SIGNALS, VIP

START = datetime(2023, 3, 1, tzinfo=UTC)
OPENING = "▲ Long BTC/USDT · 1h · #7\nEntry 1"
END = "✓ Target hit · BTC/USDT long · 1h · #7\n+1 %"


def _opening(folder: Path, **options: Any) -> Any:
    walks = {symbol: market_history.simulate(symbol, START, START + timedelta(days=20)) for symbol in world.SYMBOLS}
    markets = {symbol: {"1h": market_history.aggregate(walk, "1h")} for symbol, walk in walks.items()}
    return world.World.open(folder, markets=markets, start=START + timedelta(days=10), **options)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[world.World]:
    async with _opening(tmp_path) as opened:
        yield opened


@pytest.fixture
async def bot(made: world.World) -> AsyncIterator[small_bot.Bot]:
    async with small_bot.running(made.addresses["discord"]) as bot:
        yield bot


async def _telegram(made: world.World, method: str, **fields: Any) -> Any:
    url = f"{made.addresses['telegram']}/bot{made.telegram.token}/{method}"
    async with aiohttp.ClientSession(trust_env=False) as http, http.post(url, json=fields) as answer:
        told = await answer.json()
        assert told["ok"], told
        return told["result"]


# --- what is there


async def test_the_product_is_told_of_both_chats_and_of_the_places(made: world.World) -> None:
    env = made.environment()
    book = catalogue.read(Path(env["SIGNALSTACK_CONFIG"]))

    assert env["DISCORD_BOT_TOKEN"] == made.discord.token
    assert env["DISCORD_API_URL"] == f"{made.addresses['discord']}/api"
    assert env["ADMINS"] == f"telegram:{OPERATOR},discord:{OLGA_D}"
    assert book.service.notice == market_history.SIMULATED
    vip, members = book.places
    assert (vip.platform, vip.chat) == ("telegram", str(VIP))
    assert (members.server, members.role, members.channel) == (str(world.GUILD), str(ROLE), str(SIGNALS))


async def test_without_discord_the_world_is_on_telegram_alone(tmp_path: Path) -> None:
    async with _opening(tmp_path, discord=False) as made:
        env = made.environment()
        book = catalogue.read(Path(env["SIGNALSTACK_CONFIG"]))

        assert not {name for name in env if name.startswith("DISCORD")}
        assert env["ADMINS"] == f"telegram:{OPERATOR}"
        assert book.places == ()
        assert "discord" not in made.addresses
        assert made.history.events == []
        assert VIP not in made.telegram.chats
        assert "Link Discord with /link" not in [step["text"] for step in panel.Panel(made, "").facts()["steps"]]


async def test_the_channel_is_private_to_the_role_and_the_bot_may_do_its_work(
    made: world.World, bot: small_bot.Bot
) -> None:
    assert [made.is_inside(SIGNALS, user) for user in (MAYA_D, NOAH_D, OLGA_D, made.discord.bot.id)] == [0, 0, 1, 1]
    assert made.is_inside(LOBBY, MAYA_D)
    assert [made.is_inside(VIP, user) for user in (MEMBER, OPERATOR)] == [False, True]
    await bot.post(SIGNALS, OPENING, picture=True)
    guild = bot.get_guild(world.GUILD)
    assert guild is not None
    role = guild.get_role(ROLE)
    assert role is not None
    assert role < guild.me.top_role


# --- what people do and wait for


async def test_a_command_is_asked_and_its_answer_waited_for(made: world.World, bot: small_bot.Bot) -> None:
    answer = await made.slash(MAYA_D, "signals latest", {"pair": "BTC/USDT"})
    alone = await made.slash(NOAH_D, "slow", where=None)

    assert (answer.text, answer.ephemeral, answer.channel.id) == ("Latest signals BTC/USDT", True, LOBBY)
    assert (alone.text, alone.channel.recipient) == ("At last", made.discord.users[NOAH_D])
    assert await made.suggest(MAYA_D, "signals latest", "pair", "e") == ["ETH/USDT"]


async def test_buttons_are_pressed_by_their_labels_and_menus_by_their_values(
    made: world.World, bot: small_bot.Bot
) -> None:
    answer = await made.slash(MAYA_D, "help")

    chosen = await made.choose(MAYA_D, answer, "pick", ["BTC/USDT"])
    changed = await made.click(MAYA_D, answer, "More")

    assert chosen.text == "You chose ['BTC/USDT']"
    assert changed is answer
    assert changed.text == "There is more"
    with pytest.raises(world.NothingHappenedError, match="no button “More” to press"):
        await made.click(MAYA_D, answer, "More")


async def test_what_does_not_come_is_said(made: world.World) -> None:
    with pytest.raises(world.NothingHappenedError, match="the product is connected to Discord"):
        await made.slash(MAYA_D, "help", within=0.05)
    with pytest.raises(world.NothingHappenedError, match="#signals on Discord gets a message with “Long”"):
        await made.post(SIGNALS, "Long", within=0.05)
    with pytest.raises(world.NothingHappenedError, match="VIP signals gets a message with “Long”"):
        await made.post(VIP, "Long", within=0.05)
    with pytest.raises(world.NothingHappenedError, match="Maya is inside #signals on Discord"):
        await made.inside(SIGNALS, MAYA_D, within=0.05)


async def test_a_silent_bot_is_said(made: world.World, bot: small_bot.Bot) -> None:
    with pytest.raises(world.NothingHappenedError, match="Maya gets an answer to /silent on Discord"):
        await made.slash(MAYA_D, "silent", within=0.1)
    with pytest.raises(world.NothingHappenedError, match="Discord offers /dance"):
        await made.slash(MAYA_D, "dance", within=0.05)


async def test_posts_are_waited_for_on_both_chats(made: world.World, bot: small_bot.Bot) -> None:
    await bot.post(SIGNALS, OPENING.replace("#", "\\#"))
    await _telegram(made, "sendMessage", chat_id=VIP, text=OPENING)
    user = await bot.fetch_user(NOAH_D)
    await user.send("For you **alone**")

    first = await made.post(SIGNALS, "#7")
    assert (await made.post(VIP, "#7")).text == OPENING
    assert (await made.dm(NOAH_D, "For you alone")).id > first.id
    with pytest.raises(world.NothingHappenedError):
        await made.post(SIGNALS, "#7", after=first.id, within=0.05)


async def test_somebody_knocks_is_let_in_and_put_out(made: world.World) -> None:
    await made.telegram.start(MEMBER)
    link = (await _telegram(made, "createChatInviteLink", chat_id=VIP, creates_join_request=True))["invite_link"]
    keys = {"inline_keyboard": [[{"text": "VIP signals", "url": link}]]}
    await _telegram(made, "sendMessage", chat_id=MEMBER, text="Come in", reply_markup=keys)

    assert await made.knock(MEMBER, await made.message(MEMBER, "Come in")) == "asked"
    await _telegram(made, "approveChatJoinRequest", chat_id=VIP, user_id=MEMBER)
    await made.inside(VIP, MEMBER)
    await _telegram(made, "banChatMember", chat_id=VIP, user_id=MEMBER)
    await made.outside(VIP, MEMBER)


# --- judging and telling


async def test_the_judge_knows_the_places_and_whose_accounts_are_one(made: world.World, bot: small_bot.Bot) -> None:
    paid = checker.Entitlement(MEMBER)
    together = checker.Linked(frozenset({MEMBER, ("discord", MAYA_D)}), len(made.history.events))
    made.discord.add_role(world.GUILD, MAYA_D, ROLE)
    made.telegram.set_member(VIP, MEMBER, "member")
    posted = await bot.post(SIGNALS, OPENING)
    laid = await _telegram(made, "sendMessage", chat_id=VIP, text=OPENING)
    await bot.post(SIGNALS, END, reply_to=posted)
    await _telegram(made, "sendMessage", chat_id=VIP, text=END, reply_parameters={"message_id": laid["message_id"]})

    assert made.judge(granted=[paid], accounts=[together]).ok
    strict = made.judge(granted=[paid], rules=checker.Rules(settling=0))
    assert list(strict.faults) == ["inside without paying"]
    await bot.post(LOBBY, OPENING)
    faults = made.judge(granted=[paid], accounts=[together]).faults
    assert list(faults) == ["updates lost", "paid content given away"]


async def test_whoever_was_shown_a_checkout_link_on_discord_is_known_by_it(
    made: world.World, bot: small_bot.Bot
) -> None:
    import discord as dpy

    view = dpy.ui.View()
    view.add_item(dpy.ui.Button(label="Pay", url="http://127.0.0.1:1/checkout/WzcsInNpZ25hbHMiXQ.t.s"))
    await (await bot.fetch_user(NOAH_D)).send("Pay here", view=view)
    made.history.add("stripe_paid", member="7", subscription="sub_1", amount=2900)

    assert made.judge().entitled == 1
    made.discord.add_role(world.GUILD, NOAH_D, ROLE)
    assert made.judge(rules=checker.Rules(settling=0)).ok


async def test_the_panel_follows_maya_through_both_doors(made: world.World, bot: small_bot.Bot) -> None:
    beside = panel.Panel(made, "")

    def done() -> list[str]:
        return [step["text"] for step in beside.facts()["steps"] if step["done"]]

    await bot.post(SIGNALS, OPENING)
    assert done() == []
    made.telegram.set_member(VIP, MEMBER, "member")
    made.discord.add_role(world.GUILD, MAYA_D, ROLE)
    assert done() == ["Send /join and enter VIP signals", "Link Discord with /link"]
    await bot.post(SIGNALS, OPENING)
    await _telegram(made, "sendMessage", chat_id=VIP, text=END)
    assert done()[:2] == ["Wait for a signal with chart", "See how it ends, as a reply"]
    assert "See a signal in #signals there" in done()
    made.history.add("stripe_ended", member="7", subscription="sub_1")
    made.telegram.set_member(VIP, MEMBER, "kicked")
    assert done()[-1] == "End the paid time, below"
    made.discord.remove_role(world.GUILD, MAYA_D, ROLE)
    assert done()[-1] == "See both places close"
    told = [row["text"] for row in beside.facts()["told"]]
    assert told[:2] == ["Maya no longer has the role Members on Discord", "Maya is out of VIP signals"]
    assert "Signal #7 reached #signals on Discord" in told


async def test_transcripts_show_discord_and_the_channel(made: world.World, bot: small_bot.Bot) -> None:
    await made.slash(MAYA_D, "help")
    posted = await bot.post(SIGNALS, OPENING, picture=True)
    await bot.post(SIGNALS, END, reply_to=posted)
    await _telegram(made, "sendMessage", chat_id=VIP, text=OPENING)

    alone = transcript.person(made.discord, MAYA_D, "a new member")
    assert alone.startswith("── Maya on Discord (a new member) ──")
    for words in ("Maya        /help", "(only for their eyes)", "Help for you", "[More] [Site]", "[Choose one ▾]"):
        assert words in alone
    channel = transcript.channel(made.discord, SIGNALS)
    for words in ("── #signals on Discord ──", "[chart 100×60]", "↪ “▲ Long BTC/USDT · 1h · #7”", "Not advice"):
        assert words in channel
    assert "SignalStack ▲ Long BTC/USDT · 1h · #7" in transcript.place(made.telegram, VIP)
