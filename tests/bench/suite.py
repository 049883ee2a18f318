"""All measurements in one run, at one of two doses."""

from dataclasses import dataclass, field
from pathlib import Path

from tests import databases
from tests.bench import alone, chat, fanout, ledger, pace, stage, table


@dataclass(frozen=True, slots=True)
class Dose:
    """How much of everything."""

    chat: chat.Dose = field(default_factory=chat.Dose)
    fanout: fanout.Dose = field(default_factory=fanout.Dose)
    pace: pace.Dose = field(default_factory=pace.Dose)
    ledger: ledger.Dose = field(default_factory=ledger.Dose)
    alone: alone.Dose = field(default_factory=alone.Dose)


FULL = Dose()
QUICK = Dose(
    chat.Dose(asks=5, signals=1, crowd=60, pause=0.05),
    fanout.Dose(recipients=100, messages=100, rounds=1),
    pace.Dose(seconds=2.0, runs=1),
    ledger.Dose(recipients=2000, rows=500, rounds=1),
    alone.Dose(charts=3, starts=1, passes=1, candles=100_000),
)


async def measured(folder: Path, maker: databases.Maker, dose: Dose) -> list[table.Row]:
    """Every row of the table; each part has the machine for itself."""
    stage.say("how long people wait")
    rows = await chat.measured(folder / "chat", dose.chat)
    stage.say("what a message costs")
    rows += await fanout.measured(folder / "fanout", maker, dose.fanout)
    rows += await pace.measured(dose.pace)
    stage.say("what the outbox costs")
    rows += await ledger.measured(maker, dose.ledger)
    stage.say("what stands alone")
    return rows + alone.measured(dose.alone)


def notes(dose: Dose) -> list[str]:
    """What a reader of the table must know."""
    return [
        "The product is unmodified, all roles in one process, against the sandbox in another; messages carry charts.",
        f"Fan-outs: {dose.fanout.recipients:,} recipients, TELEGRAM_RATE={fanout.RATE}, "
        f"DELIVERY_WINDOW={fanout.WINDOW}; CPU is user and system time of the product's process, from the candle's "
        "close to the last settled row, without the database server's.",
        "By the clock, the stand-in (one Python process) is the slower side of both senders. Only ratios are worth "
        "quoting from a shared machine.",
    ]
