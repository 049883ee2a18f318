"""Every public page in a real browser: nothing for axe to find, no wider than its window, of use without JavaScript."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright import async_api
from playwright.async_api import Page, expect

from core import db
from core.billing import links
from tests.browser import chromium, window
from tests.webhooks import filled
from tests.webhooks.conftest import World, open_world

pytestmark = [pytest.mark.browser]

# WCAG 2.2 up to level AA, and what axe calls best practice.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@dataclass(frozen=True, slots=True)
class Shown:
    """A site in which everything has happened, its pages by what they are, and a browser."""

    world: World
    pages: Mapping[str, str]
    browser: async_api.Browser

    @asynccontextmanager
    async def page(self, size: tuple[int, int] = window.NARROW, **context: Any) -> AsyncIterator[Page]:
        viewport = {"width": size[0], "height": size[1]}
        opened = await self.browser.new_context(viewport=viewport, **context)  # type: ignore[arg-type]
        opened.set_default_timeout(window.SLOW)
        yield await opened.new_page()
        await opened.close()


@pytest.fixture
async def shown(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Shown]:
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with AsyncExitStack() as opened:
        world = await opened.enter_async_context(open_world(sqlite_database, make_stack, now))
        play = await opened.enter_async_context(async_api.async_playwright())
        browser = await play.chromium.launch(executable_path=chromium.found(), args=flags)
        await filled.fill(world)
        member = await world.member("Anna")
        conf = world.stack.settings
        named = {
            "checkout": world.local(links.checkout_url(conf, member, "signals", now=now)),
            "gone": world.local(links.checkout_url(conf, member, "gone", now=now)),
            "portal": world.local(links.portal_url(conf, member, now=now)),
        }
        plain = {
            path or "status": f"{world.url}/{path}" for path in ("", "record", "plans", "terms", "privacy", "docs")
        }
        plain |= {path: f"{world.url}/{path}" for path in ("thanks", "returned", "nowhere")}
        yield Shown(world, plain | named, browser)
        await browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_no_page_is_wider_than_its_window(
    shown: Shown, scheme: Literal["light", "dark"]
) -> None:
    found = {}
    async with shown.page(color_scheme=scheme) as page:
        for name, url in shown.pages.items():
            await page.goto(url)
            assert await window.overflow(page) <= 0, name
            result = await Axe().run(page, options={**RULES, "resultTypes": ["violations"]})
            assert len(result.response["passes"]) > 15, name  # it looked
            if result.violations_count:
                found[name] = result.generate_report()
            await page.set_viewport_size({"width": window.WIDE[0], "height": window.WIDE[1]})
            assert await window.overflow(page) <= 0, name
            await page.set_viewport_size({"width": window.NARROW[0], "height": window.NARROW[1]})
    assert not found, "\n".join(found.values())


async def test_the_status_page_is_of_use_without_javascript(shown: Shown) -> None:
    async with shown.page(java_script_enabled=False) as page:
        await page.goto(shown.pages["status"])
        for words in ("Something is not working", "silent for 12 min", "40 delivered, 3 waiting", "29.00 USD"):
            await expect(page.get_by_text(words).first).to_be_visible()
        await expect(page.get_by_role("link", name="Join in Telegram")).to_be_visible()
        await expect(page.get_by_text("Load the page again for newer figures.")).to_be_visible()


async def test_the_keyboard_leads_past_the_navigation(shown: Shown) -> None:
    async with shown.page(window.WIDE) as page:
        await page.goto(shown.pages["plans"])
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Join in Telegram")).to_be_focused()


async def test_an_open_page_shows_what_changed(shown: Shown) -> None:
    world = shown.world
    async with shown.page(window.WIDE) as page:
        await page.goto(shown.pages["status"])
        await expect(page.get_by_text("It renews itself.")).to_be_visible()
        async with world.stack.db.transaction() as session:
            ended = {"closed_at": world.now, "status": "delisted", "close_price": filled.Decimal(41000), "brought": 200}
            session.add(filled.signal(world, candle=500, symbol="ETH/USDT", **ended))
        world.stack.deliver()
        await expect(page.get_by_text("from 61 closed signals")).to_be_visible()
        await expect(page.get_by_text("Market delisted")).to_be_visible()
        await expect(page.locator("[data-text='sent.62']")).to_have_text("no readers")
        await expect(page.get_by_text("It renews itself.")).to_be_visible()
