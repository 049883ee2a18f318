"""A newcomer's whole way in a real browser: chat, checkout, payment, signal."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import aiohttp
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import window
from tests.browser.conftest import Stage
from tests.sandbox import moment
from tests.sandbox.world import MEMBER, STRANGER, NothingHappenedError

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

browsing, candles_until, overflow = window.browsing, window.candles_until, window.overflow
NARROW, WIDE = window.NARROW, window.WIDE
SOON = 15.0


async def test_a_newcomer_subscribes_pays_and_sees_the_signal_on_the_phone_page(stage: Stage) -> None:
    async with browsing(stage, WIDE) as page:
        await page.goto(stage.phone)
        chat = page.locator(".phone.large")
        await expect(page.locator("#label")).to_have_text("simulated market")

        await chat.get_by_role("button", name="Start").click()
        await expect(chat.get_by_text("Welcome to SignalStack")).to_be_visible()
        await chat.get_by_role("button", name="Plans and prices").click()
        await chat.get_by_role("button", name="Subscribe: Signals").click()
        await window.pay(page, chat)
        await expect(chat.get_by_text("Signals is on.")).to_be_visible()
        await expect(page.locator("#steps .next")).to_contain_text("Wait for a signal")

        status = await page.context.new_page()
        await status.goto(stage.shop.url)
        await expect(status.get_by_text("It renews itself.")).to_be_visible()

        await candles_until(stage, chat.locator(".photo img"), moment.LEAD + 5)
        # Nobody has loaded it again: the page heard of it.
        await expect(status.locator("[data-text='sent.1']")).to_have_text(re.compile("^[1-9] delivered"))
        await expect(status.get_by_text("1 is open now, for members.")).to_be_visible()
        await status.close()
        head = chat.locator(".with-photo .text")
        await expect(head).to_have_text(re.compile(r"^[▲▼] (Long|Short) (BTC|ETH)/USDT · 1h · #1"))
        assert (
            await chat.locator(".photo img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1000
        )
        await candles_until(stage, chat.locator(".quote"), moment.LONGEST + 5)

        await page.locator(".sides").get_by_role("button", name="Noah").click()
        stranger = page.locator(f'[data-chat="{STRANGER}"]')
        await stranger.get_by_role("button", name="Start").click()
        await stranger.locator("input").fill("/latest")
        await stranger.locator("input").press("Enter")
        await expect(stranger.get_by_text("Latest results", exact=True)).to_be_visible()
        await expect(stranger.locator(".photo")).to_have_count(0)
    verdict = await stage.world.settled()
    assert verdict.ok, str(verdict)


async def test_a_key_from_the_phone_page_reads_the_latest_signals_and_the_stream(stage: Stage) -> None:
    async with browsing(stage, WIDE) as page:
        await page.goto(stage.phone)
        chat = page.locator(".phone.large")
        await chat.locator("input").fill("/apikey new laptop")
        await chat.locator("input").press("Enter")
        key = await chat.locator(".log code", has_text="sst_").last.inner_text()
    bearer = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=bearer) as http:
        async with http.get(f"{stage.shop.url}/api/v1/signals/latest") as answer:
            assert answer.status == 200
            assert "BTC/USDT" in await answer.text() or "ETH/USDT" in await answer.text()
        async with http.ws_connect(f"{stage.shop.url}/api/v1/ws?after=0") as stream:
            hello = await stream.receive_json(timeout=SOON)
            first = await stream.receive_json(timeout=SOON)
    assert (hello["type"], hello["cursor"]) == ("hello", 0)
    assert (first["cursor"], first["event"]["kind"], first["event"]["signal"]["id"]) == (1, "opened", 1)


async def test_commands_can_be_tapped_in_the_menu(stage: Stage) -> None:
    async with browsing(stage, WIDE) as page:
        await page.goto(stage.phone)
        chat = page.locator(".phone.large")
        await chat.get_by_role("button", name="Commands").click()
        await chat.locator(".menu").get_by_role("button", name="/status").click()

        await expect(chat.get_by_text("free until")).to_be_visible()
        await expect(chat.locator(".menu")).to_be_hidden()


async def test_what_others_write_is_shown_as_text_and_never_as_markup(stage: Stage) -> None:
    evil = "<img src=x onerror=document.title='owned'><b>bold</b>"
    async with browsing(stage, WIDE) as page:
        await page.goto(stage.phone)
        await stage.world.telegram.say(MEMBER, evil)

        await expect(page.locator(".phone.large .row.mine .text").last).to_contain_text(evil)
        assert await page.title() != "owned"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_is_wider_than_a_phone(stage: Stage, scheme: Literal["light", "dark"]) -> None:
    said = await stage.world.telegram.say(STRANGER, "/subscribe signals")
    with suppress(NothingHappenedError):
        message = await stage.world.message(STRANGER, "29.00", after=said["message"]["message_id"])
    checkout = message.buttons[0][0]["url"]
    for url in (stage.shop.url, checkout):
        async with browsing(stage, NARROW, scheme) as page:
            await page.goto(url)
            assert await overflow(page) <= 0, url
    async with browsing(stage, NARROW, scheme) as page:
        await page.goto(checkout)
        await page.get_by_role("button", name="Continue to the free days").click()
        await expect(page.get_by_text("no real money")).to_be_visible()
        assert await overflow(page) <= 0, page.url


async def test_the_phone_page_shows_one_view_at_a_time_on_a_phone(stage: Stage) -> None:
    async with browsing(stage, NARROW) as page:
        await page.goto(stage.phone)
        tabs = page.locator(".tabs button")
        await expect(tabs).to_have_count(5)

        for name, seen in _views(page):
            await tabs.filter(has_text=name).click()
            await expect(seen).to_be_visible()
            await expect(page.locator("main [data-view]:visible")).to_have_count(1)
            assert await overflow(page) <= 0, name


def _views(page: Page) -> Sequence[tuple[str, Locator]]:
    return (
        ("Discord", page.get_by_label("Discord of You")),
        ("Noah", page.get_by_label("Chat of Noah")),
        ("Olga", page.get_by_label("Chat of Olga")),
        ("What happens", page.locator(".panel")),
        ("You", page.get_by_label("Chat of You")),
    )
