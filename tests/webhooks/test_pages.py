"""The public pages: light enough for a bad connection, in the operator's own colours, and with the operator's words."""

import re
from pathlib import Path
from typing import Any

from core import catalogue, look
from tests.webhooks import filled
from tests.webhooks.conftest import World
from tests.webhooks.test_status import PAGES, get

MOST = 100_000
PNG = b"\x89PNG\r\n\x1a\n"


async def weight(world: World, path: str) -> int:
    """The bytes of a page and of everything that it brings along."""
    _, text = await get(world, path)
    total = len(text.encode())
    for part in set(re.findall(r'(?:src|rel="(?:icon|stylesheet)" href)="([^"]+)"', text)):
        async with world.http.get(world.url + part) as answer:
            assert answer.status == 200, part
            total += len(await answer.read())
    return total


async def test_every_page_weighs_less_than_100_kb_with_the_largest_logo(worlds: Any, tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(PNG + bytes(look.LOGO_BYTES - len(PNG)))
    watches = tuple(catalogue.Watch(symbol=f"COIN{number}/USDT") for number in range(40))
    plan = catalogue.Plan(key="all", name="All", description="x" * 300)
    service = catalogue.Service(logo=str(logo), terms="x" * 3000, privacy="x" * 3000)
    world = await worlds(book=catalogue.Catalogue(service=service, watches=watches, plans=(plan,)))
    await filled.fill(world)
    weights = {path: await weight(world, path) for path in PAGES}
    assert max(weights.values()) < MOST, weights
    assert weights["/"] > 2 * look.LOGO_BYTES  # the logo, the picture and the files were counted


async def test_text_travels_compressed_for_whoever_can_read_that(world: World) -> None:
    await filled.fill(world)
    for path in ("/", "/static/site.css", "/static/live.js"):
        async with world.http.get(world.url + path, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert len(await answer.read()) > 2 * int(answer.headers["Content-Length"])
        async with world.http.get(world.url + path, headers={"Accept-Encoding": "identity"}) as answer:
            assert "Content-Encoding" not in answer.headers
            assert path == "/" or answer.headers["Vary"] == "Accept-Encoding"


async def test_pages_are_in_the_operators_colours(worlds: Any) -> None:
    ours = await worlds()
    mine = await worlds(book=catalogue.Catalogue(service=catalogue.Service(colour="#1D4ED8", colour_dark="#93c5fd")))
    sheets = []
    for world in (ours, mine):
        (address,) = re.findall(r'rel="stylesheet" href="([^"]+)"', (await get(world, "/plans"))[1])
        sheets.append((address, (await get(world, address))[1]))
    assert sheets[0][0] != sheets[1][0]  # or browsers would keep the old one
    assert sheets[0][1].find("#1d4ed8") < 0
    assert sheets[1][1].endswith(
        ":root{--accent:#1d4ed8;--on-accent:#ffffff}"
        "@media(prefers-color-scheme:dark){:root{--accent:#93c5fd;--on-accent:#000000}}"
    )
    assert "#1d4ed8" in (await get(mine, "/static/mark.svg"))[1]


async def test_the_operators_logo_stands_on_every_page(worlds: Any, tmp_path: Path) -> None:
    logo = tmp_path / "logo.webp"
    logo.write_bytes(b"RIFF....WEBPVP8 ")
    world = await worlds(book=catalogue.Catalogue(service=catalogue.Service(logo=str(logo))))
    for path in PAGES:
        assert re.search(r'<img src="/static/logo\?v=\w+" alt="" height="28">', (await get(world, path))[1]), path
    async with world.http.get(world.url + "/static/logo") as answer:
        assert (answer.content_type, await answer.read()) == ("image/webp", logo.read_bytes())


async def test_without_a_logo_there_is_none(world: World) -> None:
    assert (await get(world, "/static/logo"))[0] == 404


async def test_plans_have_prices_and_a_way_to_join_on_each_chat(worlds: Any) -> None:
    service = catalogue.Service(discord_invite="https://discord.gg/abc-123")
    world = await worlds()
    plans = world.stack.catalogue.plans
    both = await worlds(book=world.stack.catalogue.model_copy(update={"service": service}), **_same(world))
    await filled.fill(both)
    status, text = await get(both, "/plans")
    assert status == 200
    for words in (
        plans[0].name,
        "29.00 USD",
        "every month",
        'href="https://t.me/blue_harbour_bot?start=plans"',
        'href="https://discord.gg/abc-123"',
        "BTC/USDT, ETH/USDT",
    ):
        assert words in text, words


def _same(world: World) -> dict[str, Any]:
    conf = world.stack.settings
    return {
        "stripe_price_id": conf.stripe_price_id,
        "stripe_api_url": conf.stripe_api_url,
        "stripe_api_key": conf.stripe_api_key,
    }


async def test_terms_keep_their_paragraphs_and_are_no_markup(worlds: Any) -> None:
    service = catalogue.Service(terms="One.\n\n<b>Two.</b>", privacy="Three & four.")
    world = await worlds(book=catalogue.Catalogue(service=service))
    assert "One.\n\n&lt;b&gt;Two.&lt;/b&gt;</p>" in (await get(world, "/terms"))[1]
    assert "Three &amp; four.</p>" in (await get(world, "/privacy"))[1]


async def test_every_page_has_a_language_a_title_one_heading_and_a_way_past_the_navigation(world: World) -> None:
    titles = set()
    for path in PAGES:
        _, text = await get(world, path)
        assert '<html lang="en">' in text
        assert text.count("<h1") == 1
        assert 'class="skip" href="#content"' in text
        titles.update(re.findall("<title>(.+)</title>", text))
    assert len(titles) == len(PAGES)
