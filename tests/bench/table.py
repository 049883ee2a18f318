"""The benchmark's one table: what was measured, against what, and whether the goal is met."""

import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psutil

_HEADS = ("what", "figure", "reference", "ratio", "goal", "met")


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the row's figure or on its ratio to the reference."""

    of: Literal["figure", "ratio"]
    side: Literal["≤", "≥"]
    bound: float
    unit: str = ""

    def met(self, value: float) -> bool:
        return value <= self.bound if self.side == "≤" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.side} {number(self.bound)}{' ×' if self.of == 'ratio' else f' {self.unit}'}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is figure divided by reference, or the median of that over several rounds."""

    what: str
    figure: float
    unit: str
    reference: str = ""
    reference_figure: float | None = None
    ratio: float | None = None
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None for a row without a goal."""
        value = self.figure if self.goal is None or self.goal.of == "figure" else self.ratio
        return None if self.goal is None or value is None else self.goal.met(value)

    def cells(self) -> tuple[str, ...]:
        beside = "" if self.reference_figure is None else f" {number(self.reference_figure)} {self.unit}"
        said = {True: "yes", False: "NO", None: ""}[self.met]
        ratio = "" if self.ratio is None else f"{number(self.ratio)} ×"
        goal = "" if self.goal is None else str(self.goal)
        return self.what, f"{number(self.figure)} {self.unit}", f"{self.reference}{beside}", ratio, goal, said


def compared(
    what: str, unit: str, reference: str, ours: Sequence[float], theirs: Sequence[float], goal: Goal | None = None
) -> Row:
    """A row of medians over rounds in which both were measured one after the other; the ratio is the rounds' median."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    middle = statistics.median
    return Row(what, middle(ours), unit, reference, middle(theirs), middle(ratios), goal)


def number(value: float) -> str:
    """Three figures that count, or all before the point: 0.0412, 3.14, 1,234."""
    if not math.isfinite(value) or value == 0:
        return str(value)
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def machine() -> dict[str, Any]:
    """What these figures were measured on, and how busy it was before."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


def as_text(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """The table with aligned columns, and below it the notes."""
    lines = [_HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADS))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:], "", *notes])


def as_values(rows: Sequence[Row], notes: Sequence[str], about: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON values."""
    told = [{**asdict(row), "goal": str(row.goal) if row.goal else None, "met": row.met} for row in rows]
    return {"machine": about, "rows": told, "notes": list(notes)}
