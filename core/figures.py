"""Figures that only live in a process's memory, added up in the database, so that one page shows those of all roles.

They are written with the heartbeats, so at most a few seconds of them are lost with a process.
"""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import db
from core.models import Figure

SCAN, LIMITER, EXCHANGE, BACKUP = "scan_seconds", "limiter_wait_seconds", "exchange_errors", "backup_moment"
BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of what is observed; a last one has none."""
SUM = "sum"
_Key = tuple[str, str, str]


class Figures:
    """What this process has counted and not written yet."""

    def __init__(self) -> None:
        self._counted: dict[_Key, float] = {}

    def count(self, name: str, label: str = "", by: float = 1) -> None:
        """The counter has grown by so much."""
        self._add((name, label, ""), by)

    def observe(self, name: str, label: str, seconds: float) -> None:
        """The time is in its bucket of the histogram, and in the histogram's sum."""
        bound = next((str(one) for one in BUCKETS if seconds <= one), "+Inf")
        self._add((name, label, bound), 1)
        self._add((name, label, SUM), max(0.0, seconds))

    def take(self) -> Mapping[_Key, float]:
        """All that was counted since; the caller writes it or puts it back."""
        counted, self._counted = self._counted, {}
        return counted

    def put_back(self, counted: Mapping[_Key, float]) -> None:
        """What could not be written counts again."""
        for key, value in counted.items():
            self._add(key, value)

    def _add(self, key: _Key, by: float) -> None:
        self._counted[key] = self._counted.get(key, 0.0) + by


async def write(session: AsyncSession, counted: Mapping[_Key, float]) -> None:
    """What was counted is in the sums of all processes."""
    rows = [
        {"name": name, "label": label[:60], "le": le, "value": value} for (name, label, le), value in counted.items()
    ]
    if rows:  # in one order in every process, because rows stay locked until the end of the transaction
        rows.sort(key=lambda row: (row["name"], row["label"], row["le"]))
        new = db.insert(session, Figure).values(rows)
        more = {"value": Figure.value + new.excluded.value}
        await session.execute(new.on_conflict_do_update(index_elements=["name", "label", "le"], set_=more))


async def keep(session: AsyncSession, name: str, value: float, label: str = "") -> None:
    """The figure has this value, whatever it was before."""
    row = db.insert(session, Figure).values(name=name, label=label, le="", value=value)
    await session.execute(row.on_conflict_do_update(index_elements=["name", "label", "le"], set_={"value": value}))


async def read(session: AsyncSession) -> dict[str, dict[str, dict[str, float]]]:
    """All sums, by name, label and bound."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    rows = await session.execute(select(Figure.name, Figure.label, Figure.le, Figure.value))
    for name, label, le, value in rows:
        found.setdefault(name, {}).setdefault(label, {})[le] = value
    return found
