"""The pages about changing a plan in a real browser: nothing for axe to find, no wider than their window."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright import async_api
from playwright.async_api import expect

from core import db, models
from core.billing import seats
from tests.browser import chromium, window
from tests.browser.test_pages import RULES
from tests.webhooks import shop, test_change
from tests.webhooks.conftest import World, open_world

pytestmark = [pytest.mark.browser]
SHOTS = os.environ.get("SCREENSHOTS", "")


@dataclass(frozen=True, slots=True)
class Shown:
    """A shop in which members pay, and a browser."""

    world: World
    browser: async_api.Browser


@pytest.fixture
async def shown(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Shown]:
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with AsyncExitStack() as opened:
        world = await opened.enter_async_context(open_world(sqlite_database, make_stack, now, book=test_change.book))
        play = await opened.enter_async_context(async_api.async_playwright())
        browser = await play.chromium.launch(executable_path=chromium.found(), args=flags)
        yield Shown(world, browser)
        await browser.close()


async def looked_at(page: async_api.Page, name: str) -> None:
    """The page is good for everybody at both widths; with SCREENSHOTS=DIR a picture of it is kept there."""
    for width, height in (window.NARROW, window.WIDE):
        await page.set_viewport_size({"width": width, "height": height})
        assert await window.overflow(page) <= 0, name
        if SHOTS:
            await page.screenshot(path=f"{SHOTS}/{name}-{width}.png", full_page=True)
    result = await Axe().run(page, options={**RULES, "resultTypes": ["violations"]})
    assert result.violations_count == 0, result.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_plan_is_changed_without_scripts_and_every_page_is_good(
    shown: Shown, scheme: Literal["light", "dark"]
) -> None:
    world = shown.world
    anna, sub, url = await test_change.starts(world, "team", since=10 * test_change.DAY, seats="4")
    await taken(world, anna)
    context = await shown.browser.new_context(java_script_enabled=False, color_scheme=scheme)
    scripted = await shown.browser.new_context(color_scheme=scheme)
    try:
        for page in (await context.new_page(), await scripted.new_page()):
            page.set_default_timeout(window.SLOW)
            await page.goto(url)
        await looked_at(page, f"choose-{scheme}")
        await page.get_by_label("Seats").fill("2")
        await page.get_by_role("button", name="See what it costs").click()
        await expect(page.get_by_text("lose their access at once")).to_be_visible()
        await looked_at(page, f"fewer-{scheme}")
        await page.goto(url)
        await page.get_by_text("590.00 USD").click()
        await page.get_by_role("button", name="See what it costs").click()
        await looked_at(page, f"check-{scheme}")
        world.stripe.fail_next_renewal(sub)
        await page.get_by_role("button", name=re.compile("^Change")).click()
        await expect(page.get_by_role("heading", name="Your card was refused")).to_be_visible()
        await looked_at(page, f"declined-{scheme}")
        world.stripe.card_works(sub)
        await world.stripe.advance(60)
        plain = context.pages[0]
        await plain.locator(f"input[value={shop.price_of(world, 'basic', 1)}]").check()
        await plain.get_by_role("button", name="See what it costs").click()
        await plain.get_by_role("button", name=re.compile("^Change")).click()
        await expect(plain.get_by_role("heading", name="This is what you have now")).to_be_visible()
        await page.goto(plain.url)
        await looked_at(page, f"done-{scheme}")
    finally:
        await context.close()
        await scripted.close()


async def taken(world: World, anna: int) -> None:
    """Three others have the seats that Anna pays for."""
    row = await world.row(anna)
    for number, name in enumerate(("Bob Miller", "Cleo", "Dora"), start=2):
        seat = {"member_id": await world.member(name), "plan": row.plan, "until": row.access_until, "seat": number}
        async with world.stack.db.transaction() as session:
            made = {"granted_by": "telegram:1", "created_at": world.now, "source": seats.SOURCE}
            session.add(models.Grant(**seat, **made, subscription_id=row.id))
