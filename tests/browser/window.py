"""A browser window in the world, and what a newcomer does in it again and again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from playwright.async_api import ConsoleMessage, Locator, Page, expect

from tests.browser.conftest import Stage

NARROW, WIDE = (390, 844), (1280, 800)
SLOW = 15_000
"""Milliseconds; a machine that runs other tests too needs them."""
expect.set_options(timeout=SLOW)


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


async def pay(page: Page, chat: Locator) -> None:
    """The newcomer has gone from the chat to the checkout page, to the bank's page, and back."""
    async with page.expect_popup() as opened:
        await chat.get_by_role("link", name="Open the checkout page").click()
    shop = await opened.value
    await expect(shop.get_by_text("29.00 EUR every month")).to_be_visible()
    await shop.get_by_role("button", name="Continue to the free days").click()
    await shop.get_by_label("E-mail").fill("maya@example.com")
    await shop.get_by_role("button", name="Start", exact=True).click()
    await expect(shop.get_by_role("heading", name="Thank you")).to_be_visible()
    await shop.close()
