"""What operators read once a week: what was published, held against a backtest of the stored candles."""

from datetime import datetime, timedelta
from typing import Any

from bot.messages import figures, text

_MOST = 8  # watches whose differences are shown
_KINDS = {
    "missing": "not published, though the backtest has it",
    "extra": "published, though the backtest has it not",
    "different": "published otherwise than the backtest has it",
}


def report(facts: dict[str, Any]) -> text.Message:
    """The weekly comparison."""
    watches = facts["watches"]
    since, until = (datetime.fromisoformat(facts[name]) for name in ("since", "until"))
    same, late = (sum(one[name] for one in watches) for name in ("same", "late"))
    wrong = [one for one in watches if one["different"]]
    differing = sum(one["different"] for one in wrong)
    return text.message(
        text.line(text.bold("Live and backtest")),
        f"{figures.day(since)} to {figures.day(until - timedelta(days=1))}, {_watches(len(watches))}:",
        f"· {figures.counted(same, 'signal')} the same",
        *([f"· {figures.counted(late, 'signal')} came too late to be sent as fresh"] if late else []),
        f"· {figures.counted(differing, 'signal')} not the same" if differing else "· none that are not the same",
        *(line for one in wrong[:_MOST] for line in _lines(one)),
        *([f"And {_watches(len(wrong) - _MOST)} more."] if len(wrong) > _MOST else []),
    )


def _watches(number: int) -> str:
    return "1 watch" if number == 1 else f"{number} watches"


def _lines(one: dict[str, Any]) -> list[str]:
    shown = one["differences"]
    more = one["different"] - len(shown)
    lines = [f"{one['watch']}:"]
    for part in shown:
        reason = part["reason"] or "reason unknown, look at it"
        lines.append(f"· {figures.moment_of(part['candle'])}: {_KINDS[part['kind']]} ({reason})")
    return [*lines, *([f"· and {more} more"] if more else [])]
