"""What really happened at the edges of the product, kept apart from the product's own tables.

Each stand-in adds an event when a thing became true out there: a message lay in a chat, a card was charged, a candle
closed. The checker judges the product from this account alone.
"""

import json
import time
from pathlib import Path
from typing import Any, TextIO


class History:
    """An append-only list of events, in memory and, when a path is given, as JSON lines."""

    def __init__(self, path: Path | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self._file: TextIO | None = path.open("a", encoding="utf-8", buffering=1) if path else None

    def add(self, event: str, **fields: Any) -> dict[str, Any]:
        """The event stands last in the account, with its number `n` and the wall clock time `at` (epoch seconds)."""
        row = {"n": len(self.events), "at": time.time(), "event": event, **fields}
        self.events.append(row)
        if self._file:
            self._file.write(json.dumps(row, default=str) + "\n")
        return row

    def of(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """All events of one kind whose fields have these values, oldest first."""
        return [row for row in self.events if row["event"] == event and all(row.get(k) == v for k, v in fields.items())]

    def close(self) -> None:
        """The file is complete on disk."""
        if self._file:
            self._file.close()
            self._file = None
