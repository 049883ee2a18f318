"""Both chats in a real browser: a member enters the Telegram channel, links Discord, reads both, and leaves."""

import re
from typing import Literal

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import window
from tests.browser.conftest import Stage
from tests.sandbox import checker, moment
from tests.sandbox.world import GUILD, MAYA_D, MEMBER, ROLE, VIP

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def say(chat: Locator, words: str) -> None:
    """The person types this into their Telegram chat."""
    await chat.locator(".say input").fill(words)
    await chat.locator(".say input").press("Enter")


async def slash(server: Locator, words: str, typed: str = "") -> None:
    """The person chooses this command from Discord's list and fills in its first option."""
    line = server.get_by_role("textbox", name="Command")
    await line.fill("/")
    await expect(server.locator(".picker")).to_be_visible()
    await line.press_sequentially(words)
    await line.press("Enter")
    if typed:
        await server.locator(".field input").fill(typed)
        await server.locator(".field input").press("Enter")


def channel(server: Locator, name: str) -> Locator:
    return server.locator(".channels .channel", has_text=name)


async def test_a_member_is_in_both_places_and_out_of_them_again(stage: Stage) -> None:
    async with window.browsing(stage, window.WIDE) as page:
        await page.goto(stage.phone)
        chat, server = page.locator(".phone.large"), page.locator(".server")
        await chat.get_by_role("button", name="Start").click()
        await say(chat, "/subscribe signals")
        await window.pay(page, chat)
        await expect(chat.get_by_text("Signals is on.")).to_be_visible()
        await _enter(page, chat)
        await _link(chat, server)
        await _read(stage, chat, server)
        await _leave(stage, chat, server)
        await expect(page.locator("#steps .done")).to_have_count(10)
        await expect(page.locator("#steps li:not(.done)")).to_have_text(
            [
                "Buy a gift with /gift",
                "Send its /redeem line as Noah",
                "End the free days, below",
                "Change the plan with /billing",
            ]
        )
    since = stage.world.history.of("discord_member", user_id=MAYA_D, role_id=ROLE, has=True)[0]["n"]
    together = checker.Linked(frozenset({MEMBER, ("discord", MAYA_D)}), since)
    verdict = stage.world.judge(accounts=[together])
    assert verdict.ok, str(verdict)


async def _enter(page: Page, chat: Locator) -> None:
    await say(chat, "/join")
    await chat.get_by_role("button", name="VIP signals").click()
    await page.get_by_role("button", name="Request to join").click()
    await chat.locator(".rooms").get_by_role("button", name="VIP signals").click()
    await expect(chat.get_by_text("Only SignalStack posts here")).to_be_visible()
    await chat.locator(".rooms").get_by_role("button", name="SignalStack").click()


async def _link(chat: Locator, server: Locator) -> None:
    await expect(channel(server, "signals")).to_have_count(0)
    await say(chat, "/link")
    code = await chat.locator(".log code", has_text="/link ").last.inner_text()
    await slash(server, "membership link", code.removeprefix("/link "))
    await expect(server.get_by_text("Only you can see this").last).to_be_visible()
    await server.get_by_role("button", name="Confirm").click()
    await chat.get_by_role("button", name="Confirm").click()
    await channel(server, "signals").click()
    await expect(server.locator(".me")).to_contain_text("Members")


async def _read(stage: Stage, chat: Locator, server: Locator) -> None:
    await chat.locator(".rooms").get_by_role("button", name="VIP signals").click()
    await window.candles_until(stage, server.locator(".embed .photo img").first, moment.LEAD + 40)
    title = server.locator(".embed:visible .title").first
    await expect(title).to_have_text(re.compile(r"^[▲▼] (Long|Short) (BTC|ETH)/USDT · 1h · #1$"))
    await expect(chat.locator(".with-photo:visible .text").first).to_contain_text(await title.inner_text())
    # The first answer tells of a target, the second of the end.
    await window.candles_until(stage, server.locator(".answered").nth(1), moment.LONGEST + 40)
    await expect(chat.locator(".quote:visible")).to_have_count(2)
    await channel(server, "lobby").click()
    await slash(server, "signals latest")
    await server.locator(".field input").press_sequentially("et")
    await server.locator(".picker .option", has_text="ETH/USDT").click()
    await server.get_by_role("button", name="Send").click()
    await expect(server.locator(".used").last).to_have_text("/signals latest")
    await expect(server.get_by_text("Latest signals")).to_be_visible()


async def _leave(stage: Stage, chat: Locator, server: Locator) -> None:
    assert stage.world.subscription is not None
    stage.world.stripe.cancel(stage.world.subscription["id"])
    await stage.world.end_paid_period()
    await expect(channel(server, "signals")).to_have_count(0)
    await expect(server.locator(".me")).to_contain_text("no role")
    await expect(chat.locator(".rooms")).to_be_hidden()
    await expect(chat.get_by_text("has ended.")).to_be_visible()


async def test_what_others_write_on_discord_is_shown_as_text_and_never_as_markup(stage: Stage) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    async with window.browsing(stage, window.WIDE) as page:
        await page.goto(stage.phone)
        server = page.locator(".server")
        await slash(server, "membership link", evil)
        await expect(server.get_by_text("That code is not valid")).to_be_visible()
        stage.world.discord.users[MAYA_D].name = evil
        try:
            await slash(server, "plans")
            await expect(server.locator(".asked b").last).to_have_text(evil)
        finally:
            stage.world.discord.users[MAYA_D].name = "Maya"
        assert await page.title() != "owned"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_discord_and_the_channel_fit_a_phone(stage: Stage, scheme: Literal["light", "dark"]) -> None:
    stage.world.discord.add_role(GUILD, MAYA_D, ROLE)
    stage.world.telegram.set_member(VIP, MEMBER, "member")
    async with window.browsing(stage, window.NARROW, scheme) as page:
        await page.goto(stage.phone)
        server = page.locator(".server")
        for name in ("Discord", "You"):
            await page.locator(".tabs button", has_text=name).click()
            assert await window.overflow(page) <= 0, name
        await page.locator(".tabs button", has_text="Discord").click()
        await server.get_by_role("textbox", name="Command").fill("/")
        await expect(server.locator(".picker .option").first).to_be_visible()
        assert await window.overflow(page) <= 0
