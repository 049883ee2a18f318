"""Secrets that are easy to find: after a story with every kind of mishap, at the loudest log level, nobody finds them.

Each of them contains the same word. It is looked for in every log, in the whole database, on every page and in every
chat; whole lines are shown when it is there.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import redis.asyncio
from sqlalchemy import make_url, text

from core import models
from tests import databases, servers
from tests.proofs import community, theatre
from tests.sandbox import product, stripe_server, telegram, visitor

WORD = "canary"
TELEGRAM = "100001:AAtelegram-canary-0123456789abcdef"
STRIPE = "sk_test_stripecanary0123456789"
HOOKS = ("whsec_firstcanary0123456789", "second-canary-without-the-usual-shape")
KEY = "secret-key-canary-0123456789"
DATABASE, REDIS = "database-canary", "redis-canary"
FORGED = {"Stripe-Signature": "t=1,v1=" + "0" * 64}


@dataclass
class Scene:
    """The theatre, its servers, and everything that the product has shown to anybody."""

    stage: theatre.Theatre
    postgres: servers.Postgres
    cache: servers.Redis
    shown: list[str] = field(default_factory=list)

    async def look(self, url: str, method: str = "GET", **given: object) -> int:
        """The status of the answer, whose headers and words are remembered; 0 when none came."""
        with suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=20)) as http,
                http.request(method, url, allow_redirects=False, **given) as answer,  # type: ignore[arg-type]
            ):
                self.shown.append(f"{url}\n{answer.headers}\n{await answer.text()}")
                return answer.status
        return 0

    async def command(self, *words: str, **settings: str) -> int:
        """The exit code of this command of the product, whose output is remembered."""
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *words),
            cwd=self.stage.folder,
            env={**product.Product(self.stage.folder, self.stage.settings).env, **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await run.communicate()
        self.shown.append(said.decode())
        return run.returncode or 0


@pytest.fixture
async def scene(tmp_path: Path, own_postgres: servers.Postgres, own_redis: servers.Redis) -> AsyncIterator[Scene]:
    """A world whose every secret is a canary."""
    await databases.create_tables(own_postgres.url)
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        await client.config_set("requirepass", REDIS)
    database = make_url(own_postgres.url).set(password=DATABASE).render_as_string(hide_password=False)
    cache = own_redis.url.replace("//", f"//:{REDIS}@")
    people = community.Community(6, 4)
    async with theatre.opened(tmp_path, database, cache, people, 3, SECRET_KEY=KEY, LOG_LEVEL="debug") as stage:
        world = stage.around
        world.telegram.token, world.stripe.api.api_key, world.stripe.secrets = TELEGRAM, STRIPE, list(HOOKS)
        secrets = {"TELEGRAM_BOT_TOKEN": TELEGRAM, "STRIPE_API_KEY": STRIPE, "STRIPE_WEBHOOK_SECRET": ",".join(HOOKS)}
        stage.settings = {**stage.settings, **secrets}
        yield Scene(stage, own_postgres, own_redis)


@pytest.mark.timeout(300)
async def test_x01_no_secret_is_ever_shown(scene: Scene) -> None:
    stage, around = scene.stage, scene.stage.around
    await refused_starts(scene)
    run = stage.company("product")
    around.expect_events_at(run.url)
    await run.start()
    link = await subscribed(scene)
    await stage.signal()
    await mishaps(scene, run)
    await pages(scene, run.url, link)
    await stage.drained()
    around.telegram.faults.add(
        telegram.Fault(telegram.Kind.REFUSE, code=401, times=3)
    )  # the last word, as it pauses all
    await around.telegram.say(stage.people.chats[0], "/status")
    await stage.until(lambda: around.history.of("telegram_refused", code=401), 20, "the token is refused")
    await pages(scene, run.url, link)
    assert await run.stop() == 0

    assert hits("\n".join(scene.shown)) == []
    assert hits(logs(stage.folder)) == []
    assert hits(chats(around.telegram)) == []
    assert hits(await content(stage)) == []
    assert '"level": "debug"' in logs(stage.folder), "the log is at its loudest"


async def refused_starts(scene: Scene) -> None:
    """Starts that fail for each server in turn, and what they say."""
    away = scene.stage.settings["DATABASE_URL"].replace(str(scene.postgres.port), "1")
    nowhere = "redis://:redis-canary@127.0.0.1:1/0"
    codes = await asyncio.gather(
        scene.command("run", "bot", DATABASE_URL=away),
        scene.command("run", "bot", TELEGRAM_BOT_TOKEN=TELEGRAM + "-wrong"),
        scene.command("check", DATABASE_URL=away, REDIS_URL=nowhere, STRIPE_API_KEY="rk-canary"),
        scene.command("run", STRIPE_WEBHOOK_SECRET="", SECRET_KEY=WORD, TELEGRAM_BOT_TOKEN=WORD),
    )
    assert list(codes) == [1, 78, 1, 78], scene.shown


async def subscribed(scene: Scene) -> str:
    """Somebody has paid, at the second try; the link that led to the checkout."""
    around = scene.stage.around
    buyer = 1001
    await around.telegram.start(buyer)
    await around.message(buyer, "Welcome")
    await around.telegram.say(buyer, "/subscribe")
    offer = await around.message(buyer, "29.00")
    link = next(str(button["url"]) for row in offer.buttons for button in row if "url" in button)
    around.stripe.api.faults.append(stripe_server.Fault("POST", "/v1/checkout/sessions", "500", count=None))
    async with visitor.Visitor() as browser:
        page = await browser.look(link)
        with pytest.raises(visitor.PageError) as failed:
            await browser.press(page, "Continue to payment")
        scene.shown.append(str(failed.value))
        around.stripe.api.faults.clear()
        page = await browser.press(page, "Continue to payment")
        page = await browser.press(page, "Pay", email="maya@example.com")
        scene.shown.append(page.text)
    await around.message(buyer, "is on.")
    return link


async def mishaps(scene: Scene, run: product.Product) -> None:
    """Everything that the product stands on fails once."""
    stage, faults = scene.stage, scene.stage.around.telegram.faults
    for kind in (telegram.Kind.DROP, telegram.Kind.STORE_THEN_HTML, telegram.Kind.STORE_THEN_502):
        faults.add(telegram.Fault(kind, "sendMessage"))
    faults.add(telegram.Fault(telegram.Kind.REFUSE, "getUpdates", code=404))
    faults.add(telegram.Fault(telegram.Kind.DROP, "getUpdates"))
    stage.around.stripe.api.faults.append(stripe_server.Fault("*", "/v1/.*", "drop", count=2))
    body = '{"id": "evt_1", "object": "event", "type": "x"}'
    for name in ("stripe", "telegram", "nobody"):
        assert await scene.look(f"{run.url}/webhooks/{name}", "POST", data=body, headers=FORGED) >= 400
    await stage.around.telegram.say(stage.people.chats[0], "/status")
    await asyncio.to_thread(scene.postgres.stop, signal.SIGQUIT)
    await asyncio.to_thread(scene.cache.stop, signal.SIGKILL)
    for path in ("/", "/readyz", "/metrics"):
        await scene.look(f"{run.url}{path}")
    await asyncio.to_thread(scene.postgres.start)
    await stage.around.telegram.say(stage.people.chats[1], "/status")
    await asyncio.to_thread(scene.cache.start)  # without a password now: it refuses ours
    await stage.signal()
    await stage.drained()


async def pages(scene: Scene, url: str, link: str) -> None:
    """Every page, and addresses that are none."""
    for path in ("/", "/metrics", "/readyz", "/healthz", "/thanks", "/checkout/forged.token", "/portal/forged", "/404"):
        assert await scene.look(f"{url}{path}") > 0
    assert await scene.look(link) == 200
    await scene.look(link, "POST")


def hits(words: str) -> list[str]:
    """The lines that contain the word."""
    return [line[:500] for line in words.splitlines() if WORD in line.lower()]


def logs(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*.log"))


def chats(world: telegram.Telegram) -> str:
    return "\n".join(
        f"{message.text} {message.markup} {message.options}" for number in world.chats for message in world.chat(number)
    )


async def content(stage: theatre.Theatre) -> str:
    """Every row of every table."""
    rows: list[str] = []
    async with stage.database.reading() as session:
        for name in models.Base.metadata.tables:
            found = await session.scalars(text(f"SELECT '{name} ' || encode(t::text::bytea, 'escape') FROM {name} t"))  # noqa: S608
            rows += found.all()
        bodies = await session.scalars(text("SELECT encode(body, 'escape') FROM inbox WHERE body IS NOT NULL"))
        rows += bodies.all()
    assert len(rows) > 50
    return "\n".join(rows)
