"""`make demo`: the sandbox and the product on this machine, to be tried by hand, or played as a story unattended."""

import asyncio
import fcntl
import math
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tests.sandbox import demo_story, moment, panel, phone, product, transcript
from tests.sandbox.world import (
    FRIEND,
    LOBBY,
    MAYA_D,
    MEMBER,
    NOAH_D,
    OLGA_D,
    OPERATOR,
    SIGNALS,
    STRANGER,
    VIP,
    NothingHappenedError,
    World,
)

HOME = product.ROOT / ".demo"
PHONE_PORTS = (8090, 8091, 8092)
PRODUCT_PORTS = (8080, 8081, 8082)
OF_A_RUN = ("signalstack.db", "signalstack.db-wal", "signalstack.db-shm", "product.log", "history.jsonl")


class BusyError(Exception):
    """Another demonstration is running in the folder."""


def run(*, once: bool) -> int:
    """The exit code of a whole demonstration: 0 when the story was complete, or when somebody ended the live one."""
    try:
        with _folder(HOME / ("once" if once else "live")) as folder:
            return asyncio.run(_until_stopped(_once(folder) if once else _live(folder)))
    except (BusyError, product.ProductError) as error:
        print(error, file=sys.stderr)
        return 1


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    """The folder, ours alone, without what an earlier run left: the world outside of the product is new each time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"Another demonstration is running in {folder}; end it first.") from None
        for name in OF_A_RUN:
            (folder / name).unlink(missing_ok=True)
        yield folder


async def _until_stopped(work: Awaitable[int]) -> int:
    """The work's exit code; Ctrl-C and SIGTERM end it in good order, once, with 130 unless it says otherwise."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 130


@asynccontextmanager
async def staged(
    folder: Path, *ports: int, markets: moment.Markets | None = None, discord: bool = True
) -> AsyncIterator[tuple[World, product.Product]]:
    """A world, and the product running in it on the first of these ports that is free; see `World.open`."""
    async with World.open(folder, markets=markets, discord=discord) as world:
        shop = product.Product(folder, world.environment(), port=product.free_port(*ports))
        world.expect_events_at(shop.url)
        async with shop:
            yield world, shop


# --- unattended


async def _once(folder: Path) -> int:
    began = time.monotonic()
    async with staged(folder) as (world, shop):
        world.guard = shop.check
        print(f"SignalStack against a sandbox: {world.label}, from {world.exchange.now:%-d %B %Y, %H:%M} UTC.\n")
        outcome = await demo_story.Story(world, shop, _say).told()
        print("\n" + "\n\n".join(_chats(world)) + "\n")
    print(f"History checker: {outcome.verdict}")
    print(f"The whole history: {folder / 'history.jsonl'}")
    if not outcome.missing and outcome.verdict.ok:
        print(f"\nEvery step happened, in {time.monotonic() - began:.0f} s.")
        return 0
    if outcome.missing:
        print(f"\nMissing: {outcome.missing}.\n{outcome.reason}")
    if shop.last_words() not in outcome.reason:
        print(shop.last_words())
    return 1


def _chats(world: World) -> list[str]:
    who = {MEMBER: "a new member", FRIEND: "has a gift", STRANGER: "never pays", OPERATOR: "the operator"}
    shown = [transcript.chat(world.telegram, user, about) for user, about in who.items()]
    if not world.both:
        return shown
    shown += [transcript.place(world.telegram, VIP)] if world.telegram.chat(VIP) else []
    shown += [transcript.channel(world.discord, one) for one in (LOBBY, SIGNALS) if world.discord.messages(one)]
    on_discord = {MAYA_D: "a new member", NOAH_D: "never pays", OLGA_D: "the operator"}
    asked = {one.user.id for one in world.discord.interactions.values()}
    seen = {user: about for user, about in on_discord.items() if user in asked or world.discord.dm(user)}
    return shown + [transcript.person(world.discord, user, about) for user, about in seen.items()]


def _say(line: str) -> None:
    print(line, flush=True)


# --- by hand


async def _live(folder: Path) -> int:
    _say("Starting the sandbox and the product …")
    try:
        async with staged(folder, *PRODUCT_PORTS) as (world, shop), visited(world, shop.url, *PHONE_PORTS) as url:
            _say(_welcome(world, shop, url))
            return await _attended(world, shop)
    except asyncio.CancelledError:
        _say("\nStopped.")
        return 0


@asynccontextmanager
async def visited(world: World, product_url: str, *ports: int) -> AsyncIterator[str]:
    """The phone page over this world, at the address it yields."""
    beside = panel.Panel(world, product_url)
    on_discord = world.discord if world.both else None
    page = phone.Phone(world.telegram, panel.SEATS, facts=beside.facts, deeds=beside.deeds, discord=on_discord)
    async with phone.serving(page, product.free_port(*ports)) as url:
        yield url


def _welcome(world: World, shop: product.Product, url: str) -> str:
    return f"""
SignalStack is running on this machine, against stand-ins for Telegram, Discord, Stripe and the exchange
({world.label}). No account, no money, no network.

  {url:<28}  begin here: you are a new member in a chat; subscribe, pay, get signals
  {shop.url + "/":<28}  the status page that everybody can see

Log and history lie in {shop.folder}. Ctrl-C ends it.
"""


async def _attended(world: World, shop: product.Product) -> int:
    """Goes on until cancelled; 1 when the product ends by itself."""
    async with asyncio.TaskGroup() as jobs:
        work = [world.play(), _others_come(world), _market_starts(world)]
        running = [jobs.create_task(one) for one in work]
        await shop.ended()
        for job in running:
            job.cancel()
    _say(f"The product has ended by itself.\n{shop.last_words()}")
    return 1


async def _others_come(world: World) -> None:
    """Noah and Olga have asked something already when the visitor looks at them."""
    for user, question in ((STRANGER, "/latest"), (OPERATOR, "/service")):
        await world.telegram.start(user)
        with suppress(NothingHappenedError):
            await world.message(user, "Welcome", within=30)
        await world.telegram.say(user, question)


async def _market_starts(world: World) -> None:
    """The market begins to move when somebody has paid, so that no newcomer misses the first signal."""
    seen = world.history
    await world.until(
        lambda: world.pace or seen.of("stripe_paid") or seen.of("telegram_stars_paid"), math.inf, "somebody pays"
    )
    world.pace = world.pace or panel.PACE
