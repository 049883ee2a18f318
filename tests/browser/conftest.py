"""The stage of the browser tests: a world, the product in it, its phone page, and a browser. Without one, no test."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright import async_api

from tests.browser import chromium
from tests.sandbox import demo, market_history, product, world

if not chromium.found():
    collect_ignore_glob = ["test_*.py"]

START = datetime(2023, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stage:
    """A running world; `phone` is the address of the phone page."""

    world: world.World
    shop: product.Product
    phone: str
    browser: async_api.Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The same stage for all tests of a module, which are played in order."""
    walks = {symbol: market_history.simulate(symbol, START, START + timedelta(days=40)) for symbol in world.SYMBOLS}
    markets = {symbol: {world.TIMEFRAME: market_history.aggregate(walk, "1h")} for symbol, walk in walks.items()}
    folder = tmp_path_factory.mktemp("stage")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its own sandbox to root
    async with (
        demo.staged(folder, markets=markets) as (made, shop),
        demo.visited(made, shop.url) as phone,
        async_api.async_playwright() as play,
    ):
        made.guard = shop.check
        browser = await play.chromium.launch(executable_path=chromium.found(), args=flags)
        yield Stage(made, shop, phone, browser)
        await browser.close()
