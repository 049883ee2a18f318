"""The delivery worker: from a claimed row to a settled one.

Each message takes its place in the in-flight window, then waits for the pacer, is marked `sending`, is sent, and
gives its place back when its end is in the database; so a process that dies leaves at most a window of ambiguity.
Answers to people have places of their own and never queue behind a fan-out.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import batch, messages, pictures, platforms
from core import access, db, health, members, models, places, stack, tracing, work
from core.delivery import claims, outcomes, pacing
from core.models import State

_URGENT_PLACES = 2
_PACING_PATIENCE = 5.0
_AGAIN = timedelta(seconds=2)
_FRESH = 0.025  # seconds; the pacer allows for about as much between its grant and the arrival at the platform
_SEND_DEADLINE = 15.0
_IDLE = 1.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Ending:
    parcel: claims.Parcel
    outcome: outcomes.Outcome
    step: outcomes.Step


class Courier:
    """Delivers one platform's outbox; the `urgent` one carries answers to people, the other everything else."""

    def __init__(
        self,
        held: stack.Stack,
        platform: platforms.Platform,
        pacer: pacing.Pacer,
        shown: pictures.Pictures,
        *,
        urgent: bool,
    ) -> None:
        self._stack, self._platform, self._pacer, self._pictures = held, platform, pacer, shown
        self._urgent = urgent
        window = held.settings.delivery_window
        self._places = _URGENT_PLACES if urgent else max(1, window - _URGENT_PLACES)
        self._window = asyncio.Semaphore(self._places)
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._arrived = asyncio.Event()
        self._begin = batch.Batch(self._mark_sending)
        self._settle = batch.Batch(self._write_endings)
        self._stopping = False
        self._unknown = True  # whether the platform knows our bot; an earlier process may have left an alarm
        self._entitled = access.entitled(held.catalogue, now=cast("datetime", claims.NOW))
        self._lease = held.settings.lease_seconds
        self._deadline = min(_SEND_DEADLINE, 0.7 * self._lease)
        self.pulse = work.Pulse(held, f"{platform.name}.{'answers' if urgent else 'delivery'}", limit=90)

    async def run(self, stop: asyncio.Event) -> None:
        """Due messages are delivered until `stop` is set; then those in flight are finished, the others released."""
        await work.repeat(self.pulse.part, self._step, stop)
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running, timeout=self._deadline + 2)

    async def _step(self) -> None:
        await self.pulse.beat()
        if len(self._running) >= 2 * self._places:
            await _set_soon(self._room)
            return
        most = 3 * self._places - len(self._running)
        until = time.monotonic() + self._lease
        parcels = await self._claim(most)
        signals = await self._signals(parcels)
        for parcel in parcels:
            task = asyncio.create_task(self._deliver(parcel, signals.get(pictures.about(parcel)), until))
            self._running.add(task)
            task.add_done_callback(self._ended)
        # Answers are claimed as soon as they ring, so fewer than asked for were all of them. Of the others, a claim may
        # have ended some, and more may be due.
        if not parcels or (self._urgent and len(parcels) < most):
            await self._rest()

    async def _rest(self) -> None:
        """Returns when the bell rings, when an opening of ours arrived (its update may wait), or after a while."""
        bell = self._stack.bell.wait(f"outbox:{self._platform.name}", timeout=_IDLE, who=self.pulse.part)
        waits = [asyncio.ensure_future(wait) for wait in (bell, _set_soon(self._arrived))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if len(self._running) < 2 * self._places:
            self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The row keeps its claim; when the lease is over it is free again, or ambiguous.
            trace = None if db.is_unavailable(error) else error
            log.warning("delivery_interrupted", error=type(error).__name__, exc_info=trace)

    async def _claim(self, limit: int) -> list[claims.Parcel]:
        async with self._stack.db.transaction() as session:
            return await claims.claim(
                session,
                self._platform.name,
                now=self._stack.clock(),
                lease=self._lease,
                limit=limit,
                entitled=self._entitled,
                urgent=self._urgent,
            )

    async def _signals(self, parcels: Sequence[claims.Parcel]) -> dict[int, models.Signal]:
        ids = {number for parcel in parcels if (number := pictures.about(parcel))}
        if not ids:
            return {}
        async with self._stack.db.reading() as session:
            rows = await session.scalars(select(models.Signal).where(models.Signal.id.in_(ids)))
            return {signal.id: signal for signal in rows}

    async def _deliver(self, parcel: claims.Parcel, signal: models.Signal | None, until: float) -> None:
        async with self._window, AsyncExitStack() as uploading:
            if self._stopping or time.monotonic() > until:  # or it waited longer than its claim is good for
                await self._release(parcel, timedelta(0))
                return
            ready, key = await self._prepare(parcel, signal, uploading)
            if not await self._paced(parcel):
                await self._release(parcel, _AGAIN)
                return
            granted = time.monotonic()
            if not await self._begin(parcel):
                return
            if time.monotonic() - granted > _FRESH and not await self._paced(parcel, again=True):
                outcome: outcomes.Outcome = outcomes.NotSent("its turn did not come", after=_AGAIN.total_seconds())
            else:
                outcome = await self._send(ready, parcel)
            if isinstance(outcome, outcomes.Sent) and outcome.file_id and key:
                await self._pictures.keep(key, outcome.file_id)
            await uploading.aclose()
            await self._finish(parcel, outcome)

    async def _prepare(
        self, parcel: claims.Parcel, signal: models.Signal | None, uploading: AsyncExitStack
    ) -> tuple[platforms.Parcel | platforms.Act | None, str]:
        """What to send or do, and the key of its picture; nothing when it cannot be made from what we have."""
        try:
            if parcel.kind == outcomes.DOOR:
                return platforms.Act(**parcel.payload or {}), ""
            repeat = parcel.ambiguities > 0 and self._platform.name not in outcomes.RECOGNISED
            message = messages.render(parcel, signal, self._stack.catalogue, repeat=repeat)
        except Exception:
            log.exception("delivery_not_rendered", delivery=parcel.id)
            return None, ""
        picture = pictures.Picture("")
        if message.picture and not parcel.plain:
            picture = await uploading.enter_async_context(self._pictures.to(message, signal, parcel.kind))
        ready = platforms.Parcel(
            address=parcel.address,
            message=message,
            reply_to=parcel.reply_to,
            protect=parcel.signal_id is not None or message.paid,
            picture=picture.data,
            file_id=picture.file_id,
            plain=parcel.plain,
            place=parcel.place or "",
            nonce=parcel.nonce,
            since=parcel.tried_at if parcel.ambiguities else None,
        )
        return ready, picture.key if picture.data else ""

    async def _paced(self, parcel: claims.Parcel, *, again: bool = False) -> bool:
        """Whether the message may leave at this moment; not when its turn does not come soon.

        A grant is good for a moment only; where writing `sending` took longer, the common limit is asked `again`.
        """
        chat = f"{parcel.address}#{parcel.id}" if again else parcel.address
        group = self._platform.group(parcel.address) and not again
        try:
            # Shorter than the claim: whoever waits longer than that for its turn would only waste it.
            async with asyncio.timeout(min(_PACING_PATIENCE, 0.3 * self._lease)):
                await self._pacer.acquire(chat, group=group, urgent=self._urgent)
        except TimeoutError:
            return False
        return True

    async def _release(self, parcel: claims.Parcel, wait: timedelta) -> None:
        async with self._stack.db.transaction() as session:
            await claims.release(session, [parcel], not_before=self._stack.clock() + wait)

    async def _mark_sending(self, parcels: Sequence[claims.Parcel]) -> list[bool]:
        async with self._stack.db.transaction() as session:
            mine = await claims.begin(session, parcels, now=self._stack.clock(), lease=self._lease)
        # One batch may hold an expired claim of a row beside our later one: only the latest can be the valid one.
        latest = {parcel.id: parcel.epoch for parcel in sorted(parcels, key=lambda parcel: parcel.epoch)}
        return [parcel.id in mine and parcel.epoch == latest[parcel.id] for parcel in parcels]

    async def _send(self, ready: platforms.Parcel | platforms.Act | None, of: claims.Parcel) -> outcomes.Outcome:
        if ready is None:
            return outcomes.Refused("it cannot be rendered")
        try:
            async with tracing.span("delivery", of.request, delivery=of.id), asyncio.timeout(self._deadline):
                if isinstance(ready, platforms.Act):
                    return await self._platform.attempt(ready)
                return await self._platform.send(ready)
        except TimeoutError:
            harmless = self._platform.name in outcomes.RECOGNISED
            return outcomes.Ambiguous(f"no answer within {self._deadline:g} seconds", harmless=harmless)

    async def _finish(self, parcel: claims.Parcel, outcome: outcomes.Outcome) -> None:
        attempt = outcomes.Attempt(parcel.kind, parcel.attempts, parcel.ambiguities, parcel.plain)
        step = outcomes.next_step(outcome, attempt, now=self._stack.clock())
        if isinstance(outcome, outcomes.NotSent) and outcome.pause and outcome.after is not None:
            await self._pacer.pause(outcome.after, parcel.address if outcome.pause == "chat" else None)
        if isinstance(outcome, outcomes.Fatal):
            await self._pacer.pause(60.0)
        level = "debug" if step.state is State.SENT else "warning"
        getattr(log, level)("delivery_settled", delivery=parcel.id, state=step.state.value, reason=step.reason)
        await self._written(_Ending(parcel, outcome, step))
        if step.state in claims.ARRIVED and parcel.event == "opened":
            self._arrived.set()  # not the bell: ten thousand openings would ring it for everybody, in every process

    async def _written(self, ending: _Ending) -> None:
        """The ending is in the database; while that is away, we try again for as long as the row is ours."""
        until = asyncio.get_running_loop().time() + self._lease
        while True:
            try:
                await self._settle(ending)
            except Exception as error:
                if not db.is_unavailable(error) or asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.5)
            else:
                return

    async def _write_endings(self, endings: Sequence[_Ending]) -> list[None]:
        now = self._stack.clock()
        settled = [
            claims.Settlement(
                one.parcel, one.step, one.outcome.message_id if isinstance(one.outcome, outcomes.Sent) else None
            )
            for one in endings
        ]
        async with self._stack.db.transaction() as session:
            await claims.settle(session, settled, now=now)
            # In one order in every process, because each of them locks rows of its own.
            for one in sorted(endings, key=lambda ending: ending.parcel.id):
                await self._aftermath(session, one)
        return [None] * len(endings)

    async def _aftermath(self, session: AsyncSession, one: _Ending) -> None:
        """What an ending means beyond its own row: a chat that is gone or moved, a message that nobody can send."""
        now, name, address = self._stack.clock(), self._platform.name, one.parcel.address
        if one.parcel.kind == outcomes.DOOR:
            await self._after_act(session, one)
        elif one.parcel.place:
            await places.posted(session, one.parcel.place, one.outcome, now=now)
        match one.outcome:
            case outcomes.Blocked() | outcomes.Barred() if one.parcel.kind == outcomes.DOOR:
                return  # nobody is there, or the place has its own alarm
            case outcomes.Blocked():
                await members.block(session, name, address, now=now)
            case outcomes.Moved(new):
                await members.move(session, name, address, new)
            case outcomes.Fatal(reason):
                self._unknown = True
                await health.alarm(session, f"{name}:token", f"{name} does not know our bot: {reason}", now=now)
            case outcomes.Sent() if self._unknown:
                self._unknown = False
                await health.clear(session, f"{name}:token", now=now)
            case _ if one.step.state is State.DEAD:
                text = f"A message ({one.parcel.kind} {one.parcel.id}) could not be delivered: {one.step.reason}"
                await health.alarm(session, f"{name}:dead", text, now=now)

    async def _after_act(self, session: AsyncSession, one: _Ending) -> None:
        act, final = (one.parcel.payload or {}).get("act", ""), one.step.state is not State.PENDING
        await places.ended(session, one.parcel.id, act, one.outcome, final=final, now=self._stack.clock())


async def _set_soon(event: asyncio.Event) -> None:
    """Returns when the event is set, which it then no longer is, or after a while."""
    try:
        async with asyncio.timeout(_IDLE):
            await event.wait()
    except TimeoutError:
        return
    event.clear()
