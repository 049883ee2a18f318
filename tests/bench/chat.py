"""How long a person waits: from a command to its answer, from a candle to the first message about it."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stage, table
from tests.proofs import community
from tests.sandbox import checker_reading

ANSWERED = table.Goal("figure", "≤", 100, "ms")
LEFT = table.Goal("figure", "≤", 500, "ms")
_MOST_CANDLES = 400


@dataclass(frozen=True, slots=True)
class Dose:
    """How many times each command is asked, how many signals are awaited, how many messages a fan-out has."""

    asks: int = 100
    signals: int = 12
    crowd: int = 300
    few: int = 20  # who get the awaited signals; a crowd would only make the benchmark longer
    pause: float = 0.1  # seconds between two asks: far below what the product can answer, so nothing queues up


async def measured(folder: Path, dose: Dose) -> list[table.Row]:
    """The rows about waiting: the whole product in one process on SQLite, with its default limits."""
    few, asking = dose.few, 3 * dose.asks
    people = community.Community(members=few + dose.crowd + asking, paying=few)
    async with stage.playing(folder, stage.sqlite_url(folder), stage.Play(people)) as on:
        rows = await _signals(on, dose.signals)
        first = people.chats.start + few
        askers = iter(people.chats[few + dose.crowd :])
        rows += await _asked(on, dose, askers)
        await on.subscribe(range(first, first + dose.crowd))
        return rows + await _asked_meanwhile(on, dose, askers)


async def _signals(on: stage.Stage, wanted: int) -> list[table.Row]:
    """How long the first message about a signal takes, from the arrival of its deciding candle."""
    free: dict[int, float] = {}
    queued: dict[int, float] = {}
    for _ in range(_MOST_CANDLES):
        await _rested(on)
        await on.candle()
        await on.drained()
        free, queued = _waits(on)
        if len(free) >= wanted:
            break
    waits, what = list(free.values()), "candle arrives → first message"
    rows = [
        table.Row(f"{what}, {len(waits)} signals, {name}", value, "ms", goal=LEFT)
        for name, value in (("p50", table.quantile(waits, 0.5)), ("max", max(waits)))
    ]
    late = list(queued.values())
    told = f"same, {len(late)} signals behind messages of their own candle, max"
    return [*rows, table.Row(told, max(late), "ms")] if late else rows


async def _rested(on: stage.Stage) -> None:
    """No chat has had a message for a second, its limit: out there candles are minutes apart."""
    sent = on.around.history.of("telegram_message")
    if sent:
        await asyncio.sleep(max(0.0, 1.1 - (time.time() - float(sent[-1]["at"]))))


def _waits(on: stage.Stage) -> tuple[dict[int, float], dict[int, float]]:
    """For each signal, milliseconds from the answer that brought its deciding candle to the first message, in two
    parts: those whose candle had caused no message yet, and those that had to wait for the limits of their chats.
    """
    events = on.around.history.events
    free: dict[int, float] = {}
    queued: dict[int, float] = {}
    for copy in checker_reading.openings(events):
        if copy.signal in free or copy.signal in queued or not events[copy.n]["has_photo"]:
            continue
        close, arrival = _arrival(on, copy)
        alone = all(row["event"] != "telegram_message" for row in events[close : copy.n])
        (free if alone else queued)[copy.signal] = 1000 * (copy.at - arrival)
    return free, queued


def _arrival(on: stage.Stage, copy: checker_reading.Copy) -> tuple[int, float]:
    """The event of the deciding candle's close, and when the exchange was first asked for that candle after it."""
    events, symbol = on.around.history.events[: copy.n], copy.market[0]
    closes = (
        row["n"] for row in reversed(events) if row["event"] == "exchange_candle_closed" and row["symbol"] == symbol
    )
    close = next(closes)
    asked = (
        float(row["at"])
        for row in events[close:]
        if row["event"] == "exchange_request" and "klines" in row["path"] and row["symbol"] == symbol
    )
    return close, next(asked)


async def _asked(on: stage.Stage, dose: Dose, askers: Iterator[int]) -> list[table.Row]:
    """Each command asked by people who all write for the first time in a while, one after another."""
    rows = []
    for words in ("/status", "/latest"):
        waits = await _answers(on, words, list(itertools.islice(askers, dose.asks)), dose.pause)
        rows += _shares(f"{words} → answer, {len(waits)} asks", waits, ANSWERED)
    return rows


async def _asked_meanwhile(on: stage.Stage, dose: Dose, askers: Iterator[int]) -> list[table.Row]:
    """The same while a signal is on its way to a crowd, as fast as Telegram's usual limit allows."""
    before = len(checker_reading.openings(on.around.history.events))
    for _ in range(_MOST_CANDLES):
        state = await on.candle()
        if state.unsettled > dose.crowd / 2 and len(checker_reading.openings(on.around.history.events)) > before:
            break
        await on.drained()
    waits = await _answers(on, "/status", list(itertools.islice(askers, dose.asks)), dose.pause)
    left = (await community.ledger(on.database)).unsettled
    return _shares(f"/status during a fan-out ({state.unsettled} → {left} waiting)", waits, None)


async def _answers(on: stage.Stage, words: str, chats: list[int], pause: float) -> list[float]:
    """Milliseconds from each person's update to the answer in their chat."""
    since = len(on.around.history.events)
    updates: dict[int, int] = {}
    for chat in chats:
        updates[int((await on.around.telegram.say(chat, words))["update_id"])] = chat
        await asyncio.sleep(pause)
    await on.around.until(lambda: all(_answered(on, chat) for chat in chats), 30, f"everybody has an answer to {words}")
    events = on.around.history.events[since:]
    asked = {updates[row["update_id"]]: row["at"] for row in events if row["event"] == "telegram_update"}
    told = {row["chat_id"]: row["at"] for row in reversed(events) if row["event"] == "telegram_message"}
    return [1000 * (told[chat] - asked[chat]) for chat in chats]


def _answered(on: stage.Stage, chat: int) -> bool:
    return any(message.from_bot for message in on.around.telegram.chat(chat))


def _shares(what: str, waits: list[float], goal: table.Goal | None) -> list[table.Row]:
    return [
        table.Row(f"{what}, p50", table.quantile(waits, 0.5), "ms", goal=goal),
        table.Row(f"{what}, p99", table.quantile(waits, 0.99), "ms", goal=goal),
    ]
