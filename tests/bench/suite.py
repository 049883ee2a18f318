"""All measurements in one run, at one of two doses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests import databases
from tests.bench import alone, api, backtest, chat, fanout, idle, ledger, pace, stage, table, webhook


class Dose(NamedTuple):
    """How much of everything."""

    waiting: chat.Dose = chat.Dose()
    sending: fanout.Dose = fanout.Dose()
    pacing: pace.Dose = pace.Dose()
    outbox: ledger.Dose = ledger.Dose()
    single: alone.Dose = alone.Dose()
    tested: backtest.Dose = backtest.Dose()
    asked: api.Dose = api.Dose()
    told: webhook.Dose = webhook.Dose()
    idle: int = 5000  # streams; none in a small dose, because a beat takes its time


FULL = Dose()
QUICK = Dose(
    chat.Dose(asks=4, signals=1, crowd=25, few=5, pause=0.03),
    fanout.Dose(recipients=80, messages=80, rounds=1),
    pace.Dose(seconds=1.5, runs=1),
    ledger.Dose(recipients=2000, rows=500, rounds=1),
    alone.Dose(charts=3, starts=1, passes=1, candles=100_000),
    backtest.Dose(candles=(5_000,), rounds=1, starts=1, peers=False),
    api.Dose(requests=8, at_once=4, rounds=1, signals=6),
    webhook.Dose(events=200, rounds=1, peers=False),
    idle=0,
)


async def measured(folder: Path, maker: databases.Maker, dose: Dose) -> list[table.Row]:
    """Every row of the table; each part has the machine for itself."""
    with _compiled():
        return await _measured(folder, maker, dose)


@contextmanager
def _compiled() -> Iterator[None]:
    """Programs started in this block load compiled code, as an installed product does, whatever this machine says."""
    before = os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["PYTHONDONTWRITEBYTECODE"] = before


async def _measured(folder: Path, maker: databases.Maker, dose: Dose) -> list[table.Row]:
    stage.say("how long people wait")
    rows = await chat.measured(folder / "chat", dose.waiting)
    stage.say("what a message costs")
    rows += await fanout.measured(folder / "fanout", maker, dose.sending)
    rows += await pace.measured(dose.pacing)
    stage.say("what the outbox costs")
    rows += await ledger.measured(maker, dose.outbox)
    stage.say("what the members' API costs")
    rows += await api.measured(maker, dose.asked)
    stage.say("what a provider's event costs")
    rows += await webhook.measured(maker, dose.told)
    if dose.idle:
        stage.say("what an idle stream costs")
        quiet = await idle.measure(folder / "idle", maker.filled(), dose.idle)
        what = f"{quiet.streams:,} idle streams in {quiet.processes} processes: memory of each"
        rows.append(table.Row(what, quiet.kilobytes, "kB"))
    stage.say("what stands alone")
    rows += alone.measured(dose.single)
    stage.say("what a backtest costs")
    return rows + backtest.measured(folder / "backtest", dose.tested)


def notes(dose: Dose) -> list[str]:
    """What a reader of the table must know."""
    return [
        "The product is unmodified, all roles in one process, against the sandbox in another; signals carry charts.",
        f"Fan-outs: {dose.sending.recipients:,} recipients at {fanout.RATE}/s with {fanout.WINDOW} in flight at most.",
        "Their CPU is user and system time of the product's process, from the candle's close to the last settled row.",
        "By the clock, the stand-in (one Python process) may be the slower side of both senders.",
        backtest.note(dose.tested),
        webhook.note(dose.told),
        api.NOTE,
        "Only ratios are worth quoting from a shared machine.",
    ]
