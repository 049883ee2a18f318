"""The operators' second way to know: alarms and the daily message past the chats, as a POST of JSON or by e-mail.

An alert is a row before it is sent, one for each alarm and channel, and is tried until somebody took it or a day is
over. It may come twice (a process died between the answer and the note of it); its id then is the same.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import db, errors, health, posting, stack, watching
from core.delivery import outbox
from core.models import Alert, Delivery, Signal, State

DAILY = "daily"
_AT_ONCE = 5
_NAMED = 5  # alarms that the message of the day names
_AN_HOUR = 30  # alerts of one channel; what is still open afterwards is told then
_FIRST_PAUSE, _LONGEST_PAUSE = 30, 600  # seconds; the first is longer than an attempt may take
_GIVEN_UP, _KEPT = timedelta(days=1), timedelta(days=30)
_DAY = timedelta(days=1)
_PATIENCE = 60.0
log = structlog.get_logger()


class Alerting:
    """What tells operators over one stack."""

    def __init__(self, held: stack.Stack) -> None:
        self._stack = held
        self._channels = posting.channels(held.settings)
        self._away_since: float | None = None
        self._told_away = False

    async def step(self) -> None:
        """Alarms that are open and the message of the day have their alerts, and those that are due were tried.

        While the database is away nothing can be noted: that itself is told once, from memory.
        """
        held, now = self._stack, self._stack.clock()
        try:
            async with held.db.transaction() as session:
                await note(session, self._channels, now=now)
                told = await daily(session, held.settings, self._channels, held.settings.admin_chats, now=now)
                mine = await claim(session, self._channels, now=now)
        except Exception as error:
            if db.is_unavailable(error):
                await self._database_away()
            raise
        self._away_since, self._told_away = None, False
        if told:
            held.deliver()
        await asyncio.gather(*(self._try(alert) for alert in mine))

    async def _try(self, alert: Alert) -> None:
        failed = await self._sent(alert.channel, f"alert-{alert.id}", alert.body)
        async with self._stack.db.transaction() as session:
            ended = {"error": failed[:200]} if failed else {"sent_at": self._stack.clock(), "error": ""}
            await db.execute(session, update(Alert).where(Alert.id == alert.id).values(**ended))

    async def _sent(self, channel: str, number: str, body: dict[str, Any]) -> str:
        """Empty when the alert was taken, otherwise why not."""
        try:
            await posting.send(
                self._stack.settings, self._stack.catalogue.service.name, channel, {"id": number, **body}
            )
        except errors.SignalStackError as error:
            log.warning("alert_not_sent", channel=channel, alert=number, reason=str(error))
            return str(error)
        log.info("alert_sent", channel=channel, alert=number)
        return ""

    async def _database_away(self) -> None:
        moment = time.monotonic()
        self._away_since = moment if self._away_since is None else self._away_since
        if self._told_away or moment - self._away_since < _PATIENCE:
            return
        self._told_away = True
        text = "The database has been away for a minute: no signals, no messages, no payments until it is back."
        body = {"kind": "alarm", "key": "database", "text": text, "since": self._stack.clock().isoformat()}
        number = f"alert-database-{self._stack.clock():%Y%m%dT%H%M%S}"
        await asyncio.gather(*(self._sent(channel, number, body) for channel in self._channels))


async def note(session: AsyncSession, channels: Sequence[str], *, now: datetime) -> int:
    """Every open alarm and every silent part has an alert on each of these channels; says how many are new."""
    if not channels:
        return 0
    found, new = await _open(session, now=now), 0
    for channel in channels:
        lately = select(func.count()).where(Alert.channel == channel, Alert.created_at > now - timedelta(hours=1))
        room = _AN_HOUR - (await session.scalar(lately) or 0)
        for key, body in found.items():
            if room > 0 and await _add(session, channel, key, body, now=now):
                room, new = room - 1, new + 1
    return new


async def _open(session: AsyncSession, *, now: datetime) -> dict[str, dict[str, Any]]:
    """What is to be told now, by a key that is another one when it begins again."""
    report = await health.report(session, now=now)
    found = {f"{one.key}:{one.first_at.timestamp():.0f}": (one.key, one.text, one.first_at) for one in report.alarms}
    for part in report.parts:
        if not part.ok and not part.name.endswith(".bot"):  # which is no part but the place of the bot's name
            text = f"{part.name} has made no progress for more than {part.limit:g} seconds."
            name = f"part:{part.name}"
            found[f"{name}:{part.at.timestamp():.0f}"] = (name, text, part.at)
    return {
        key: {"kind": "alarm", "key": name, "text": text, "since": since.isoformat()}
        for key, (name, text, since) in found.items()
    }


async def daily(
    session: AsyncSession,
    conf: watching.Watching,
    channels: Sequence[str],
    chats: Sequence[tuple[str, str]],
    *,
    now: datetime,
) -> bool:
    """From the hour of the settings on, operators have the message of this day (UTC) once; says whether it is new."""
    if conf.heartbeat_hour < 0 or now.hour < conf.heartbeat_hour or not (channels or chats):
        return False
    known = select(Alert.id).where(Alert.key == _key(DAILY, str(now.date())))
    if await session.scalar(known) is not None:
        return False
    text = await told(session, now=now)
    body = {"kind": DAILY, "key": f"{DAILY}:{now.date()}", "text": text, "since": now.isoformat()}
    # The row that says that this day was told; it is no alert itself.
    if not await _add(session, DAILY, str(now.date()), body, now=now, sent=True):
        return False
    for channel in channels:
        await _add(session, channel, f"{DAILY}:{now.date()}", body, now=now)
    for platform, chat in chats:
        facts = {"name": DAILY, "text": text}
        await outbox.warn(session, platform, chat, facts, key=_key(platform, f"{DAILY}:{now.date()}:{chat}"), now=now)
    return True


async def told(session: AsyncSession, *, now: datetime) -> str:
    """How the last day was, in a few sentences."""
    since = now - _DAY
    report = await health.report(session, now=now)
    silent = [part.name for part in report.parts if not part.ok and not part.name.endswith(".bot")]
    signals = await session.scalar(select(func.count()).select_from(Signal).where(Signal.created_at > since)) or 0
    ended = await session.scalar(select(func.count()).select_from(Signal).where(Signal.closed_at > since)) or 0
    states = select(Delivery.state, func.count()).where(Delivery.settled_at > since).group_by(Delivery.state)
    ends = {str(state): number for state, number in await session.execute(states)}
    return (
        f"{_standing(silent, [one.key for one in report.alarms])} "
        f"In the last 24 hours: {_counted(signals, 'signal')} published, {ended} ended; "
        f"{_counted(ends.get(State.SENT, 0), 'message')} delivered, {ends.get(State.AMBIGUOUS, 0)} unsure, "
        f"{ends.get(State.DEAD, 0)} failed. "
        "This comes every day; if it does not, something is wrong: look at the status page."
    )


def _standing(silent: Sequence[str], alarms: Sequence[str]) -> str:
    if silent:
        return f"Not everything is working; silent: {', '.join(silent)}. Open alarms: {len(alarms)}."
    if alarms:
        are = "is" if len(alarms) == 1 else "are"
        named = ", ".join(alarms[:_NAMED])
        return f"Every part is running, but {_counted(len(alarms), 'alarm')} {are} open: {named}."
    return "Everything is working."


async def claim(session: AsyncSession, channels: Sequence[str], *, now: datetime) -> Sequence[Alert]:
    """Alerts that are due and that nobody else will try for a while; each next pause is twice as long."""
    due = (Alert.sent_at.is_(None), Alert.not_before <= now, Alert.created_at > now - _GIVEN_UP)
    query = select(Alert).where(*due, Alert.channel.in_(channels)).order_by(Alert.id).limit(_AT_ONCE)
    mine = (await session.scalars(query.with_for_update(skip_locked=True))).all() if channels else []
    for alert in mine:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(alert.attempts, 10))
        alert.not_before, alert.attempts = now + timedelta(seconds=pause), alert.attempts + 1
    return mine


async def forget(session: AsyncSession, *, now: datetime) -> None:
    """Alerts of more than a month ago are gone."""
    await db.execute(session, delete(Alert).where(Alert.created_at < now - _KEPT))


async def _add(
    session: AsyncSession, channel: str, key: str, body: dict[str, Any], *, now: datetime, sent: bool = False
) -> bool:
    row = {"key": _key(channel, key), "channel": channel, "body": body, "created_at": now, "not_before": now}
    made = db.insert(session, Alert).values(**row, sent_at=now if sent else None)
    return await db.execute(session, made.on_conflict_do_nothing(index_elements=["key"])) == 1


def _key(channel: str, key: str) -> str:
    whole = f"{channel}:{key}"
    return whole if len(whole) <= 100 else hashlib.sha256(whole.encode()).hexdigest()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
