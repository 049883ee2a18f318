"""Buying in a real browser, from the chat and back: free days in another currency, a gift, another plan, seats."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import window
from tests.browser.conftest import Stage
from tests.sandbox.world import OPERATOR, STRANGER

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def say(chat: Locator, words: str) -> None:
    """The person types this into their Telegram chat."""
    await chat.locator(".say input").fill(words)
    await chat.locator(".say input").press("Enter")


@asynccontextmanager
async def led(page: Page, chat: Locator, label: str) -> AsyncIterator[Page]:
    """The page, on a phone, to which the newest button of this label leads."""
    async with page.expect_popup() as opened:
        await chat.get_by_role("link", name=label).last.click()
    there = await opened.value
    await there.set_viewport_size({"width": window.NARROW[0], "height": window.NARROW[1]})
    yield there
    assert await window.overflow(there) <= 0, there.url
    await there.close()


async def test_a_newcomer_plays_everything_that_is_for_sale(stage: Stage) -> None:
    async with window.browsing(stage, window.WIDE) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.goto(stage.phone)
        chat = page.locator(".phone.large")
        await chat.get_by_role("button", name="Start").click()
        await _free_days(page, chat)
        await _gift(page, chat)
        await page.get_by_role("button", name="End the time").click()
        await expect(page.locator("#told")).to_contain_text("310.00 USD arrived at Stripe", timeout=window.SLOW)
        await _team(page, chat)
        await expect(page.locator("#steps .done")).to_have_text([
            "Press Start", "Subscribe; some days are free", "Buy a gift with /gift", "Send its /redeem line as Noah",
            "End the free days, below", "Change the plan with /billing",
        ], timeout=window.SLOW)  # fmt: skip
        await _stars(page)
    verdict = await stage.world.settled()
    assert verdict.ok, str(verdict)
    assert verdict.entitled == 3


async def _free_days(page: Page, chat: Locator) -> None:
    await say(chat, "/subscribe signals")
    async with led(page, chat, "Open the checkout page") as shop:
        await shop.get_by_role("link", name="USD").click()
        await shop.get_by_label(re.compile(r"310\.00 USD")).check()
        await shop.get_by_role("button", name="Continue to the free days").click()
        await expect(shop.get_by_text("7 days free, then 310.00 USD")).to_be_visible(timeout=window.SLOW)
        await shop.get_by_role("button", name="Start", exact=True).click()
        await expect(shop.get_by_role("heading", name="Thank you")).to_be_visible(timeout=window.SLOW)
    await expect(chat.get_by_text("Signals is on.")).to_be_visible(timeout=window.SLOW)
    await expect(page.locator("#plan")).to_contain_text("Free until", timeout=window.SLOW)


async def _gift(page: Page, chat: Locator) -> None:
    await say(chat, "/gift")
    async with led(page, chat, "Choose a gift") as shop:
        await shop.get_by_role("button", name="Continue to payment").click()
        await shop.get_by_role("button", name="Pay", exact=True).click()
        await expect(shop.get_by_role("heading", name="Thank you")).to_be_visible(timeout=window.SLOW)
    await chat.get_by_role("button", name="Get the link").click()
    await chat.locator(".log code", has_text="/redeem").click()
    await expect(page.locator("#toast")).to_have_text("Copied.", timeout=window.SLOW)
    await page.locator(".sides").get_by_role("button", name="Noah").click()
    noah = page.locator(f'[data-chat="{STRANGER}"]')
    await noah.get_by_role("button", name="Start").click()
    await say(noah, await page.evaluate("navigator.clipboard.readText()"))
    await expect(noah.get_by_text("a gift from Maya")).to_be_visible(timeout=window.SLOW)
    await expect(chat.get_by_text("has taken your gift")).to_be_visible(timeout=window.SLOW)


async def _team(page: Page, chat: Locator) -> None:
    await say(chat, "/billing")
    async with led(page, chat, "Change plan") as shop:
        await shop.get_by_label(re.compile(r"260\.00 USD every year")).check()
        await shop.get_by_label("Seats").fill("3")
        await shop.get_by_role("button", name="See what it costs").click()
        await shop.get_by_role("button", name="Change and pay 470.00 USD").click()
        await expect(shop.get_by_text("This is what you have now")).to_be_visible(timeout=window.SLOW)
    await expect(page.locator("#told")).to_contain_text("470.00 USD arrived at Stripe", timeout=window.SLOW)
    await say(chat, "/seats")
    async with led(page, chat, "Give and free seats") as shop:
        await expect(shop.get_by_text("3 seats, 2 free")).to_be_visible(timeout=window.SLOW)


async def _stars(page: Page) -> None:
    await page.locator(".sides").get_by_role("button", name="Olga").click()
    olga = page.locator(f'[data-chat="{OPERATOR}"]')
    await olga.get_by_role("button", name="Start").click()
    await say(olga, "/subscribe signals")
    async with led(page, olga, "Open the checkout page") as shop:
        await shop.get_by_role("link", name="Stars").click()
        await shop.get_by_role("button", name="Continue to payment").click()
        await shop.get_by_role("button", name="Pay ★ 2,000 as Olga").click()
        await expect(shop.get_by_text("Have a look at your chat")).to_be_visible(timeout=window.SLOW)
    await expect(olga.get_by_text("Signals is on.")).to_be_visible(timeout=window.SLOW)
