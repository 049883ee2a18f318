"""One sender of messages as a process of its own, so that its processor time is nobody else's.

Run as `python -m tests.bench.senders KIND` with a job as one line of JSON on its input; prints one line of JSON:
messages, cpu seconds (user and system, all threads), wall seconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import orjson

Body = dict[str, Any]
Send = Callable[[Body], Awaitable[None]]

WARM = 0.1
"""Share of the messages that are sent before the measuring begins: connections are open then."""


async def bare(job: Body, opened: AsyncExitStack) -> Send:
    """Nothing but aiohttp: encode, post, read, decode, look whether it went well."""
    connector = aiohttp.TCPConnector(limit=job["at_once"])
    session = await opened.enter_async_context(
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
    )
    url, headers = f"{job['url']}/bot{job['token']}/sendPhoto", {"Content-Type": "application/json"}

    async def send(body: Body) -> None:
        async with session.post(url, data=orjson.dumps(body), headers=headers) as answer:
            if not orjson.loads(await answer.read())["ok"]:
                raise RuntimeError("refused")

    return send


async def _api(job: Body, opened: AsyncExitStack) -> Any:
    from bot.platforms.telegram import api
    from core import settings

    values = {
        "telegram_bot_token": job["token"],
        "telegram_api_url": job["url"],
        "delivery_window": job["at_once"],
    }
    bot = api.Api(settings.Settings(_env_file=None, **values))
    await bot.open()
    opened.push_async_callback(bot.close)
    return bot


async def call(job: Body, opened: AsyncExitStack) -> Send:
    """The product's connection to Telegram, given finished parameters."""
    bot = await _api(job, opened)

    async def send(body: Body) -> None:
        await bot.call("sendPhoto", body)

    return send


async def send(job: Body, opened: AsyncExitStack) -> Send:
    """The product's whole sending room: a message of ours into HTML, the request, the answer's meaning."""
    from bot import messages, platforms
    from bot.platforms.telegram import sending
    from core import catalogue
    from core.delivery import outcomes
    from tests.bot import signals

    bot = await _api(job, opened)
    message = messages.signals.opening(signals.make(), catalogue.Catalogue().service)

    async def deliver(body: Body) -> None:
        parcel = platforms.Parcel(str(body["chat_id"]), message, protect=True, file_id=body["photo"])
        outcome = await sending.send(bot, parcel, "bot")
        if not isinstance(outcome, outcomes.Sent):
            raise TypeError(str(outcome))

    return deliver


async def shipped(job: Body, opened: AsyncExitStack) -> Send:
    """python-telegram-bot as it comes: its Bot over its own transport, with the pool that its Application takes."""
    import telegram
    from telegram.request import HTTPXRequest

    bot = telegram.Bot(
        job["token"], base_url=f"{job['url']}/bot", request=HTTPXRequest(connection_pool_size=256, pool_timeout=60)
    )
    await opened.enter_async_context(bot)

    async def post(body: Body) -> None:
        given = {name: value for name, value in body.items() if name != "reply_markup"}
        await bot.send_photo(**given)

    return post


KINDS = {"bare": bare, "call": call, "send": send, "shipped": shipped}


async def measure(kind: str, job: Body, bodies: list[Body]) -> dict[str, float]:
    """What sending every body cost, after a warm-up with the first of them."""
    async with AsyncExitStack() as opened:
        one = await KINDS[kind](job, opened)
        await _all(one, bodies[: max(job["at_once"], int(WARM * len(bodies)))], job["at_once"])
        cpu, wall = time.process_time(), time.perf_counter()
        await _all(one, bodies, job["at_once"])
        return {
            "messages": len(bodies),
            "cpu": time.process_time() - cpu,
            "seconds": time.perf_counter() - wall,
        }


async def _all(one: Send, bodies: list[Body], at_once: int) -> None:
    waiting = iter(bodies)
    async with asyncio.TaskGroup() as jobs:
        for _ in range(at_once):
            jobs.create_task(_some(one, waiting))


async def _some(one: Send, waiting: Iterator[Body]) -> None:
    for body in waiting:
        await one(body)


def main(kind: str) -> None:
    """The job on our input was done, and what it cost was printed."""
    job = orjson.loads(sys.stdin.readline())
    bodies = orjson.loads(Path(job["bodies"]).read_bytes())[: job["count"]]
    print(json.dumps(asyncio.run(measure(kind, job, bodies))))


if __name__ == "__main__":
    main(sys.argv[1])
