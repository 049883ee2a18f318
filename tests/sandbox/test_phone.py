"""The phone page's server: what a visitor sees of a chat, and what reaches the bot of what they do."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.sandbox import history, phone, phone_visit, server, telegram

MAYA, NOAH, HIDDEN, VIP = 1, 2, 3, -100
Json = dict[str, Any]


class Place(phone_visit.Visit):
    """A page over a Telegram with a bot in it, and a visitor's HTTP client."""

    def __init__(self, world: telegram.Telegram, api: str, url: str, http: aiohttp.ClientSession) -> None:
        super().__init__(url, http)
        self.world, self.api = world, api

    async def bot(self, method: str, **fields: Any) -> Any:
        async with self.http.post(f"{self.api}/bot{self.world.token}/{method}", json=fields) as answer:
            told = await answer.json()
            assert told["ok"], told
            return told["result"]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    world = telegram.Telegram(history.History())
    for user, name in ((MAYA, "Maya"), (NOAH, "Noah"), (HIDDEN, "Hilda")):
        world.person(user, name, started=user != NOAH)
    world.group(VIP, "VIP signals", "channel")

    async def greet() -> str:
        return "Good day."

    seats = (phone.Seat(MAYA, "You", "new"), phone.Seat(NOAH, "Noah", "never pays"))
    page = phone.Phone(world, seats, facts=lambda: {"clock": "noon"}, deeds={"greet": greet})
    async with (
        server.serving(world.app) as api,
        phone.serving(page) as url,
        aiohttp.ClientSession(trust_env=False) as http,
    ):
        yield Place(world, api, url, http)


async def test_the_page_allows_nothing_but_its_own_files(place: Place) -> None:
    names = [path.name for path in phone.PAGE.iterdir() if path.name != "phone.html"]
    assert len(names) > 8
    for path in ("", *names):
        async with place.http.get(place.url + path) as answer:
            assert answer.status == 200, path
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
            text = await answer.text()
            assert "innerHTML" not in text
            assert "style=" not in text
            assert "<script>" not in text
            assert "http-equiv" not in text
            assert not re.search(r"(src|href)=.?https?:", text)


@pytest.mark.parametrize("path", ["phone.html", "..%2Fphone.py", "photo/unknown"])
async def test_nothing_else_is_served(place: Place, path: str) -> None:
    async with place.http.get(place.url + path) as answer:
        assert answer.status == 404


async def test_a_visitor_sees_what_lies_in_the_chats_and_then_every_change(place: Place) -> None:
    first = await place.bot("sendMessage", chat_id=MAYA, text="<b>Hello</b> & /plans", parse_mode="HTML")
    async with place.news() as news:
        begun = await news.of(MAYA)
        assert begun["started"] is True
        assert begun["title"] == "You"
        shown = begun["messages"][0]
        assert (shown["text"], shown["mine"]) == ("Hello & /plans", False)
        assert [entity["type"] for entity in shown["entities"]] == ["bold", "bot_command"]

        await place.bot("editMessageText", chat_id=MAYA, message_id=first["message_id"], text="Good bye")
        changed = (await news.of(MAYA))["messages"]
        assert [(row["text"], row["edited"]) for row in changed] == [("Good bye", True)]

        await place.bot("deleteMessage", chat_id=MAYA, message_id=first["message_id"])
        assert (await news.of(MAYA))["messages"][0]["deleted"] is True


async def test_a_chart_is_shown_and_its_reply_names_it(place: Place) -> None:
    form = aiohttp.FormData({"chat_id": str(MAYA), "caption": "Long"})
    form.add_field("photo", _picture(), filename="chart.png")
    async with place.http.post(f"{place.api}/bot{place.world.token}/sendPhoto", data=form) as answer:
        number = (await answer.json())["result"]["message_id"]
    await place.bot("sendMessage", chat_id=MAYA, text="Target hit", reply_parameters={"message_id": number})

    async with place.news() as news:
        chart, reply = (await news.of(MAYA))["messages"]
    assert (chart["photo"]["width"], chart["photo"]["height"], chart["text"]) == (1000, 600, "Long")
    assert reply["reply"] == number
    async with place.http.get(f"{place.url}photo/{chart['photo']['id']}") as answer:
        assert answer.content_type == "image/png"
        assert await answer.read() == _picture()


async def test_what_a_visitor_says_reaches_the_bot(place: Place) -> None:
    async with place.news() as news:
        assert (await news.of(NOAH))["started"] is False
        assert (await place.post("say", chat=NOAH, text="  /start "))[0] == 200
        told = await news.of(NOAH)

    assert told["started"] is True
    assert [(row["text"], row["mine"]) for row in told["messages"]] == [("/start", True)]
    assert (await place.bot("getUpdates"))[0]["message"]["text"] == "/start"


async def test_start_lets_a_bot_in_again_that_was_stopped(place: Place) -> None:
    place.world.block(MAYA)

    assert (await place.post("say", chat=MAYA, text="hello"))[0] == 409
    assert (await place.post("say", chat=MAYA, text="/start"))[0] == 200
    assert not place.world.people[MAYA].blocked


@pytest.mark.parametrize("said", [{"chat": HIDDEN, "text": "hi"}, {"chat": MAYA, "text": " "}, {"text": "hi"}])
async def test_only_the_seats_may_speak_and_not_without_words(place: Place, said: Json) -> None:
    assert (await place.post("say", **said))[0] == 400


async def test_other_sites_cannot_speak_for_the_visitor(place: Place) -> None:
    for path in ("say", "press", "door", "knock", "deed/greet"):
        async with place.http.post(place.url + path, data={"chat": MAYA, "text": "hi"}) as answer:
            assert answer.status == 415


async def test_a_press_waits_for_what_the_bot_says_to_it(place: Place) -> None:
    keys = {
        "inline_keyboard": [[{"text": "Plans", "callback_data": "/plans"}, {"text": "Site", "url": "https://a.b/"}]]
    }
    sent = await place.bot("sendMessage", chat_id=MAYA, text="Hello", reply_markup=keys)
    press = {"chat": MAYA, "message": sent["message_id"], "row": 0, "place": 0}

    async with place.news() as news:
        assert (await news.of(MAYA))["messages"][0]["buttons"] == [
            [{"text": "Plans", "url": None}, {"text": "Site", "url": "https://a.b/"}]
        ]
    pressed = asyncio.create_task(place.post("press", **press))
    query = (await place.bot("getUpdates", timeout=5))[0]["callback_query"]
    await place.bot("answerCallbackQuery", callback_query_id=query["id"], text="Here they are")

    assert query["data"] == "/plans"
    assert await pressed == (200, {"answered": True, "text": "Here they are"})


async def test_a_button_that_is_gone_is_no_error_of_the_server(place: Place) -> None:
    sent = await place.bot("sendMessage", chat_id=MAYA, text="Hello")

    for message in (sent["message_id"], 999, None, "x"):
        assert (await place.post("press", chat=MAYA, message=message, row=0, place=0))[0] == 410
    assert (await place.post("press", chat=HIDDEN, message=1, row=0, place=0))[0] == 400


async def test_the_menu_is_the_one_of_the_narrowest_scope(place: Place) -> None:
    async def menu_of(chat: int) -> list[str]:
        async with place.news() as news:
            return [row["command"] for row in (await news.of(chat))["menu"]]

    def rows(name: str) -> list[Json]:
        return [{"command": name, "description": name}]

    assert await menu_of(MAYA) == []
    await place.bot("setMyCommands", commands=rows("help"))
    await place.bot("setMyCommands", commands=rows("plans"), scope={"type": "all_private_chats"})
    await place.bot("setMyCommands", commands=rows("grant"), scope={"type": "chat", "chat_id": NOAH})

    assert await menu_of(MAYA) == ["plans"]
    assert await menu_of(NOAH) == ["grant"]


async def test_deeds_answer_with_a_sentence(place: Place) -> None:
    assert await place.post("deed/greet") == (200, {"text": "Good day."})
    assert (await place.post("deed/unknown"))[0] == 404


# --- doors and channels


async def _link(place: Place, **options: Any) -> str:
    made = await place.bot("createChatInviteLink", chat_id=VIP, **{"creates_join_request": True, **options})
    link: str = made["invite_link"]
    return link


async def test_an_invite_link_shows_where_it_leads_and_lets_one_ask(place: Place) -> None:
    link = await _link(place)
    about = {"room": VIP, "title": "VIP signals", "members": 1, "asks": True}

    assert await place.post("door", chat=MAYA, link=link) == (200, {"state": "closed", **about})
    assert await place.post("knock", chat=MAYA, link=link) == (200, {"state": "asked"})
    assert (await place.post("door", chat=MAYA, link=link))[1]["state"] == "asked"
    await place.bot("approveChatJoinRequest", chat_id=VIP, user_id=MAYA)
    assert (await place.post("door", chat=MAYA, link=link))[1]["state"] == "inside"


async def test_a_link_that_leads_nowhere_says_so(place: Place) -> None:
    place.world.revoke(link := await _link(place))

    for wrong in (link, "https://t.me/+nobody", None):
        assert await place.post("door", chat=MAYA, link=wrong) == (200, {"state": "invalid"})
    assert await place.post("knock", chat=MAYA, link=link) == (200, {"state": "invalid"})
    assert (await place.post("knock", chat=HIDDEN, link=link))[0] == 400
    assert (await place.post("door", chat=HIDDEN, link=link))[0] == 400


async def test_a_channel_is_shown_as_long_as_somebody_is_inside(place: Place) -> None:
    await place.bot("sendMessage", chat_id=VIP, text="Before")

    def about(user: int, *, inside: bool) -> Callable[[Json], bool]:
        return lambda told: told.get("channel") == VIP and (told["of"], told["inside"]) == (user, inside)

    async with place.news() as news:
        assert (await news.that(about(MAYA, inside=False)))["messages"] == []
        place.world.set_member(VIP, MAYA, "member")
        begun = await news.that(about(MAYA, inside=True))
        assert (begun["name"], begun["members"]) == ("VIP signals", 2)
        assert [(row["text"], row["mine"]) for row in begun["messages"]] == [("Before", False)]
        await place.bot("sendMessage", chat_id=VIP, text="After")
        assert [row["text"] for row in (await news.that(about(MAYA, inside=True)))["messages"]] == ["After"]
        place.world.set_member(VIP, MAYA, "kicked")
        assert (await news.that(about(MAYA, inside=False)))["messages"] == []


async def test_a_button_in_a_channel_is_for_those_inside(place: Place) -> None:
    keys = {"inline_keyboard": [[{"text": "More", "callback_data": "/more"}]]}
    sent = await place.bot("sendMessage", chat_id=VIP, text="Post", reply_markup=keys)
    press = {"chat": MAYA, "room": VIP, "message": sent["message_id"], "row": 0, "place": 0}

    assert (await place.post("press", **press))[0] == 400
    place.world.set_member(VIP, MAYA, "member")
    pressed = asyncio.create_task(place.post("press", **press))
    query = (await place.bot("getUpdates", timeout=5))[-1]["callback_query"]
    await place.bot("answerCallbackQuery", callback_query_id=query["id"], text="Here")
    assert await pressed == (200, {"answered": True, "text": "Here"})


def _picture() -> bytes:
    import io

    kept = io.BytesIO()
    Image.new("RGB", (1000, 600), "#101820").save(kept, "PNG")
    return kept.getvalue()


# --- invoices


async def test_an_invoice_is_looked_at_and_paid(place: Place) -> None:
    given = {"title": "Signals", "description": "30 days", "payload": "order-1", "currency": "XTR"}
    more = {"prices": [{"label": "Signals", "amount": 1500}], "subscription_period": 2_592_000}
    link = await place.bot("createInvoiceLink", **given, **more)
    about = {"state": "open", "title": "Signals", "about": "30 days", "stars": 1500, "renews": True}
    assert await place.post("invoice", chat=MAYA, link=link) == (200, about)
    assert await place.post("invoice", chat=MAYA, link="https://t.me/$x") == (200, {"state": "invalid"})
    paying = asyncio.create_task(place.post("pay", chat=MAYA, link=link))
    [update] = await place.bot("getUpdates", timeout=5)
    asked = update["pre_checkout_query"]["id"]
    await place.bot("answerPreCheckoutQuery", pre_checkout_query_id=asked, ok=True)
    assert await paying == (200, {"text": "paid"})
    [charge] = place.world.stars.payments
    await place.bot("refundStarPayment", user_id=MAYA, telegram_payment_charge_id=charge)
    async with place.news() as news:
        said = await news.of(MAYA)
    assert [one["text"] for one in said["messages"]] == ["You paid ★ 1,500.", "★ 1,500 were given back."]
    assert (await place.post("pay", chat=HIDDEN, link=link))[0] == 400
    assert (await place.post("invoice", chat=HIDDEN, link=link))[0] == 400
