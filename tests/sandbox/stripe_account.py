"""The memory and the clock of the Stripe stand-in: every object, every event, and what falls due when."""

import heapq
import itertools
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.sandbox import stripe_wire
from tests.sandbox.history import History
from tests.sandbox.stripe_wire import Obj

CURRENT_VERSION = "2026-10-28.endive"
INDEXED: dict[str, tuple[str, ...]] = {
    "subscription": ("customer",),
    "invoice": ("customer",),
    "invoice_payment": ("invoice",),
    "charge": ("customer", "payment_intent"),
    "refund": ("charge", "payment_intent"),
    "dispute": ("charge", "payment_intent"),
    "payment_intent": ("customer",),
    "payment_method": ("customer",),
}
"""Fields that never change after an object was made, and by which it is often looked for."""


class Account:
    """All objects by type, with Stripe's own clock; changing them is synchronous, so that nothing is seen half done.

    `hidden` holds, by object id, what Stripe knows but does not show (line items of a session, a card that will fail).
    """

    def __init__(self, history: History, now: Callable[[], float]) -> None:
        self.history = history
        self.tables: dict[str, dict[str, Obj]] = {}
        self.order: dict[str, list[str]] = {}
        self.places: dict[str, int] = {}
        self.index: dict[tuple[str, str, Any], list[str]] = {}
        self.quiet = False
        self.random_hex: Callable[[int], str] = secrets.token_hex
        self.hidden: dict[str, Obj] = {}
        self.events: list[Obj] = []
        self.emitted: Callable[[Obj], object] = bool
        self.base_url = ""
        self.api_version = CURRENT_VERSION
        self.request: Obj = {"id": None, "idempotency_key": None}
        self.due: dict[str, Callable[[Account, Obj], int | None]] = {}
        self.step: dict[str, Callable[[Account, Obj], None]] = {}
        self.draft_seconds = 3600
        self.retry_days: tuple[int, ...] = (3, 5, 7)
        self.after_retries = "cancel"
        self.async_days = 3
        self.async_status = "active"
        self.portal_cancel_field = "cancel_at_period_end"
        self.upcoming_days = 0
        self.upcoming: Callable[[Obj], Obj] = dict
        self.tax_active = True
        self.tax_percent = 0
        self._base = now
        self._offset = 0.0
        self._at: float | None = None
        self._heap: list[tuple[int, int, str, str]] = []
        self._count = itertools.count()

    def now(self) -> int:
        """Stripe's time in whole seconds."""
        return int(self._at if self._at is not None else self._base() + self._offset)

    def tax_on(self, amount: int) -> int:
        """The tax on top of this amount, where tax is counted."""
        return max(0, (amount * self.tax_percent + 50) // 100)

    def new_id(self, prefix: str, size: int = 24) -> str:
        return f"{prefix}_{self.random_hex(size // 2)}"

    def add(self, obj: Obj) -> Obj:
        """The object is stored under its type and id, and watched for what falls due."""
        self._store(obj)
        self.watch(obj)
        return obj

    def _store(self, obj: Obj) -> None:
        kind, name = obj["object"], obj["id"]
        table = self.tables.setdefault(kind, {})
        if name not in table:
            order = self.order.setdefault(kind, [])
            self.places[name] = len(order)
            order.append(name)
            for field in INDEXED.get(kind, ()):
                self.index.setdefault((kind, field, obj[field]), []).append(name)
        table[name] = obj

    def having(self, kind: str, field: str, value: Any) -> list[Obj]:
        """The objects whose indexed field has this value, newest first."""
        return list(self.newest(kind, self.index.get((kind, field, value), [])))

    def newest(self, kind: str, narrowed: list[str] | None = None, after: str | None = None) -> Iterator[Obj]:
        """Objects from the newest to the oldest, one by one, those after this id: a page costs what it shows."""
        order = self.order.get(kind, []) if narrowed is None else narrowed
        place = len(order)
        if after is not None:
            place = self.places[after] if narrowed is None else order.index(after)
        table = self.tables.get(kind, {})
        for at in range(place - 1, -1, -1):
            if (obj := table.get(order[at])) is not None:
                yield obj

    def oldest(self, kind: str, narrowed: list[str] | None, after: str) -> Iterator[Obj]:
        """Objects from the one after this id to the newest."""
        order = self.order.get(kind, []) if narrowed is None else narrowed
        place = self.places[after] if narrowed is None else order.index(after)
        table = self.tables.get(kind, {})
        for at in range(place + 1, len(order)):
            if (obj := table.get(order[at])) is not None:
                yield obj

    def all(self, kind: str) -> list[Obj]:
        """Newest first."""
        return list(reversed(self.tables.get(kind, {}).values()))

    def get(self, kind: str, object_id: str, param: str = "id", status: int = 404) -> Obj:
        """The object itself (not a copy), or ApiError resource_missing."""
        obj = self.tables.get(kind, {}).get(object_id)
        if obj is None:
            raise stripe_wire.missing(kind, object_id, param, status)
        return obj

    def find(self, object_id: str) -> Obj | None:
        return next((table[object_id] for table in self.tables.values() if object_id in table), None)

    def secret(self, object_id: str) -> Obj:
        """What Stripe knows of this object but does not show."""
        return self.hidden.setdefault(object_id, {})

    # --- events

    def emit(self, event_type: str, obj: Obj, previous: Obj | None = None) -> None:
        """An event with a snapshot of the object stands in the log and is on its way, unless the account is quiet."""
        if self.quiet:
            return
        data: Obj = {"object": stripe_wire.copied(obj)}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Obj = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": self.api_version,
            "created": self.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": dict(self.request),
            "type": event_type,
        }
        self.events.append(event)
        self._store(event)
        self.emitted(event)

    @contextmanager
    def changing(self, obj: Obj, event_type: str) -> Iterator[Obj]:
        """What the block changed in the object is told by one event; no change, no event.

        As with Stripe, only events of the kind "updated" (and `charge.refunded`) carry `previous_attributes`.
        """
        before = None if self.quiet else stripe_wire.copied(obj)
        yield obj
        previous = difference(before, obj) if before else None
        self.watch(obj)
        if previous:
            told = event_type.endswith(".updated") or event_type == "charge.refunded"
            self.emit(event_type, obj, previous if told else None)

    # --- time

    def watch(self, obj: Obj) -> None:
        """The object's next due time, as it stands now, is remembered."""
        due = self.due.get(obj["object"])
        when = due(self, obj) if due else None
        if when is not None:
            heapq.heappush(self._heap, (when, next(self._count), obj["object"], obj["id"]))

    def run_due(self, target: float) -> Iterator[None]:
        """One step per thing that falls due up to the target, in order, with the clock standing at its due time."""
        while self._heap and self._heap[0][0] <= target:
            when, _, kind, object_id = heapq.heappop(self._heap)
            obj = self.tables[kind].get(object_id)
            true_due = self.due[kind](self, obj) if obj else None
            if obj is None or true_due is None or true_due > when:
                continue
            started = self._at
            self._at = max(float(when), started or 0.0)
            try:
                self.step[kind](self, obj)
                self.watch(obj)
                yield
            finally:
                self._at = started

    def catch_up(self) -> None:
        """All that fell due while the clock ran by itself has happened."""
        for _ in self.run_due(self.now()):
            pass

    def advancing(self, seconds: float) -> Iterator[None]:
        """The clock stands `seconds` later when the iterator ends; one step per thing that fell due on the way."""
        target = self._base() + self._offset + seconds
        yield from self.run_due(target)
        self._offset += seconds


def difference(before: Any, after: Any) -> Obj:
    """The old values of the fields that changed; of nested objects only the changed part, of lists the whole."""
    result: Obj = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        nested = isinstance(old, dict) and isinstance(new, dict)
        result[key] = difference(old, new) if nested else old
    return result
