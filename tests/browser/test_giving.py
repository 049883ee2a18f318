"""The pages about seats and gifts in a real browser: of use without scripts, and good for everybody at both widths."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pytest
from playwright import async_api
from playwright.async_api import expect

from core import catalogue, db
from core.billing import links
from tests.browser import chromium, window
from tests.browser.test_change import looked_at
from tests.webhooks import filled, giving
from tests.webhooks.conftest import World, open_world

pytestmark = [pytest.mark.browser]


@dataclass(frozen=True, slots=True)
class Shown:
    """A shop with seats and gifts on both chats, and a browser."""

    world: World
    browser: async_api.Browser


def book(stripe: Any) -> catalogue.Catalogue:
    service = catalogue.Service(discord_invite="https://discord.gg/abc-123")
    return giving.book(stripe).model_copy(update={"service": service})


@pytest.fixture
async def shown(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Shown]:
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with AsyncExitStack() as opened:
        world = await opened.enter_async_context(open_world(sqlite_database, make_stack, now, book=book))
        await filled.fill(world)
        play = await opened.enter_async_context(async_api.async_playwright())
        browser = await play.chromium.launch(executable_path=chromium.found(), args=flags)
        yield Shown(world, browser)
        await browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_seats_are_given_and_freed_without_scripts(shown: Shown, scheme: Literal["light", "dark"]) -> None:
    world = shown.world
    anna = await world.member("Anna")
    await giving.team(world, anna, 4)
    plain, page = await two(shown, scheme)
    for one in (plain, page):
        await one.goto(giving.page(world, links.SEATS, anna))
    await looked_at(page, f"seats-new-{scheme}")
    await plain.get_by_label("Who is it for?").fill("Ben from accounting")
    await plain.get_by_role("button", name="Make an invitation link").click()
    await expect(plain.get_by_text("Hand this link on to Ben from accounting")).to_be_visible()
    await page.goto(plain.url)
    await looked_at(page, f"seats-made-{scheme}")
    (address,) = re.findall(r"https://\S+/invitation/[\w-]{22}", await plain.inner_text("main"))
    await page.goto(world.local(address))
    await looked_at(page, f"invitation-{scheme}")
    code = address.rsplit("/", 1)[-1]
    take = page.get_by_role("link", name="Take it in Telegram")
    assert await take.get_attribute("href") == f"https://t.me/blue_harbour_bot?start=redeem_{code}"

    assert await giving.redeem(world, "Ben Smith", code) is not None
    await plain.get_by_label("Who is it for?").fill("Carl")
    await plain.get_by_role("button", name="Make an invitation link").click()
    await plain.goto(giving.page(world, links.SEATS, anna))
    await page.goto(plain.url)
    await looked_at(page, f"seats-{scheme}")
    await page.get_by_text("Free seat 2", exact=True).click()
    await looked_at(page, f"seats-freeing-{scheme}")
    await plain.get_by_text("Free seat 2", exact=True).click()
    await plain.get_by_role("button", name="Yes, free seat 2").click()
    await expect(plain.get_by_text("The seat is free again.")).to_be_visible()
    await plain.get_by_role("button", name="Withdraw the invitation of Carl").click()
    await expect(plain.get_by_text("The invitation is worth nothing any more.")).to_be_visible()
    assert "Ben" not in await plain.inner_text("main")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_gift_is_bought_without_scripts(shown: Shown, scheme: Literal["light", "dark"]) -> None:
    world = shown.world
    anna = await world.member("Anna")
    await giving.bought(world, anna)
    plain, page = await two(shown, scheme)
    for one in (plain, page):
        await one.goto(giving.page(world, links.GIFT, anna))
    await looked_at(page, f"gift-{scheme}")
    await page.goto(f"{world.url}/invitation/{await giving.code(world, anna)}")
    await looked_at(page, f"invitation-gift-{scheme}")
    await page.goto(f"{world.url}/invitation/{'x' * 22}")
    await looked_at(page, f"invitation-gone-{scheme}")
    await plain.get_by_text("290.00 USD").click()
    await plain.get_by_role("button", name="Continue to payment").click()
    await expect(plain.get_by_text("290.00 USD").first).to_be_visible()
    assert plain.url.startswith(world.stripe.base_url)


async def two(shown: Shown, scheme: Literal["light", "dark"]) -> tuple[async_api.Page, async_api.Page]:
    """A page without scripts to act on, and one with them to look at."""
    pages = []
    for scripts in (False, True):
        context = await shown.browser.new_context(java_script_enabled=scripts, color_scheme=scheme)
        context.set_default_timeout(window.SLOW)
        pages.append(await context.new_page())
    return pages[0], pages[1]
