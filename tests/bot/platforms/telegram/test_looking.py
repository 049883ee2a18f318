"""What is found when a place is looked at: what hinders us there, and who is inside."""

from collections.abc import Iterable

import pytest
from aiohttp import web
from sqlalchemy import select

from bot.platforms.telegram import hindrances, platform, updates
from core import errors, models
from tests.bot import stage as stages
from tests.bot.platforms.telegram import test_listening
from tests.bot.platforms.telegram.conftest import ANN, BOB, GROUP, BotMaker, held
from tests.bot.platforms.telegram.venue import CHAT, KEY, Venue
from tests.sandbox import server, telegram

Fault, Kind = telegram.Fault, telegram.Kind
CHANNEL, OPEN, HOST, SLY = -1_000_800, -1_000_801, 70, 66
MINIMAL = {"can_invite_users", "can_restrict_members"}


@pytest.fixture
def world(world: telegram.Telegram) -> telegram.Telegram:
    """As for every test here, with a host of the group, a stranger, and a channel."""
    world.person(HOST, "Host")
    world.person(SLY, "Sly")
    world.chats[GROUP].members[HOST] = "creator"
    world.group(CHANNEL, "News", "channel")
    world.group(OPEN, "Open news", "channel", username="news_for_all")
    return world


def place(space: int = GROUP) -> models.Place:
    return models.Place(key="vip", platform="telegram", space=str(space), channel=str(space), name="VIP")


@pytest.mark.parametrize("chat", [GROUP, CHANNEL])
async def test_t14_a_place_in_which_we_may_do_everything_has_nothing_against_us(
    world: telegram.Telegram, bot: platform.Telegram, chat: int
) -> None:
    world.set_bot(chat, "administrator", rights=MINIMAL | ({"can_post_messages"} if chat == CHANNEL else set()))

    assert await bot.inspect(place(chat)) == []


@pytest.mark.parametrize(
    ("chat", "rights", "missing"),
    [
        (GROUP, {"can_invite_users"}, [hindrances.BAN]),
        (GROUP, {"can_restrict_members"}, [hindrances.INVITE]),
        (GROUP, set(), [hindrances.INVITE, hindrances.BAN]),
        (CHANNEL, MINIMAL, [hindrances.POST]),
    ],
)
async def test_t14_each_missing_right_is_named(
    world: telegram.Telegram, bot: platform.Telegram, chat: int, rights: Iterable[str], missing: list[str]
) -> None:
    world.set_bot(chat, "administrator", rights=rights)

    assert await bot.inspect(place(chat)) == [hindrances.lacking(missing)]


@pytest.mark.parametrize(
    ("status", "found"),
    [("member", hindrances.PLAIN), ("left", hindrances.ABSENT), ("kicked", hindrances.ABSENT)],
)
async def test_t14_a_bot_that_is_no_administrator_says_so(
    world: telegram.Telegram, bot: platform.Telegram, status: str, found: str
) -> None:
    world.set_bot(GROUP, status)

    assert await bot.inspect(place()) == [found]


async def test_x06_a_public_chat_is_no_gated_place(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.group(-1_000_900, "Open", "channel", username="open_news")

    [found] = await bot.inspect(place(-1_000_900))

    assert "public (@open_news)" in found
    assert "make it private" in found


async def test_a_chat_that_is_not_there_is_named(bot: platform.Telegram) -> None:
    assert await bot.inspect(place(-4711)) == [hindrances.unknown("-4711")]


@pytest.mark.parametrize(
    ("chat", "status", "rights", "found"),
    [
        (CHANNEL, "administrator", {"can_post_messages"}, []),
        (CHANNEL, "administrator", MINIMAL, [hindrances.NO_POSTS]),
        (CHANNEL, "left", None, [hindrances.unseen(str(CHANNEL))]),
        (CHANNEL, "kicked", None, [hindrances.unseen(str(CHANNEL))]),
        (GROUP, "administrator", set(), []),
        (GROUP, "member", None, []),
        (GROUP, "left", None, [hindrances.unseen(str(GROUP))]),
        (OPEN, "member", None, [hindrances.NO_POSTS]),
    ],
)
async def test_what_hinders_posts_in_a_public_channel_is_said(
    world: telegram.Telegram, bot: platform.Telegram, chat: int, status: str, rights: set[str] | None, found: list[str]
) -> None:
    world.set_bot(chat, status, rights)
    assert await bot.hindered(str(chat)) == found


async def test_a_channel_that_is_not_there_or_has_moved_is_named(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    assert await bot.hindered("-4711") == [hindrances.unseen("-4711")]
    world.group(-4712, "Small", "group")
    new = world.migrate(-4712)
    assert await bot.hindered("-4712") == [hindrances.moved(str(new))]


async def test_every_sentence_fits_into_an_alarm() -> None:
    three = hindrances.lacking([hindrances.INVITE, hindrances.BAN, hindrances.POST])
    public = hindrances.public({"username": "x" * 32})
    for sentence in (three, public, hindrances.ABSENT, hindrances.PLAIN, hindrances.unknown("-1001234567890")):
        assert len(sentence) <= 280
        assert sentence.endswith(".")


OUTAGES = [
    Fault(Kind.REFUSE, code=500),
    Fault(Kind.REFUSE, code=401),
    Fault(Kind.DROP),
    Fault(Kind.STORE_THEN_HTML),
    Fault(Kind.RETRY_AFTER),
]


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: f"{fault.kind}-{fault.code}")
@pytest.mark.parametrize("method", ["getChat", "getChatMember", "getChatAdministrators", "getChatMemberCount"])
async def test_an_outage_is_no_finding(
    world: telegram.Telegram, bot: platform.Telegram, method: str, fault: telegram.Fault
) -> None:
    fault.method, fault.hits = method, 0
    world.faults.add(fault)
    inspecting = method in {"getChat", "getChatMember"}

    with pytest.raises(errors.UnreachableError):
        await (bot.inspect(place()) if inspecting else bot.roster(place(), [str(ANN)]))
    if inspecting:
        fault.hits = 0
        world.faults.clear()
        world.faults.add(fault)
        with pytest.raises(errors.UnreachableError):
            await bot.hindered(str(GROUP))
    world.faults.clear()


@pytest.mark.parametrize("body", [b'{"ok":true,"result":{}}', b'{"ok":true,"result":[5]}', b'{"ok":true,"result":7}'])
async def test_an_answer_of_another_shape_is_no_finding(make_bot: BotMaker, body: bytes) -> None:
    async def odd(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/{tail:.*}", odd)
    async with server.serving(app) as base:
        bot = await make_bot(started=False, telegram_api_url=base)
        await bot._bot.open()
        with pytest.raises(errors.UnreachableError):
            await bot.inspect(place())
        with pytest.raises(errors.UnreachableError):
            await bot.roster(place(), [str(ANN)])


async def test_t19_the_roster_says_who_of_the_known_is_inside(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.set_member(GROUP, BOB, "restricted")
    before = bot._stack.clock()

    found = await bot.roster(place(), [str(ANN), str(BOB), str(SLY), "424242", str(HOST), str(ANN)])

    assert found.inside == {str(HOST): True, str(ANN): False, str(BOB): False}
    assert found.outside == {str(SLY), "424242"}
    assert not found.whole
    assert found.reachable is None
    assert found.count == 3  # of the host, Ann and Bob; our own account is not counted
    assert found.requests == 2 + 4
    assert before <= found.at <= bot._stack.clock()


async def test_t07_a_flood_ends_the_roster_early_and_what_was_learnt_counts(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    crowd = list(range(1000, 1040))
    for user in crowd:
        world.person(user, f"N{user}")
        world.chats[GROUP].members[user] = "member"
    flood = world.faults.add(Fault(Kind.RETRY_AFTER, "getChatMember", skip=10, times=None, retry_after=30))

    found = await bot.roster(place(), [str(user) for user in crowd])

    assert set(found.inside) == {str(HOST), *(str(user) for user in crowd[:10])}
    assert found.outside == frozenset()
    assert flood.hits <= 4  # those that were on their way together


async def test_a_failure_about_one_person_is_an_outage(world: telegram.Telegram, bot: platform.Telegram) -> None:
    world.faults.add(Fault(Kind.DROP, "getChatMember"))

    with pytest.raises(errors.UnreachableError):
        await bot.roster(place(), [str(ANN), str(BOB)])


async def test_t06_a_chat_that_moved_is_looked_at_where_it_is(venue: Venue) -> None:
    venue.world.group(-55, "Old", "group", members=[7]).members[7] = "creator"
    venue.world.person(7, "Ann")
    async with venue.stage.held.db.transaction() as session:
        here = await session.get_one(models.Place, KEY)
        here.space = here.channel = "-55"
    new = venue.world.migrate(-55)

    assert await venue.stage.bot.inspect(await venue.place()) == []
    assert (await venue.place()).space == str(new)
    assert (await venue.stage.bot.roster(place(-55), [])).inside == {"7": True}


async def test_t06_a_chat_that_seems_to_move_for_ever_is_no_finding(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    for method in ("getChat", "getChatAdministrators"):
        world.faults.add(Fault(Kind.MIGRATE, method, times=2, migrate_to=CHANNEL))

    with pytest.raises(errors.UnreachableError):
        await bot.inspect(place())
    with pytest.raises(errors.UnreachableError):
        await bot.roster(place(), [])


# --- at the start, and when our rights change


async def test_t14_the_start_raises_an_alarm_for_each_place_that_is_not_ready(venue: Venue) -> None:
    venue.chat.bot_rights = {"can_invite_users"}

    await venue.stage.bot.start()
    alarms = await venue.stage.alarms()
    assert alarms[f"place:{KEY}"] == f"VIP room: {hindrances.lacking([hindrances.BAN])}"
    assert (await venue.place()).fault == hindrances.lacking([hindrances.BAN])

    venue.chat.bot_rights = set(MINIMAL)
    await venue.stage.bot.start()
    assert await venue.stage.alarms() == {}
    assert (await venue.place()).fault == ""


async def test_t14_an_outage_at_the_start_raises_and_clears_nothing(venue: Venue) -> None:
    venue.world.faults.add(Fault(Kind.REFUSE, "getChat", code=500))
    await venue.stage.bot.start()
    assert await venue.stage.alarms() == {}

    venue.chat.bot_rights = set()
    await venue.stage.bot.start()
    venue.world.faults.add(Fault(Kind.REFUSE, "getChat", code=500))
    await venue.stage.bot.start()
    assert f"place:{KEY}" in await venue.stage.alarms()


@pytest.mark.parametrize(("status", "found"), [("member", hindrances.PLAIN), ("kicked", hindrances.ABSENT)])
async def test_t14_rights_that_are_taken_and_given_back_are_heard(venue: Venue, status: str, found: str) -> None:
    venue.world.set_bot(CHAT, status)
    await venue.hear()
    assert (await venue.place()).fault == found
    assert f"place:{KEY}" in await venue.stage.alarms()

    venue.world.set_bot(CHAT, "administrator")
    await venue.hear()
    assert (await venue.place()).fault == ""
    assert await venue.stage.alarms() == {}
    assert await venue.stage.held.bell.wait("places:telegram", 0.1)


# --- what Telegram tells to those only who ask for it


@pytest.mark.parametrize("mode", ["polling", "webhook"])
async def test_t14_who_joins_leaves_and_asks_reaches_the_inbox(
    world: telegram.Telegram, make_bot: BotMaker, mode: str
) -> None:
    async with test_listening.public_site([]) as (base, posted):
        bot = await make_bot(telegram_mode=mode, public_url=base)
        async with test_listening.listening_with(bot):
            await stages.seen(lambda: set(updates.KINDS) <= set(world.updates._allowed or ()))
            link = await bot._bot.call("createChatInviteLink", {"chat_id": GROUP, "creates_join_request": True})
            world.set_member(GROUP, ANN, "left")
            await world.knock(ANN, link["invite_link"])
            world.set_bot(GROUP, "member")
            wanted = {"chat_member", "chat_join_request", "my_chat_member"}

            async def heard() -> bool:
                async with held(bot).db.reading() as session:
                    kept = set(await session.scalars(select(models.Inbox.kind)))
                return wanted <= kept.union(*(update for _, update in posted))

            await stages.until(heard)
    assert world.history.of("telegram_update_unwanted") == []


async def test_t14_a_webhook_that_others_set_without_joins_is_set_again(
    world: telegram.Telegram, make_bot: BotMaker
) -> None:
    async with test_listening.public_site([]) as (base, _):
        bot = await make_bot(telegram_mode="webhook", public_url=base)
        async with test_listening.listening_with(bot):
            await stages.seen(lambda: world.updates._webhook["url"])
            world.updates.allow(["message"])
            await stages.seen(lambda: set(updates.KINDS) <= set(world.updates._allowed or ()))
