"""Discord on the phone page: what its server shows of channels and answers, and what reaches a real bot."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from tests.sandbox import discord, history, phone, phone_visit, server, small_bot, telegram

MAYA, NOAH = 1, 2
MAYA_D, NOAH_D, OLGA_D = 11, 12, 13
GUILD, LOBBY, SIGNALS = 900, 901, 902
Json = dict[str, Any]


class Place(phone_visit.Visit):
    """A page over a Discord with a bot on it, and a visitor's HTTP client."""

    def __init__(self, world: discord.Discord, role: int, bot: small_bot.Bot, *visit: Any) -> None:
        super().__init__(*visit)
        self.world, self.role, self.bot = world, role, bot

    async def slash(self, words: str, channel: object = LOBBY, **options: Any) -> tuple[int, Any]:
        fields = {"user": str(MAYA_D), "words": words, "options": options, "channel": str(channel)}
        return await self.post("discord/slash", **fields)

    async def use(self, message: Json, part: str, **more: Any) -> tuple[int, Any]:
        return await self.post("discord/use", user=str(MAYA_D), message=message["id"], id=part, **more)


def _about(told: Json) -> bool:
    return "server" in told


def _message(**fields: Any) -> Callable[[Json], bool]:
    """Whether an event has a message with these values."""
    return lambda told: _about(told) and any(fields.items() <= row.items() for row in told["messages"])


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    account = history.History()
    chats, world = telegram.Telegram(account), discord.Discord(account, strict=False)
    for user, name in ((MAYA_D, "Maya"), (NOAH_D, "Noah"), (OLGA_D, "Olga")):
        world.user(user, name)
    for user, name in ((MAYA, "Maya"), (NOAH, "Noah")):
        chats.person(user, name, started=True)
    world.guild(GUILD, "Demo", owner=OLGA_D, members=(MAYA_D, NOAH_D))
    role = world.role(GUILD, "Members").id
    world.channel(GUILD, LOBBY, "lobby")
    world.channel(GUILD, SIGNALS, "signals", private_to=[role])
    seats = (phone.Seat(MAYA, "You", "new", MAYA_D), phone.Seat(NOAH, "Noah", "never pays"))
    page = phone.Phone(chats, seats, facts=dict, deeds={}, discord=world)
    async with (
        server.serving(world.app) as api,
        phone.serving(page) as url,
        aiohttp.ClientSession(trust_env=False) as http,
        small_bot.running(api) as bot,
    ):
        yield Place(world, role, bot, url, http)


async def test_a_visitor_sees_the_server_as_that_person_does(place: Place) -> None:
    async with place.news() as news:
        begun = await news.that(_about)

    assert (begun["server"], begun["of"], begun["name"], begun["person"]) == (str(MAYA_D), MAYA, "Demo", "Maya")
    assert begun["online"] is True
    assert begun["roles"] == []
    assert begun["channels"] == [{"id": str(LOBBY), "name": "lobby", "topic": "", "closed": False}]
    assert begun["messages"] == []


async def test_a_page_without_discord_has_none_of_it(place: Place) -> None:
    chats = telegram.Telegram(history.History())
    chats.person(MAYA, "Maya")
    seats = (phone.Seat(MAYA, "You", "new", MAYA_D),)
    async with (
        phone.serving(phone.Phone(chats, seats, facts=dict, deeds={})) as url,
        place.http.post(f"{url}discord/slash", json={}) as answer,
    ):
        assert answer.status in {404, 405}


async def test_commands_are_listed_with_their_groups_and_options(place: Place) -> None:
    async with place.news() as news:
        told = (await news.that(_about))["commands"]

    assert [row["words"] for row in told["server"]] == ["help", "silent", "slow", "signals latest"]
    latest = told["server"][-1]
    assert (latest["group"], latest["about"]) == ("Signals and how they ended", "the latest signals")
    [option] = latest["options"]
    assert (option["name"], option["required"], option["suggests"], option["choices"]) == ("pair", False, True, [])
    assert {row["words"] for row in told["dm"]} == {row["words"] for row in told["server"]}


async def test_a_role_opens_the_channel_with_what_lies_there_and_closes_it_again(place: Place) -> None:
    posted = await place.bot.post(SIGNALS, "▲ Long \\#7\nEntry **1**", picture=True)
    await place.bot.post(SIGNALS, "✓ Target hit", reply_to=posted)
    async with place.news() as news:
        await news.that(_about)
        place.world.add_role(GUILD, MAYA_D, place.role)
        opened = await news.that(_about)
        place.world.remove_role(GUILD, MAYA_D, place.role)
        closed = await news.that(_about)

    assert opened["roles"] == ["Members"]
    assert [(one["name"], one["closed"]) for one in opened["channels"]] == [("lobby", False), ("signals", True)]
    opening, end = opened["messages"]
    assert (opening["channel"], opening["id"], opening["only"]) == (str(SIGNALS), str(posted), False)
    assert (end["reply"], opening["author"]) == (str(posted), {"name": "SignalStack", "bot": True})
    [embed] = opening["embeds"]
    assert (embed["title"], embed["text"], embed["colour"]) == ("▲ Long \\#7", "Entry **1**", 0x2E9E5B)
    assert (embed["footer"], embed["fields"]) == ("Not advice", [{"name": "Pair", "value": "BTC", "inline": True}])
    assert [one["name"] for one in closed["channels"]] == ["lobby"]
    assert closed["messages"] == []
    async with place.http.get(place.url + embed["image"]["url"].removeprefix("/")) as answer:
        assert (answer.content_type, await answer.read()) == ("image/png", small_bot.image())


async def test_an_answer_is_shown_to_who_asked_and_says_what_was_asked(place: Place) -> None:
    async with place.news() as news:
        assert await place.slash("signals latest", pair="ETH/USDT") == (200, {"text": ""})
        told = await news.that(_message(text="Latest signals ETH/USDT"))
        await place.world.slash(NOAH_D, "help", channel_id=LOBBY)
        assert await place.slash("slow", "dm") == (200, {"text": ""})
        await news.that(_message(thinking=True, channel="dm"))
        last = await news.that(_message(text="At last", thinking=False))

    [answer] = told["messages"]
    assert (answer["only"], answer["channel"]) == (True, str(LOBBY))
    assert answer["command"] == {"who": "Maya", "words": "signals latest"}
    assert "name" not in told
    assert [row["text"] for row in last["messages"]] == ["At last"]


async def test_buttons_and_menus_work(place: Place) -> None:
    async with place.news() as news:
        await place.slash("help")
        [answer] = (await news.that(_message(text="**Help** for you")))["messages"]
        [[more, site], [menu]] = answer["rows"]
        assert (more["text"], more["style"], site["url"]) == ("More", 2, "https://example.com/")
        assert (menu["hint"], [one["value"] for one in menu["options"]]) == ("Choose one", list(small_bot.PAIRS))
        assert await place.use(answer, "pick", values=["BTC/USDT"]) == (200, {"text": ""})
        chosen = (await news.that(_message(text="You chose ['BTC/USDT']")))["messages"]
        assert await place.use(answer, "more") == (200, {"text": ""})
        changed = (await news.that(_message(text="There is more", rows=[])))["messages"]

    assert chosen[0]["command"] is None
    assert [row["id"] for row in changed] == [answer["id"]]
    assert (await place.use(answer, "more"))[0] == 409
    assert (await place.use({"id": "1"}, "more"))[0] == 410


async def test_suggestions_come_while_one_types(place: Place) -> None:
    fields = {"user": str(MAYA_D), "words": "signals latest", "option": "pair", "channel": str(LOBBY)}

    status, told = await place.post("discord/suggest", **fields, value="e")

    assert (status, [one["value"] for one in told["choices"]]) == (200, ["ETH/USDT"])
    assert (await place.post("discord/suggest", **(fields | {"option": "none"})))[0] == 409


async def test_a_bot_that_does_not_answer_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.discord_interactions.ACKNOWLEDGED_WITHIN", 0.2)

    assert await place.slash("silent") == (200, {"text": "The application did not respond"})


@pytest.mark.parametrize(
    ("words", "channel", "why"),
    [
        ("dance", LOBBY, "no command /dance"),
        ("help", SIGNALS, "You are not in that channel"),
        ("signals", LOBBY, "names a group"),
    ],
)
async def test_what_a_client_would_not_send_is_refused_in_words(
    place: Place, words: str, channel: int, why: str
) -> None:
    status, told = await place.slash(words, channel)

    assert status == 409
    assert why in told


async def test_only_the_seats_may_act_and_no_other_site_for_them(place: Place) -> None:
    for path in ("slash", "suggest", "use"):
        assert (await place.post(f"discord/{path}", user=str(NOAH_D), words="help", channel=str(LOBBY)))[0] == 400
        async with place.http.post(f"{place.url}discord/{path}", data={"user": MAYA_D}) as answer:
            assert answer.status == 415


async def test_only_files_of_shown_messages_are_served(place: Place) -> None:
    await place.bot.post(SIGNALS, "Secret", picture=True)
    [file] = place.world.messages(SIGNALS)[0].files.values()
    async with place.news() as news:
        await news.that(_about)

    async with place.http.get(f"{place.url}discord/file/{file.id}") as answer:
        assert answer.status == 404
