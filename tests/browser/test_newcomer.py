"""A newcomer's whole way in a real browser: chat, checkout, payment, signal."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal

import pytest
from playwright.async_api import ConsoleMessage, Locator, Page, expect

from tests.browser.conftest import Stage
from tests.sandbox import moment
from tests.sandbox.world import MEMBER, STRANGER, NothingHappenedError

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

NARROW, WIDE = (390, 844), (1280, 800)
SLOW = 15_000
"""Milliseconds; a machine that runs other tests too needs them."""


@asynccontextmanager
async def browsing(
    stage: Stage, size: tuple[int, int], scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[Page]:
    """A page in a browser window of its own, which must not have complained in the end."""
    viewport = {"width": size[0], "height": size[1]}
    context = await stage.browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(SLOW)
    complaints: list[str] = []
    page = await context.new_page()
    context.on("console", lambda said: complaints.extend(_complaint(said)))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield page
    await context.close()
    assert complaints == []


def _complaint(said: ConsoleMessage) -> list[str]:
    """What the browser had to say against a page; that the bank's page has no icon is no fault of ours."""
    url = said.location["url"]
    return [f"{said.text} ({url})"] if said.type == "error" and not url.endswith("/favicon.ico") else []


async def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    found: int = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


async def candles_until(stage: Stage, shown: Locator, most: int) -> None:
    """Candles close until this can be seen."""
    for _ in range(most):
        await stage.world.next_candle()
        with suppress(AssertionError):
            return await expect(shown).to_be_visible(timeout=700)
    raise AssertionError(f"not seen within {most} candles: {shown}")


async def test_a_newcomer_subscribes_pays_and_sees_the_signal_on_the_phone_page(stage: Stage) -> None:
    async with browsing(stage, WIDE) as page:
        await page.goto(stage.phone)
        chat = page.locator(".phone.large")
        await expect(page.locator("#label")).to_have_text("simulated market")

        await chat.get_by_role("button", name="Start").click()
        await expect(chat.get_by_text("Welcome to SignalStack")).to_be_visible()
        await chat.get_by_role("button", name="Plans and prices").click()
        await chat.get_by_role("button", name="Subscribe: Signals").click()
        await _pay(page, chat)
        await expect(chat.get_by_text("Signals is on.")).to_be_visible()
        await expect(page.locator("#steps .next")).to_contain_text("Wait for a signal")

        await candles_until(stage, chat.locator(".photo img"), moment.LEAD + 5)
        head = chat.locator(".with-photo .text")
        await expect(head).to_have_text(re.compile(r"^[▲▼] (Long|Short) (BTC|ETH)/USDT · 1h · #1"))
        assert (
            await chat.locator(".photo img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1000
        )
        await candles_until(stage, chat.locator(".quote"), moment.LONGEST + 5)

        stranger = page.locator(f'[data-chat="{STRANGER}"]')
        await stranger.get_by_role("button", name="Start").click()
        await stranger.locator("input").fill("/latest")
        await stranger.locator("input").press("Enter")
        await expect(stranger.get_by_text("Latest results", exact=True)).to_be_visible()
        await expect(stranger.locator(".photo")).to_have_count(0)
    assert stage.world.judge().ok, str(stage.world.judge())


async def _pay(page: Page, chat: Locator) -> None:
    """The newcomer has gone from the chat to the checkout page, to the bank's page, and back."""
    async with page.expect_popup() as opened:
        await chat.get_by_role("link", name="Open the checkout page").click()
    shop = await opened.value
    await expect(shop.get_by_text("29.00")).to_be_visible()
    await shop.get_by_role("button", name="Continue to payment").click()
    await shop.get_by_label("E-mail").fill("maya@example.com")
    await shop.get_by_role("button", name="Pay", exact=True).click()
    await expect(shop.get_by_role("heading", name="Thank you")).to_be_visible()
    await shop.close()


async def test_commands_can_be_tapped_in_the_menu(stage: Stage) -> None:
    async with browsing(stage, WIDE) as page:
        await page.goto(stage.phone)
        chat = page.locator(".phone.large")
        await chat.get_by_role("button", name="Commands").click()
        await chat.locator(".menu").get_by_role("button", name="/status").click()

        await expect(chat.get_by_text("active, paid until")).to_be_visible()
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
    said = await stage.world.telegram.say(STRANGER, "/subscribe")
    with suppress(NothingHappenedError):
        message = await stage.world.message(STRANGER, "29.00", after=said["message"]["message_id"])
    checkout = message.buttons[0][0]["url"]
    for url in (stage.shop.url, checkout):
        async with browsing(stage, NARROW, scheme) as page:
            await page.goto(url)
            assert await overflow(page) <= 0, url
    async with browsing(stage, NARROW, scheme) as page:
        await page.goto(checkout)
        await page.get_by_role("button", name="Continue to payment").click()
        await expect(page.get_by_text("no real money")).to_be_visible()
        assert await overflow(page) <= 0, page.url


async def test_the_phone_page_shows_one_view_at_a_time_on_a_phone(stage: Stage) -> None:
    async with browsing(stage, NARROW) as page:
        await page.goto(stage.phone)
        tabs = page.locator(".tabs button")
        await expect(tabs).to_have_count(4)

        for name, seen in _views(page):
            await tabs.filter(has_text=name).click()
            await expect(seen).to_be_visible()
            await expect(page.locator("main [data-view]:visible")).to_have_count(1)
            assert await overflow(page) <= 0, name


def _views(page: Page) -> Sequence[tuple[str, Locator]]:
    return (
        ("Noah", page.get_by_label("Chat of Noah")),
        ("Olga", page.get_by_label("Chat of Olga")),
        ("What happens", page.locator(".panel")),
        ("You", page.get_by_label("Chat of You")),
    )
