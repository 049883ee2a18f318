"""Starting, and what people do taking effect exactly once."""

import asyncio
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from bot import commands, messages, platforms
from bot.platforms.telegram import platform
from core import catalogue, db, errors, inbox, members, models
from tests import conftest
from tests.bot.platforms.telegram.conftest import ANN, BOB, GROUP, BotMaker, claimed, held
from tests.sandbox import server, telegram

Kind = telegram.Kind


async def kept(bot: platform.Telegram, update: Any, number: str = "") -> inbox.Item:
    """The update lies in the inbox and is claimed."""
    body = update if isinstance(update, bytes) else orjson.dumps(update)
    name = number or str(update["update_id"])
    async with held(bot).db.transaction() as session:
        await inbox.put(session, "telegram", name, "message", body, now=held(bot).clock())
    (item,) = await claimed(bot)
    return item


async def waiting(bot: platform.Telegram) -> list[tuple[str, str, messages.Message]]:
    """What waits in the outbox: key, chat, message."""
    async with held(bot).db.reading() as session:
        rows = await session.scalars(select(models.Delivery).order_by(models.Delivery.id))
        return [(str(r.key), r.address, messages.Message.from_dict((r.payload or {})["message"])) for r in rows]


async def state(bot: platform.Telegram, item: inbox.Item) -> str:
    async with held(bot).db.reading() as session:
        return (await session.get_one(models.Inbox, item.id)).state


async def identity(bot: platform.Telegram, person: int = ANN) -> models.Identity | None:
    async with held(bot).db.reading() as session:
        return await members.find(session, "telegram", str(person))


async def test_starting_sets_menus_by_scope_and_tells_the_name(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    menus = {scope: [row["command"] for row in rows] for (scope, *_), rows in flat(world).items()}

    assert bot.username == "signalstack_demo_bot"
    assert menus["all_private_chats"] == [row.name for row in commands.menu(group=False, operator=False)]
    assert menus["all_group_chats"] == [row.name for row in commands.menu(group=True, operator=False)]
    assert "chat" not in menus
    assert menus["default"] == menus["all_private_chats"]
    assert "Not financial advice" in world.profile.short_descriptions[""]
    async with held(bot).db.reading() as session:
        assert (await session.get_one(models.Heartbeat, "telegram.bot")).note == "@signalstack_demo_bot"
    assert bot.group(str(GROUP))
    assert not bot.group(str(ANN))


def menu_of(world: telegram.Telegram, person: int) -> list[str]:
    """What the person's own chat shows, empty when it has no menu of its own."""
    rows = world.profile.commands.get((orjson.dumps({"chat_id": person, "type": "chat"}).decode(), ""), [])
    return [row["command"] for row in rows]


async def test_x05_operators_commands_are_on_their_own_menus_only(world: telegram.Telegram, make_bot: BotMaker) -> None:
    new = 99
    bot = await make_bot(admins=f"telegram:{ANN},telegram:{new},discord:{BOB}")
    every = [row.name for row in commands.menu(group=False, operator=True)]
    theirs = {row.name for row in commands.COMMANDS if row.operator}
    assert theirs
    assert menu_of(world, ANN) == every
    assert menu_of(world, BOB) == []
    for (scope, *_), rows in flat(world).items():
        assert scope == "chat" or not theirs & {row["command"] for row in rows}

    world.person(new, "Olga")  # an operator whom the bot has not met before
    await bot.apply(await kept(bot, await world.start(new)))
    assert menu_of(world, new) == every


def flat(world: telegram.Telegram) -> dict[tuple[str, ...], list[dict[str, str]]]:
    return {
        (orjson.loads(scope)["type"] if scope.startswith("{") else scope.split(":")[0], language): rows
        for (scope, language), rows in world.profile.commands.items()
    }


async def test_a_menu_that_cannot_be_set_does_not_stop_the_start(world: telegram.Telegram, make_bot: BotMaker) -> None:
    world.faults.add(telegram.Fault(Kind.REFUSE, "setMyCommands", code=500))

    assert (await make_bot()).username


async def test_t21_a_network_that_is_down_at_the_start_is_waited_for(
    world: telegram.Telegram, make_bot: BotMaker
) -> None:
    world.faults.add(telegram.Fault(Kind.DROP, "getMe", times=4))

    assert (await make_bot()).username == "signalstack_demo_bot"


async def test_t21_a_network_that_stays_down_ends_in_one_readable_line(make_bot: BotMaker) -> None:
    bot = await make_bot(started=False, telegram_api_url="http://127.0.0.1:1")

    with pytest.raises(errors.UnreachableError, match=r"^Telegram does not answer at http://127.0.0.1:1") as line:
        await bot.start()
    assert "\n" not in str(line.value)


@pytest.mark.parametrize("code", [401, 404])
async def test_x01_a_wrong_token_is_a_matter_of_configuration(
    world: telegram.Telegram, make_bot: BotMaker, code: int
) -> None:
    world.faults.add(telegram.Fault(Kind.REFUSE, "getMe", code=code))
    bot = await make_bot(started=False)

    with pytest.raises(errors.ConfigError, match="TELEGRAM_BOT_TOKEN is refused") as caught:
        await bot.start()
    assert telegram.TOKEN not in str(caught.value)


async def test_a_question_is_answered_in_the_same_transaction(world: telegram.Telegram, bot: platform.Telegram) -> None:
    update = await world.start(ANN, "plans")
    item = await kept(bot, update)

    await bot.apply(item)

    ((key, address, message),) = await waiting(bot)
    assert (key, address) == (f"telegram:{update['update_id']}:0", str(ANN))
    assert message.plain.startswith("Plans")
    assert await state(bot, item) == "done"
    assert await held(bot).bell.wait("outbox:telegram", 0.1)
    known = await identity(bot)
    assert known is not None
    assert (known.name, known.username, known.address) == ("Ann", "ann", str(ANN))


async def test_t11_an_update_that_is_worked_on_twice_is_answered_once(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    item = await kept(bot, await world.start(ANN))

    await asyncio.gather(bot.apply(item), bot.apply(item))

    assert len(await waiting(bot)) == 1


async def test_t16_a_long_answer_waits_in_parts_with_fixed_keys(world: telegram.Telegram, make_bot: BotMaker) -> None:
    service = catalogue.Service(terms="\n".join(["word " * 10] * 58), privacy="\n".join(["😀" * 49] * 59))
    book = catalogue.Catalogue(service=service, plans=(catalogue.Plan(key="gold", name="Gold"),))
    bot = await make_bot(book=book)
    update = await world.say(ANN, "/privacy")

    await bot.apply(await kept(bot, update))

    parts = await waiting(bot)
    assert [key for key, _, _ in parts] == [f"telegram:{update['update_id']}:{n}" for n in range(2)]
    for _, address, part in parts:
        assert messages.units(part.plain) <= 4096
        await bot.send(platforms.Parcel(address, part))
    assert sum(m.text.count("😀") for m in world.chat(ANN) if m.from_bot) == 59 * 49


async def test_x06_in_a_group_the_answer_goes_home(world: telegram.Telegram, bot: platform.Telegram) -> None:
    await bot.apply(await kept(bot, await world.start(ANN)))
    await bot.apply(await kept(bot, await world.say(ANN, "/status@signalstack_demo_bot", chat_id=GROUP)))

    _, (_, home, private), (_, place, public) = await waiting(bot)
    assert (home, place) == (str(ANN), str(GROUP))
    assert "no subscription" in private.plain
    assert public.plain == "I've sent it to you privately."


async def test_t18_a_press_is_acknowledged_first_and_answered_once(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    await bot.send(platforms.Parcel(str(ANN), messages.answers.hint()))
    (shown,) = world.chat(ANN)
    item = await kept(bot, await pressed(world, ANN, shown.id, "/latest"))

    await bot.apply(item)
    await bot.apply(item)

    assert len(world.history.of("telegram_callback_answered")) == 1
    assert [message.plain.splitlines()[0] for _, _, message in await waiting(bot)] == ["Latest results"]


async def pressed(world: telegram.Telegram, user: int, message: int, data: str, chat: int = ANN) -> Any:
    await world.press(user, chat, message, data)
    return world.updates.pending[-1]


async def test_t18_a_press_that_is_too_old_still_counts(world: telegram.Telegram, bot: platform.Telegram) -> None:
    await bot.send(platforms.Parcel(str(ANN), messages.answers.hint()))
    (shown,) = world.chat(ANN)
    world.query_lifetime = -1

    await bot.apply(await kept(bot, await pressed(world, ANN, shown.id, "/mute")))

    assert len(await waiting(bot)) == 1


async def test_t18_another_persons_press_is_answered_to_them(world: telegram.Telegram, bot: platform.Telegram) -> None:
    await bot.send(platforms.Parcel(str(ANN), messages.answers.hint()))
    (shown,) = world.chat(ANN)

    await bot.apply(await kept(bot, await pressed(world, BOB, shown.id, "/status")))

    ((_, address, _),) = await waiting(bot)
    assert address == str(BOB)
    assert await identity(bot, ANN) is None


async def test_t18_a_slow_acknowledgement_holds_nothing_up(
    world: telegram.Telegram, bot: platform.Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "_ACKNOWLEDGE", 0.05)
    world.faults.add(telegram.Fault(Kind.HANG, "answerCallbackQuery", seconds=1))
    await bot.send(platforms.Parcel(str(ANN), messages.answers.hint()))
    (shown,) = world.chat(ANN)

    async with asyncio.timeout(0.8):
        await bot.apply(await kept(bot, await pressed(world, ANN, shown.id, "/status")))

    assert len(await waiting(bot)) == 1


async def test_t05_blocking_and_coming_back_change_the_identity(
    world: telegram.Telegram, bot: platform.Telegram
) -> None:
    await bot.apply(await kept(bot, await world.start(ANN)))

    world.block(ANN)
    await bot.apply(await kept(bot, world.updates.pending[-1]))
    blocked = await identity(bot)
    world.unblock(ANN)
    await bot.apply(await kept(bot, world.updates.pending[-1]))
    back = await identity(bot)

    assert blocked is not None
    assert blocked.blocked_at is not None
    assert back is not None
    assert back.blocked_at is None


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"message": 5}', b'{"message": {"from": 1, "chat": 2, "text": "/x"}}'])
async def test_a_malformed_update_is_put_aside(bot: platform.Telegram, body: bytes) -> None:
    item = await kept(bot, body, "77")

    await bot.apply(item)

    assert await state(bot, item) == "done"
    assert await waiting(bot) == []


async def test_x05_edited_commands_are_not_heard(world: telegram.Telegram, bot: platform.Telegram) -> None:
    said = await world.say(ANN, "hello")
    update = await world.edit(ANN, ANN, said["message"]["message_id"], "/mute")

    await bot.apply(await kept(bot, {"update_id": 5, **update}))

    assert await waiting(bot) == []


def test_platforms_are_found_by_their_settings(sqlite_database: db.Database) -> None:
    off = conftest.make_settings(sqlite_database)
    on = conftest.make_settings(sqlite_database, telegram_bot_token=telegram.TOKEN)

    assert not platforms.any_enabled(off)
    assert platforms.any_enabled(on)


async def test_enabled_platforms_are_built(
    sqlite_database: db.Database, make_stack: conftest.StackMaker, world: telegram.Telegram
) -> None:
    async with server.serving(world.app) as base:
        conf = {"telegram_bot_token": telegram.TOKEN, "telegram_api_url": base}
        (found,) = platforms.enabled(await make_stack(sqlite_database, **conf))

    assert found.name == "telegram"
    assert platforms.enabled(await make_stack(sqlite_database)) == []
