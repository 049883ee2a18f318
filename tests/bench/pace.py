"""How much of Telegram's limit the pacer uses, and whether it ever goes over it.

Run as a program with a job on its input, it sends for some seconds through one pacer, with a loop that stands still for
120 ms each second if asked to; prints how many messages Telegram took and how many it refused.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from core.delivery import pacing
from tests.bench import fanout, stage, table
from tests.sandbox import history, server, telegram

SHARE = table.Goal("figure", "≥", 94, "%")
NONE = table.Goal("figure", "≤", 0, "refused")
STRICT = 30
_CHATS = 100_001
_AT_ONCE = 30


@dataclass(frozen=True, slots=True)
class Dose:
    """Seconds of sending, and how often; senders with and without stalls run side by side, each with its Telegram."""

    seconds: float = 10.0
    runs: int = 2


async def measured(dose: Dose) -> list[table.Row]:
    """The rows about pacing."""
    stage.say(f"  pacing for {dose.seconds:.0f} s, {dose.runs} runs of each kind")
    stalls = (0.0, 0.12)
    # Two at a time: with more, the senders of a small machine hold each other up.
    found = [await asyncio.gather(*(_run(dose.seconds, stall) for stall in stalls)) for _ in range(dose.runs)]
    rows = []
    for mine, what in zip(
        zip(*found, strict=True), ("B3: pacing", "B3: pacing, 120 ms stall each second"), strict=True
    ):
        share, refused = min(share for share, _ in mine), sum(count for _, count in mine)
        rows.append(table.Row(f"{what}, worst of {dose.runs} runs", share, "% of 30/s", goal=SHARE))
        rows.append(table.Row(f"{what}, 429 answers", refused, "refused", goal=NONE))
    return rows


async def _run(seconds: float, stall: float) -> tuple[float, int]:
    """The share of 30 messages a second that arrived, in percent, and how many were refused, by Telegram's account."""
    account = history.History()
    stand_in = telegram.Telegram(account)
    for chat in range(_CHATS, _CHATS + int(STRICT * (seconds + 2))):
        stand_in.person(chat, "Member", started=True)
    async with server.serving(stand_in.app) as url:
        job = {"url": url, "token": stand_in.token, "seconds": seconds, "stall": stall}
        await fanout.spoken("tests.bench.pace", told=orjson.dumps(job))
    times = [row["at"] for row in account.of("telegram_message")]
    refused = len(account.of("telegram_refused")) + len(account.of("telegram_request_in_pause"))
    return 100 * (len(times) - 1) / (STRICT * (times[-1] - times[0])), refused


async def _send(job: dict[str, Any]) -> dict[str, int]:
    pacer, chats = pacing.Pacer("telegram", pacing.Limits()), itertools.count(_CHATS)
    answers: list[int] = []
    async with aiohttp.ClientSession(trust_env=False) as session:
        url = f"{job['url']}/bot{job['token']}/sendMessage"
        work = [asyncio.create_task(_one(pacer, session, url, chats, answers)) for _ in range(_AT_ONCE)]
        work.append(asyncio.create_task(_stand_still(job["stall"])))
        await asyncio.sleep(job["seconds"])
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    return {"sent": answers.count(200), "refused": len(answers) - answers.count(200)}


async def _one(
    pacer: pacing.Pacer, session: aiohttp.ClientSession, url: str, chats: Iterator[int], answers: list[int]
) -> None:
    for chat in chats:
        await pacer.acquire(str(chat))
        async with session.post(url, json={"chat_id": chat, "text": "On its way."}) as answer:
            answers.append(answer.status)
            if answer.status == 429:
                await pacer.pause((await answer.json())["parameters"]["retry_after"])


async def _stand_still(seconds: float) -> None:
    while seconds:
        await asyncio.sleep(1 - seconds)
        time.sleep(seconds)  # noqa: ASYNC251 - the loop is meant to stand still


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_send(orjson.loads(sys.stdin.readline())))))
