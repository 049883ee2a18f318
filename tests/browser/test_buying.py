"""Checkout, thanks, portal and plans in a real browser: good for all at both widths, and of use without scripts."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Literal

import pytest
from playwright import async_api
from playwright.async_api import expect

from core import db
from core.billing import links, partners
from tests.browser import chromium, window
from tests.browser.test_change import Shown, looked_at
from tests.webhooks import shop
from tests.webhooks.conftest import World, open_world

pytestmark = [pytest.mark.browser]


@pytest.fixture
async def shown(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Shown]:
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with AsyncExitStack() as opened:
        world = await opened.enter_async_context(open_world(sqlite_database, make_stack, now, book=shop.full))
        play = await opened.enter_async_context(async_api.async_playwright())
        browser = await play.chromium.launch(executable_path=chromium.found(), args=flags)
        yield Shown(world, browser)
        await browser.close()


async def pages(world: World) -> dict[str, str]:
    """The pages of somebody who buys, by what is to be seen on them."""
    anna, ben = await world.member("Anna"), await world.member("Ben")
    async with world.stack.db.transaction() as session:
        await partners.add(session, "joe", "Joe's podcast", "SPRING20", by="test", now=world.now)
        await partners.bring(session, ben, "joe")
    trial, team = await shop.buy(world, anna), await shop.buy(world, ben, "team", seats="4")
    return {
        "checkout-periods": shop.link(world, anna),
        "checkout-euro": shop.link(world, anna) + "?currency=EUR",
        "checkout-team": shop.link(world, ben, "team"),
        "thanks-trial": f"{world.url}/thanks?session_id={trial['id']}",
        "thanks-team": f"{world.url}/thanks?session_id={team['id']}",
        "portal": world.local(links.portal_url(world.stack.settings, anna, now=world.now)),
        "portal-return": f"{world.url}/returned",
        "plans": f"{world.url}/plans",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_on_which_something_is_bought_are_good_for_everybody(
    shown: Shown, scheme: Literal["light", "dark"]
) -> None:
    context = await shown.browser.new_context(color_scheme=scheme)
    page = await context.new_page()
    page.set_default_timeout(window.SLOW)
    for name, url in (await pages(shown.world)).items():
        await page.goto(url)
        await looked_at(page, f"{name}-{scheme}")
    await context.close()


async def test_choosing_works_without_scripts_and_a_wrong_code_is_said(shown: Shown) -> None:
    world, anna = shown.world, await shown.world.member("Anna")
    context = await shown.browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    page.set_default_timeout(window.SLOW)
    await page.goto(shop.link(world, anna, "team"))
    await page.get_by_role("link", name="EUR").click()
    await page.get_by_text("261.00 EUR").click()
    await page.get_by_label("Seats").fill("3")
    await page.get_by_text("I have an invitation code").click()
    await page.get_by_label("Invitation code", exact=True).fill("nobody")
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page.get_by_role("alert")).to_contain_text("We do not know this code")
    await expect(page.get_by_label("Seats")).to_have_value("3")
    await expect(page.get_by_label("261.00 EUR")).to_be_checked()
    await looked_at_without_scripts(page)
    await page.get_by_label("Invitation code", exact=True).fill("")
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page).to_have_url(re.compile("/pay/"))
    (row,) = await shop.rows(world)
    assert (row.currency, row.quantity, row.price_id) == ("EUR", 3, shop.price_of(world, "team", 1))
    await context.close()


async def looked_at_without_scripts(page: async_api.Page) -> None:
    for width, height in (window.NARROW, window.WIDE):
        await page.set_viewport_size({"width": width, "height": height})
        assert await window.overflow(page) <= 0
