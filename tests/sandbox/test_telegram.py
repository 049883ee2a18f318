"""The Telegram stand-in as the real python-telegram-bot sees it."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import telegram as ptb
from PIL import Image
from telegram import error
from telegram.request import HTTPXRequest

from tests.sandbox import history, server, telegram, telegram_table

ANN, BOB, GROUP = 7001, 7002, -1001
SPEC = Path(__file__).parents[2] / "../shared/specs/telegram_botapi_10.1.min.json.gz"


def bot_at(url: str, read_timeout: float = 5.0) -> ptb.Bot:
    def request() -> HTTPXRequest:
        return HTTPXRequest(read_timeout=read_timeout, httpx_kwargs={"trust_env": False})

    return ptb.Bot(
        telegram.TOKEN,
        base_url=f"{url}/bot",
        base_file_url=f"{url}/file/bot",
        request=request(),
        get_updates_request=request(),
    )


def picture(width: int = 400, height: int = 300) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def world() -> telegram.Telegram:
    world = telegram.Telegram(history.History(), limits=telegram.Limits.off())
    world.person(ANN, "Ann", "ann_trades", started=True)
    world.person(BOB, "Bob")
    world.group(GROUP, "Signals", members=[ANN])
    return world


@pytest.fixture
async def url(world: telegram.Telegram) -> AsyncIterator[str]:
    async with server.serving(world.app) as url:
        yield url


@pytest.fixture
async def bot(url: str) -> AsyncIterator[ptb.Bot]:
    async with bot_at(url) as bot:
        yield bot


def test_required_fields_agree_with_the_published_description() -> None:
    assert all(isinstance(fields, tuple) for fields in telegram_table.REQUIRED.values())
    if not SPEC.exists():
        print("the published Bot API description is not on this machine; only our own table was looked at")
        return
    methods = orjson.loads(gzip.decompress(SPEC.read_bytes()))["methods"]
    published = {
        name: tuple(field["name"] for field in methods[name].get("fields", []) if field["required"])
        for name in telegram_table.REQUIRED
    }
    assert published == telegram_table.REQUIRED


def test_every_method_of_the_table_is_answered(world: telegram.Telegram) -> None:
    assert {name for name, _ in world._methods.values()} == set(telegram_table.REQUIRED)


async def test_html_comes_back_as_text_with_entities(world: telegram.Telegram, bot: ptb.Bot) -> None:
    rocket = "\U0001f680"
    sent = await bot.send_message(ANN, f"{rocket} <b>BTC/USDT</b> long &amp; <code>1 &lt; 2</code>", parse_mode="HTML")
    assert (sent.text, sent.chat.id, sent.from_user and sent.from_user.id) == (
        f"{rocket} BTC/USDT long & 1 < 2",
        ANN,
        bot.id,
    )
    assert [(entity.type, sent.parse_entity(entity)) for entity in sent.entities] == [
        ("bold", "BTC/USDT"),
        ("code", "1 < 2"),
    ]
    [event] = world.history.of("telegram_message")
    fields = {key: event[key] for key in ("chat_id", "message_id", "text", "has_photo", "reply_to", "buttons")}
    assert fields == {
        "chat_id": ANN,
        "message_id": sent.message_id,
        "text": sent.text,
        "has_photo": False,
        "reply_to": None,
        "buttons": [],
    }
    assert event["user_agent"].startswith("python-telegram-bot")


async def test_a_picture_is_uploaded_once_and_sent_again_by_file_id(world: telegram.Telegram, bot: ptb.Bot) -> None:
    content = picture()
    first = await bot.send_photo(ANN, content, caption="<i>chart</i>", parse_mode="HTML")
    again = await bot.send_photo(GROUP, first.photo[-1].file_id, reply_to_message_id=None)
    assert (first.caption, first.photo[-1].width, first.photo[-1].height) == ("chart", 400, 300)
    assert again.photo[-1].file_id == first.photo[-1].file_id == world.chat(GROUP)[0].photo
    assert world.photo(first.photo[-1].file_id) == content
    file = await bot.get_file(first.photo[-1].file_id)
    assert bytes(await file.download_as_bytearray()) == content
    with pytest.raises(error.BadRequest, match=r"(?i)wrong file identifier/HTTP URL specified"):
        await bot.send_photo(ANN, "AgACwrong")
    with pytest.raises(error.BadRequest, match=r"(?i)IMAGE_PROCESS_FAILED"):
        await bot.send_photo(ANN, b"no picture at all")
    with pytest.raises(error.BadRequest, match="too big for a photo"):
        await bot.send_photo(ANN, content + bytes(10 * 1024 * 1024))


async def test_t18_a_pressed_button_reaches_the_bot_and_is_answered_once(
    world: telegram.Telegram, bot: ptb.Bot
) -> None:
    keyboard = ptb.InlineKeyboardMarkup(
        [
            [ptb.InlineKeyboardButton("Fee", callback_data="fee")],
            [ptb.InlineKeyboardButton("Pay", url="http://127.0.0.1:8080/checkout/x")],
        ]
    )
    sent = await bot.send_message(ANN, "Choose", reply_markup=keyboard)
    assert world.chat(ANN)[0].button_texts == ["Fee", "Pay"]
    query_id = await world.press(BOB, ANN, sent.message_id, "fee")
    [update] = await bot.get_updates()
    query = update.callback_query
    assert query
    assert (query.id, query.data, query.from_user.id) == (query_id, "fee", BOB)
    assert query.message
    assert query.message.message_id == sent.message_id
    assert await bot.answer_callback_query(query_id, "done")
    assert world.history.of("telegram_callback_answered")[0]["text"] == "done"
    with pytest.raises(error.BadRequest, match=r"(?i)query is too old and response timeout expired"):
        await bot.answer_callback_query(query_id)
    world.query_lifetime = -1.0
    with pytest.raises(error.BadRequest, match=r"(?i)query is too old"):
        await bot.answer_callback_query(await world.press(ANN, ANN, sent.message_id, "fee"))


async def test_edits_and_deletions_change_what_lies_in_the_chat(world: telegram.Telegram, bot: ptb.Bot) -> None:
    keyboard = ptb.InlineKeyboardMarkup([[ptb.InlineKeyboardButton("Mute", callback_data="mute")]])
    sent = await bot.send_message(ANN, "one", reply_markup=keyboard)
    edited = await bot.edit_message_text("<b>two</b>", ANN, sent.message_id, parse_mode="HTML")
    assert isinstance(edited, ptb.Message)
    assert (edited.text, edited.edit_date is not None, world.chat(ANN)[0].buttons) == ("two", True, [])
    with pytest.raises(error.BadRequest, match=r"(?i)message is not modified: specified new message content"):
        await bot.edit_message_text("<b>two</b>", ANN, sent.message_id, parse_mode="HTML")
    with pytest.raises(error.BadRequest, match=r"(?i)there is no caption in the message to edit"):
        await bot.edit_message_caption(ANN, sent.message_id, caption="x")
    await bot.edit_message_media(ptb.InputMediaPhoto(picture(), caption="three"), ANN, sent.message_id)
    await bot.edit_message_caption(ANN, sent.message_id, caption="four")
    await bot.edit_message_reply_markup(ANN, sent.message_id, reply_markup=keyboard)
    [message] = world.chat(ANN)
    assert (message.text, message.button_texts, message.photo is not None) == ("four", ["Mute"], True)
    assert await bot.delete_message(ANN, sent.message_id)
    assert message.deleted
    assert len(world.history.of("telegram_edit")) == 4
    assert world.history.of("telegram_delete", chat_id=ANN, message_id=sent.message_id)
    with pytest.raises(error.BadRequest, match=r"(?i)message to delete not found"):
        await bot.delete_message(ANN, sent.message_id)
    with pytest.raises(error.BadRequest, match=r"(?i)message to edit not found"):
        await bot.edit_message_text("late", ANN, sent.message_id)


async def test_replies_need_their_message_unless_told_otherwise(world: telegram.Telegram, bot: ptb.Bot) -> None:
    opening = await bot.send_message(ANN, "opening", protect_content=True, disable_notification=True)
    update = await bot.send_message(ANN, "target", reply_to_message_id=opening.message_id)
    assert update.reply_to_message
    assert update.reply_to_message.text == "opening"
    assert opening.has_protected_content
    assert world.chat(ANN)[0].options == {"protect_content": True, "disable_notification": True}
    with pytest.raises(error.BadRequest, match=r"(?i)message to be replied not found"):
        await bot.send_message(ANN, "lost", reply_parameters=ptb.ReplyParameters(999))
    lenient = ptb.ReplyParameters(999, allow_sending_without_reply=True)
    assert (await bot.send_message(ANN, "kept", reply_parameters=lenient)).reply_to_message is None


async def test_menus_are_kept_by_scope_and_language(world: telegram.Telegram, bot: ptb.Bot) -> None:
    private, chat = ptb.BotCommandScopeAllPrivateChats(), ptb.BotCommandScopeChat(ANN)
    await bot.set_my_commands([("start", "Begin")], scope=private, language_code="de")
    await bot.set_my_commands([("admin", "Rule")], scope=chat)
    assert [entry.command for entry in await bot.get_my_commands(private, "de")] == ["start"]
    assert [entry.command for entry in await bot.get_my_commands(chat)] == ["admin"]
    assert await bot.get_my_commands() == ()
    await bot.delete_my_commands(chat)
    assert await bot.get_my_commands(chat) == ()
    await bot.set_my_description("Signals")
    await bot.set_my_short_description("Signals, short")
    await bot.set_chat_menu_button(menu_button=ptb.MenuButtonCommands())
    assert (world.profile.descriptions, world.profile.menu_buttons) == ({"": "Signals"}, {None: {"type": "commands"}})
    with pytest.raises(error.BadRequest, match=r"(?i)BOT_COMMAND_INVALID"):
        await bot.set_my_commands([("Not-Valid", "x")])


async def test_chats_and_members_are_described(world: telegram.Telegram, bot: ptb.Bot) -> None:
    assert (await bot.get_chat(ANN)).first_name == "Ann"
    assert (await bot.get_chat(GROUP)).title == "Signals"
    assert (await bot.get_chat_member(GROUP, ANN)).status == "member"
    assert (await bot.get_chat_member(GROUP, BOB)).status == "left"
    [admin] = await bot.get_chat_administrators(GROUP)
    assert isinstance(admin, ptb.ChatMemberAdministrator)
    assert admin.user.id == bot.id
    assert admin.can_restrict_members
    assert await bot.send_chat_action(GROUP, "typing")
    assert await bot.leave_chat(GROUP)
    with pytest.raises(error.Forbidden, match="bot is not a member of the supergroup chat"):
        await bot.send_message(GROUP, "hello?")
    with pytest.raises(error.BadRequest, match=r"(?i)chat not found"):
        await bot.get_chat(4711)


async def test_t05_who_blocked_or_never_started_the_bot_is_forbidden(world: telegram.Telegram, bot: ptb.Bot) -> None:
    with pytest.raises(error.Forbidden, match="bot can't initiate conversation with a user"):
        await bot.send_message(BOB, "hello")
    await world.start(BOB, "abc-123")
    assert (await bot.send_message(BOB, "hello")).text == "hello"
    world.block(BOB)
    with pytest.raises(error.Forbidden, match="bot was blocked by the user"):
        await bot.send_message(BOB, "hello")
    await world.start(BOB)
    first, blocked, unblocked, again = await bot.get_updates()
    assert first.message
    assert first.message.text == "/start abc-123"
    assert [entity.type for entity in first.message.entities] == ["bot_command"]
    assert blocked.my_chat_member
    assert blocked.my_chat_member.new_chat_member.status == "kicked"
    assert unblocked.my_chat_member
    assert unblocked.my_chat_member.new_chat_member.status == "member"
    assert again.message
    assert again.message.text == "/start"
    with pytest.raises(ValueError, match="payload"):
        await world.start(BOB, "x" * 65)


async def test_t06_a_group_that_became_a_supergroup_leads_to_its_new_id(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.group(-55, "Old", "group", members=[ANN])
    new = world.migrate(-55)
    with pytest.raises(error.ChatMigrated) as caught:
        await bot.send_message(-55, "signal")
    assert caught.value.new_chat_id == new
    assert (await bot.send_message(new, "signal")).chat.type == "supergroup"
    old_notice, new_notice = await bot.get_updates()
    assert old_notice.message
    assert old_notice.message.migrate_to_chat_id == new
    assert new_notice.message
    assert new_notice.message.migrate_from_chat_id == -55


async def test_t19_a_join_request_is_decided_by_the_bot(world: telegram.Telegram, bot: ptb.Bot) -> None:
    with pytest.raises(error.BadRequest, match=r"(?i)member limit can't be specified"):
        await bot.create_chat_invite_link(GROUP, member_limit=1, creates_join_request=True)
    link = await bot.create_chat_invite_link(GROUP, creates_join_request=True, name="members")
    assert await world.knock(BOB, link.invite_link) == "asked"
    [update] = await bot.get_updates()
    assert update.chat_join_request
    assert update.chat_join_request.user_chat_id == BOB
    assert (await bot.send_message(BOB, "welcome")).text == "welcome"
    await bot.get_updates(offset=update.update_id + 1, allowed_updates=["chat_member"])
    assert await bot.approve_chat_join_request(GROUP, BOB)
    [change] = await bot.get_updates()
    assert change.chat_member
    assert (change.chat_member.from_user.id, change.chat_member.via_join_request) == (bot.id, True)
    assert (await bot.get_chat_member(GROUP, BOB)).status == "member"
    assert await bot.get_chat_member_count(GROUP) == 3
    with pytest.raises(error.BadRequest, match=r"(?i)USER_ALREADY_PARTICIPANT"):
        await bot.approve_chat_join_request(GROUP, BOB)


async def test_t20_a_ban_keeps_out_until_it_is_lifted(world: telegram.Telegram, bot: ptb.Bot) -> None:
    link = (await bot.create_chat_invite_link(GROUP)).invite_link
    assert await bot.ban_chat_member(GROUP, ANN)
    assert await world.knock(ANN, link) == "banned"
    assert await bot.unban_chat_member(GROUP, ANN, only_if_banned=True)
    assert await world.knock(ANN, link) == "joined"
    world.set_bot(GROUP, "administrator", rights={"can_invite_users"})
    with pytest.raises(error.BadRequest, match=r"(?i)not enough rights to restrict/unrestrict chat member"):
        await bot.ban_chat_member(GROUP, ANN)


async def test_the_same_world_is_served_again_after_it_was_down(world: telegram.Telegram) -> None:
    for _ in range(2):
        async with server.serving(world.app) as url, bot_at(url) as bot:
            await bot.send_message(ANN, "up")
    assert [message.text for message in world.chat(ANN)] == ["up", "up"]


async def test_whoever_watches_a_chat_sees_each_change(world: telegram.Telegram, bot: ptb.Bot) -> None:
    watching = asyncio.create_task(world.watch(ANN))
    await bot.send_message(ANN, "news")
    version = await asyncio.wait_for(watching, 2)
    assert (version, await world.watch(ANN, version - 1)) == (1, 1)


async def test_wrong_token_and_unknown_method_are_told_apart(url: str, bot: ptb.Bot) -> None:
    with pytest.raises(error.EndPointNotFound):
        await bot.do_api_request("sendTelepathy")
    request = HTTPXRequest(httpx_kwargs={"trust_env": False})
    async with request:
        stranger = ptb.Bot("100001:other", f"{url}/bot", request=request)
        with pytest.raises(error.InvalidToken, match="Unauthorized"):
            await stranger.send_message(ANN, "x")
