"""The doors of the Telegram stand-in as the real python-telegram-bot sees them."""

from datetime import UTC, datetime

import pytest
import telegram as ptb
from telegram import error

from tests.sandbox import telegram
from tests.sandbox.test_telegram import ANN, BOB, GROUP, bot, url, world

__all__ = ["bot", "url", "world"]  # fixtures

CHANNEL, HOST = -1002, 7003


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(world: telegram.Telegram) -> Clock:
    """The stand-in's wall clock, which stands still."""
    world.now = Clock()
    return world.now


async def asked(world: telegram.Telegram, bot: ptb.Bot, chat: int = GROUP) -> str:
    """Bob waits at the door; the link over which he asked."""
    link = await bot.create_chat_invite_link(chat, creates_join_request=True)
    assert await world.knock(BOB, link.invite_link) == "asked"
    return link.invite_link


async def test_a_link_can_be_renamed_until_it_is_revoked(world: telegram.Telegram, bot: ptb.Bot) -> None:
    link = await bot.create_chat_invite_link(GROUP, creates_join_request=True, name="member 7")
    again = await bot.edit_chat_invite_link(GROUP, link.invite_link, name="member 8", creates_join_request=True)
    assert (again.invite_link, again.name, again.creates_join_request) == (link.invite_link, "member 8", True)
    with pytest.raises(error.BadRequest, match=r"(?i)name is too long"):
        await bot.edit_chat_invite_link(GROUP, link, name="x" * 33)

    world.revoke(link.invite_link)

    assert await world.knock(BOB, link.invite_link) == "invalid"
    with pytest.raises(error.BadRequest, match=r"(?i)INVITE_HASH_EXPIRED"):
        await bot.edit_chat_invite_link(GROUP, link, name="member 8", creates_join_request=True)
    with pytest.raises(error.BadRequest, match=r"(?i)INVITE_HASH_EXPIRED"):
        await bot.edit_chat_invite_link(GROUP, "https://t.me/+nobody")


async def test_who_asks_can_be_written_to_for_five_minutes_and_until_the_request_ends(
    world: telegram.Telegram, bot: ptb.Bot, clock: Clock
) -> None:
    link = await asked(world, bot)
    clock.seconds += 299
    await bot.send_message(BOB, "why")
    clock.seconds += 2
    with pytest.raises(error.Forbidden, match="can't initiate"):
        await bot.send_message(BOB, "too late")

    await world.knock(BOB, link)
    await bot.decline_chat_join_request(GROUP, BOB)
    with pytest.raises(error.Forbidden, match="can't initiate"):
        await bot.send_message(BOB, "over")
    assert [row["user_id"] for row in world.history.of("telegram_join_request")] == [BOB, BOB]
    assert [row["user_id"] for row in world.history.of("telegram_join_declined")] == [BOB]


async def test_a_request_that_is_gone_cannot_be_decided(world: telegram.Telegram, bot: ptb.Bot) -> None:
    await asked(world, bot)
    world.take_back(GROUP, BOB)

    for decide in (bot.approve_chat_join_request, bot.decline_chat_join_request):
        with pytest.raises(error.BadRequest, match=r"(?i)HIDE_REQUESTER_MISSING"):
            await decide(GROUP, BOB)


@pytest.mark.parametrize(("seconds", "ends"), [(29, False), (60, True), (366 * 86_400 + 1, False)])
async def test_t20_a_ban_ends_by_itself_when_its_end_is_one_that_telegram_keeps_to(
    world: telegram.Telegram, bot: ptb.Bot, clock: Clock, seconds: int, ends: bool
) -> None:
    link = (await bot.create_chat_invite_link(GROUP, creates_join_request=True)).invite_link
    until = int(clock.seconds) + seconds
    await bot.ban_chat_member(GROUP, ANN, until_date=until)
    assert await world.knock(ANN, link) == "banned"
    banned = await bot.get_chat_member(GROUP, ANN)
    assert isinstance(banned, ptb.ChatMemberBanned)
    assert (banned.until_date == datetime.fromtimestamp(until, UTC)) is ends

    clock.seconds += seconds + 1

    assert (await bot.get_chat_member(GROUP, ANN)).status == ("left" if ends else "kicked")
    assert await world.knock(ANN, link) == ("asked" if ends else "banned")


async def test_t20_people_ban_for_ever_also_after_a_ban_of_the_bot(
    world: telegram.Telegram, bot: ptb.Bot, clock: Clock
) -> None:
    await bot.ban_chat_member(GROUP, ANN, until_date=int(clock.seconds) + 60)
    world.person(HOST, "Host")
    world.set_member(GROUP, ANN, "kicked", by=world.people[HOST].json())
    clock.seconds += 3600

    assert (await bot.get_chat_member(GROUP, ANN)).status == "kicked"


async def test_a_basic_group_keeps_no_list_of_the_banned(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.group(-55, "Small", "group", members=[ANN])
    link = (await bot.create_chat_invite_link(-55)).invite_link

    await bot.ban_chat_member(-55, ANN)

    assert (await bot.get_chat_member(-55, ANN)).status == "left"
    with pytest.raises(error.BadRequest, match="supergroup and channel chats only"):
        await bot.unban_chat_member(-55, ANN)
    assert await world.knock(ANN, link) == "joined"


async def test_t06_links_of_a_group_that_moved_lead_nowhere(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.group(-55, "Small", "group")
    link = (await bot.create_chat_invite_link(-55)).invite_link
    world.migrate(-55)

    assert await world.knock(BOB, link) == "invalid"


async def test_each_standing_is_one_that_the_library_reads(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.person(HOST, "Host")
    kinds = {
        "creator": ptb.ChatMemberOwner,
        "administrator": ptb.ChatMemberAdministrator,
        "member": ptb.ChatMemberMember,
        "restricted": ptb.ChatMemberRestricted,
        "left": ptb.ChatMemberLeft,
        "kicked": ptb.ChatMemberBanned,
    }
    await bot.get_updates(allowed_updates=["chat_member"])

    for status, kind in kinds.items():
        world.set_member(GROUP, HOST, status)
        assert isinstance(await bot.get_chat_member(GROUP, HOST), kind)

    heard = await bot.get_updates(allowed_updates=["chat_member"])
    assert [type(one.chat_member.new_chat_member) for one in heard if one.chat_member] == list(kinds.values())
    with pytest.raises(error.BadRequest, match=r"(?i)PARTICIPANT_ID_INVALID"):
        await bot.get_chat_member(GROUP, 999_999)


async def test_t20_owners_and_administrators_cannot_be_banned(world: telegram.Telegram, bot: ptb.Bot) -> None:
    for status, words in (("creator", "can't remove chat owner"), ("administrator", "user is an administrator")):
        world.set_member(GROUP, ANN, status)
        with pytest.raises(error.BadRequest, match=f"(?i){words}"):
            await bot.ban_chat_member(GROUP, ANN)


async def test_a_channel_takes_posts_with_the_right_to_post_only(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.group(CHANNEL, "News", "channel", members=[ANN])
    posted = await bot.send_message(CHANNEL, "signal")
    assert (posted.sender_chat and posted.sender_chat.id, posted.from_user) == (CHANNEL, None)
    assert world.history.of("telegram_message")[-1]["chat_id"] == CHANNEL

    world.set_bot(CHANNEL, "administrator", rights={"can_invite_users"})
    with pytest.raises(error.BadRequest, match=r"(?i)need administrator rights in the channel chat"):
        await bot.send_message(CHANNEL, "signal")
    world.set_bot(CHANNEL, "kicked")
    for ask in (bot.get_chat(CHANNEL), bot.get_chat_administrators(CHANNEL), bot.get_chat_member(CHANNEL, ANN)):
        with pytest.raises(error.Forbidden, match="bot was kicked from the channel chat"):
            await ask


async def test_a_public_chat_is_described_to_everybody_under_its_name(world: telegram.Telegram, bot: ptb.Bot) -> None:
    world.group(CHANNEL, "News", "channel", username="open_news")
    world.set_bot(CHANNEL, "left")

    found = await bot.get_chat("@open_news")

    assert (found.id, found.username, found.active_usernames) == (CHANNEL, "open_news", ("open_news",))
    assert (await bot.get_chat(GROUP)).active_usernames == ()


async def test_x05_who_speaks_as_the_group_or_passes_on_is_marked(world: telegram.Telegram, bot: ptb.Bot) -> None:
    await world.say(ANN, "/status", chat_id=GROUP, anonymous=True)
    await world.say(ANN, "/status", chat_id=GROUP, forwarded=True)

    hidden, passed = (update.message for update in await bot.get_updates())

    assert hidden
    assert hidden.from_user
    assert hidden.from_user.is_bot
    assert hidden.sender_chat
    assert hidden.sender_chat.id == GROUP
    assert passed
    assert isinstance(passed.forward_origin, ptb.MessageOriginHiddenUser)
