"""The tray at the door: events that arrive while others are being stored are stored together, in one transaction.

Each sender is answered when their event is committed, never before. What one event breaks, no other one suffers from.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from core import db, failpoints, inbox
from core.stack import Stack

_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class _Slip:
    event: inbox.Event
    stored: asyncio.Future[None]


class Tray:
    """What has arrived and is not stored yet."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._waiting: list[_Slip] = []
        self._work: asyncio.Task[None] | None = None

    async def put(self, source: str, event_id: str, kind: str, body: bytes) -> None:
        """The event is in the inbox, once; raises what the database says when it is not."""
        slip = _Slip(inbox.Event(source, event_id, kind, body), asyncio.get_running_loop().create_future())
        self._waiting.append(slip)
        if self._work is None:
            self._work = asyncio.create_task(self._empty(), name="tray")
        await slip.stored

    async def _empty(self) -> None:
        """Everything that has arrived has been stored, or its sender knows that it has not."""
        taken: list[_Slip] = []
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                await self._store(taken)
        finally:
            self._work = None
            for slip in (*taken, *self._waiting):  # nobody waits for ever, also when this was cancelled
                slip.stored.cancel()
            self._waiting = []

    async def _store(self, slips: Sequence[_Slip]) -> None:
        try:
            async with self._stack.db.transaction() as session:
                await inbox.put_all(session, [slip.event for slip in slips], now=self._stack.clock())
        except Exception as error:  # noqa: BLE001 - each sender gets it and is answered by the guard
            if len(slips) > 1 and not db.is_unavailable(error):
                for slip in slips:
                    await self._store([slip])
                return
            for slip in slips:
                if not slip.stored.done():
                    slip.stored.set_exception(error)
            return
        failpoints.reach("tray.stored")
        for slip in slips:
            if not slip.stored.done():
                slip.stored.set_result(None)
