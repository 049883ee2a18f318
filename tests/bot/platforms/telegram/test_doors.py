"""Every way in which one attempt at a door can end."""

from collections.abc import Iterable

import pytest
from aiohttp import web

from bot import platforms
from bot.platforms.telegram import doors, hindrances, platform
from core.delivery import outcomes
from tests.bot.platforms.telegram.conftest import ANN, BOB, GROUP, BotMaker
from tests.sandbox import server, telegram

Fault, Kind = telegram.Fault, telegram.Kind
SLY = 66
METHODS = {
    "admit": "approveChatJoinRequest",
    "decline": "declineChatJoinRequest",
    "remove": "banChatMember",
}


def act(what: str, user: int = ANN, space: int = GROUP) -> platforms.Act:
    return platforms.Act(act=what, place="vip", space=str(space), role="", user=str(user))


async def asking(world: telegram.Telegram, bot: platform.Telegram, user: int = SLY) -> None:
    """The person waits at the door."""
    world.person(user, "Sly")
    link = await bot._bot.call("createChatInviteLink", {"chat_id": GROUP, "creates_join_request": True})
    assert await world.knock(user, link["invite_link"]) == "asked"


async def test_what_is_done_already_is_done(world: telegram.Telegram, bot: platform.Telegram) -> None:
    await asking(world, bot)

    assert await bot.attempt(act("admit", SLY)) == outcomes.Sent("")
    assert await bot.attempt(act("admit", SLY)) == outcomes.Sent("")
    for _ in range(2):
        assert await bot.attempt(act("remove", SLY)) == outcomes.Sent("")
    assert world.chats[GROUP].members[SLY] == "left"
    assert await bot.attempt(act("decline", SLY)) == outcomes.Sent("")


async def test_a_request_that_is_gone_leads_nowhere(world: telegram.Telegram, bot: platform.Telegram) -> None:
    await asking(world, bot)
    world.take_back(GROUP, SLY)

    assert isinstance(await bot.attempt(act("admit", SLY)), outcomes.Blocked)
    assert await bot.attempt(act("decline", SLY)) == outcomes.Sent("")


async def test_a_request_that_is_gone_because_it_was_granted_is_done(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    gone = "Bad Request: HIDE_REQUESTER_MISSING"  # also said of somebody inside
    world.faults.add(Fault(Kind.REFUSE, METHODS["admit"], description=gone))

    assert await bot.attempt(act("admit", ANN)) == outcomes.Sent("")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (400, "Bad Request: USER_CHANNELS_TOO_MUCH"),
        (400, "Bad Request: USER_ID_INVALID"),
        (400, "Bad Request: user not found"),
        (403, "Forbidden: user is deactivated"),
    ],
)
async def test_who_cannot_be_let_in_is_nobodys_fault(
    world: telegram.Telegram, bot: platform.Telegram, code: int, words: str
) -> None:
    world.faults.add(Fault(Kind.REFUSE, METHODS["admit"], code=code, description=words))

    assert isinstance(await bot.attempt(act("admit")), outcomes.Blocked)


async def test_t20_a_decline_that_comes_too_late_puts_out(world: telegram.Telegram, bot: platform.Telegram) -> None:
    assert await bot.attempt(act("decline", ANN)) == outcomes.Sent("")
    assert world.chats[GROUP].members[ANN] == "left"


@pytest.mark.parametrize("words", ["user is an administrator of the chat", "can't remove chat owner"])
async def test_t20_who_was_raised_a_moment_ago_is_kept(
    world: telegram.Telegram, bot: platform.Telegram, words: str
) -> None:
    world.faults.add(Fault(Kind.REFUSE, METHODS["remove"], description=f"Bad Request: {words}"))

    assert isinstance(await bot.attempt(act("remove")), outcomes.Kept)


async def test_t20_a_bot_is_kept(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.person(SLY, "Helper").is_bot = True
    world.chats[GROUP].members[SLY] = "member"

    assert isinstance(await bot.attempt(act("remove", SLY)), outcomes.Kept)
    assert isinstance(await bot.attempt(act("remove", bot._bot.id)), outcomes.Kept)
    assert world.chats[GROUP].members[SLY] == "member"


async def test_t20_nobody_of_rank_is_even_tried(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.set_member(GROUP, ANN, "administrator")
    tried = world.faults.add(Fault(Kind.REFUSE, "banChatMember", code=500))

    assert isinstance(await bot.attempt(act("remove", ANN)), outcomes.Kept)
    assert tried.hits == 0


async def test_t20_a_ban_has_an_end_that_telegram_keeps_to(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.faults.add(Fault(Kind.REFUSE, "unbanChatMember", code=500))

    assert isinstance(await bot.attempt(act("remove")), outcomes.Ambiguous)

    until = world.chats[GROUP].bans[ANN]
    assert until is not None
    assert 60 < until - world.now() <= doors.BAN.total_seconds()


async def test_t20_somebody_whom_nobody_knows_is_outside(bot: platform.Telegram) -> None:
    assert await bot.attempt(act("remove", 999_999)) == outcomes.Sent("")


@pytest.mark.parametrize("what", ["decline", "remove"])
async def test_t20_somebody_who_was_deleted_a_moment_ago_is_outside(
    world: telegram.Telegram, bot: platform.Telegram, what: str
) -> None:
    world.faults.add(Fault(Kind.REFUSE, METHODS[what], description="Bad Request: USER_ID_INVALID"))

    assert await bot.attempt(act(what)) == outcomes.Sent("")


async def test_t20_a_restricted_member_is_inside(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.set_member(GROUP, BOB, "restricted")

    assert await bot.attempt(act("remove", BOB)) == outcomes.Sent("")
    assert world.chats[GROUP].members[BOB] == "left"


@pytest.mark.parametrize(
    ("what", "rights", "named"),
    [
        ("admit", {"can_restrict_members"}, hindrances.INVITE),
        ("decline", {"can_restrict_members"}, hindrances.INVITE),
        ("remove", {"can_invite_users"}, hindrances.BAN),
    ],
)
async def test_t20_a_missing_right_is_named(
    world: telegram.Telegram, bot: platform.Telegram, what: str, rights: Iterable[str], named: str
) -> None:
    await asking(world, bot)
    world.set_bot(GROUP, "administrator", rights=rights)

    outcome = await bot.attempt(act(what, ANN if what == "remove" else SLY))

    assert isinstance(outcome, outcomes.Barred)
    assert f"“{named}”" in outcome.reason


@pytest.mark.parametrize("what", sorted(METHODS))
@pytest.mark.parametrize("words", ["CHAT_ADMIN_REQUIRED", "not enough rights", "need administrator rights in the chat"])
async def test_t20_however_telegram_says_it(
    world: telegram.Telegram, bot: platform.Telegram, what: str, words: str
) -> None:
    world.faults.add(Fault(Kind.REFUSE, METHODS[what], description=f"Bad Request: {words}"))

    assert isinstance(await bot.attempt(act(what)), outcomes.Barred)


@pytest.mark.parametrize("status", ["left", "kicked"])
@pytest.mark.parametrize("what", sorted(METHODS))
async def test_t20_a_bot_that_was_put_out_says_how_to_get_it_back(
    world: telegram.Telegram, bot: platform.Telegram, what: str, status: str
) -> None:
    world.set_bot(GROUP, status)

    assert await bot.attempt(act(what)) == outcomes.Barred(hindrances.ABSENT)


async def test_t20_a_chat_that_nobody_finds_is_named(bot: platform.Telegram) -> None:
    outcome = await bot.attempt(act("remove", space=-4711))

    assert isinstance(outcome, outcomes.Barred)
    assert "-4711" in outcome.reason


@pytest.mark.parametrize("what", sorted(METHODS))
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (400, outcomes.Refused),
        (401, outcomes.Fatal),
        (404, outcomes.Fatal),
        (409, outcomes.NotSent),
        (500, outcomes.Ambiguous),
        (502, outcomes.Ambiguous),
    ],
)
async def test_other_errors_have_their_usual_outcome(
    world: telegram.Telegram, bot: platform.Telegram, what: str, code: int, outcome: type
) -> None:
    world.faults.add(Fault(Kind.REFUSE, METHODS[what], code=code))

    assert isinstance(await bot.attempt(act(what)), outcome)


@pytest.mark.parametrize("what", sorted(METHODS))
async def test_t07_a_flood_at_a_door_makes_everybody_wait(
    world: telegram.Telegram, bot: platform.Telegram, what: str
) -> None:
    world.faults.add(Fault(Kind.RETRY_AFTER, METHODS[what], retry_after=7))

    outcome = await bot.attempt(act(what))

    assert isinstance(outcome, outcomes.NotSent)
    assert (outcome.after, outcome.pause) == (7, "all")


@pytest.mark.parametrize("what", sorted(METHODS))
async def test_t02_without_a_connection_nothing_was_done(make_bot: BotMaker, what: str) -> None:
    bot = await make_bot(started=False, telegram_api_url="http://127.0.0.1:1")
    await bot._bot.open()

    assert isinstance(await bot.attempt(act(what)), outcomes.NotSent)


@pytest.mark.parametrize("body", [b'{"ok":true,"result":{}}', b'{"ok":true,"result":5}', b"[]", b"<html>"])
async def test_t03_an_answer_that_says_nothing_is_no_end(make_bot: BotMaker, body: bytes) -> None:
    async def odd(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/{tail:.*}", odd)
    async with server.serving(app) as base:
        bot = await make_bot(started=False, telegram_api_url=base)
        await bot._bot.open()
        assert isinstance(await bot.attempt(act("remove")), outcomes.Ambiguous)


async def test_what_only_another_platform_can_do_is_refused(bot: platform.Telegram) -> None:
    assert isinstance(await bot.attempt(act("give")), outcomes.Refused)
