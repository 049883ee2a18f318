"""Members' own tools are told of signals: each hook in order, one event at a time, and no slow one delays another.

Headers and signature are those of Standard Webhooks 1.0 (standardwebhooks.com). A message is repeated until it was
taken, always under the same id, by which a tool knows it again.
"""

import asyncio
import random
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp
import orjson
import structlog
from aiohttp import web

from core import db, errors, hooks, rights
from core.models import Hook
from core.signals import entries, feed
from webhooks import destinations, site

DEADLINE = 10.0
"""Seconds that a message may take, from the look-up of the name to the answer."""
TOPIC = "record"
_LEASE = 60.0
_TURN = 5.0  # seconds after which a hook that has more to be told of lets others go first
_AT_ONCE = 100
_PAGE = 50
_READ = 1024
_LAST_SECONDS = 6.0
log = structlog.get_logger()


class Outcome(NamedTuple):
    """What became of a message: one of `metrics.OUTCOMES`, and in words."""

    kind: str
    said: str

    @property
    def taken(self) -> bool:
        """Whether the tool has it."""
        return self.kind == "taken"

    @property
    def gone(self) -> bool:
        """Whether the address is gone for good."""
        return self.kind == "gone"


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: the body with the id and kind under which it goes."""

    id: str
    body: bytes
    kind: str = "application/json"


class Sender:
    """Tells hooks; `step` is repeated by the role's loop, in as many processes as there are."""

    def __init__(self, here: site.Site, *, lookup: destinations.Lookup = socket.getaddrinfo) -> None:
        self._here, self._lookup = here, lookup
        self._anywhere = destinations.anywhere(here.stack.settings)
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def step(self) -> bool:
        """Every hook that is due is being told, as far as there is room; says whether there may be more of them."""
        room = _AT_ONCE - len(self._under_way)
        if room <= 0:
            await asyncio.wait(self._under_way, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            return True
        stack = self._here.stack
        async with stack.db.reading() as session:
            if not await hooks.waiting(session, now=self._here.now):
                return False
        async with stack.db.transaction() as session:
            jobs = await hooks.claim(session, now=self._here.now, lease=_LEASE, limit=room)
        for job in jobs:
            task = asyncio.create_task(self._tell(job), name=f"hook {job.id}")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(jobs) == room

    async def settled(self) -> None:
        """Nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self) -> None:
        """What is under way had a few seconds to end; what was cut off is repeated when its lease has run out."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_LAST_SECONDS)
            for task in late:
                task.cancel()
        if self._session is not None:
            await self._session.close()

    async def _tell(self, job: hooks.Job) -> None:
        try:
            await self._turn(job)
        except Exception as error:
            # Whatever it was: the lease runs out, and the hook is told then.
            known = isinstance(error, errors.SignalStackError) or db.is_unavailable(error)
            log.warning("hook_turn_failed", hook=job.id, error=type(error).__name__, exc_info=None if known else error)

    async def _turn(self, job: hooks.Job) -> None:
        until, cursor, more = time.monotonic() + _TURN, job.cursor, True
        while more and time.monotonic() < until:
            event, cursor, more = await self._next(job, cursor)
            if event is not None:
                outcome = await self.post(job.url, job, _message(job, event))
                if not outcome.taken:
                    await self._failed(job, outcome)
                    return
                log.debug("hook_told", hook=job.id, entry=event.n)
            async with self._here.stack.db.transaction() as session:
                told_at = None if event is None else self._here.now
                if not await hooks.advanced(session, job, cursor, told_at=told_at):
                    return
        async with self._here.stack.db.transaction() as session:
            await hooks.released(session, job, now=self._here.now)
        if more:
            self._here.stack.bell.ring(TOPIC, everywhere=False)

    async def _next(self, job: hooks.Job, cursor: int) -> tuple[feed.Event | None, int, bool]:
        """The next event that is for this hook, if one is on the next page; how far was looked; whether there is more.

        What its owner has is asked at every event.
        """
        now = self._here.now
        async with self._here.stack.db.reading() as session:
            plans = await rights.plans_of(session, job.member_id, now=now)
            markets = feed.markets_of(self._here.stack.catalogue, plans)
            page = await feed.after(session, cursor, markets=markets, limit=_PAGE)
        for event in page.events:
            if _concerns(job.form, event, now):
                return event, event.n, event.n < page.cursor or page.more
        return None, page.cursor, page.more

    async def _failed(self, job: hooks.Job, outcome: Outcome) -> None:
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        async with self._here.stack.db.transaction() as session:
            ended = await hooks.failed(
                session, job, outcome.said, now=self._here.now, jitter=jitter, final=outcome.gone
            )
        log.info("hook_disabled" if ended else "hook_failed", hook=job.id, said=outcome.said, failures=job.failures + 1)
        if ended:
            self._here.metrics.disabled.inc()
            self._here.stack.deliver()

    async def post(self, url: str, hook: hooks.Job | Hook, message: Message) -> Outcome:
        """The message was posted once, signed with the hook's secret, and what became of it is counted."""
        outcome = await self._posted(url, hook, message)
        self._here.metrics.attempts.labels(outcome.kind).inc()
        return outcome

    async def _posted(self, url: str, hook: hooks.Job | Hook, message: Message) -> Outcome:
        stamp = int(self._here.now.timestamp())
        key = hooks.secret(self._here.stack.settings, hook.id, hook.version)
        headers = {
            "Content-Type": message.kind,
            "User-Agent": "SignalStack",
            "webhook-id": message.id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": hooks.signature(key, message.id, stamp, message.body),
        }
        try:
            address = destinations.checked(url, anywhere=self._anywhere)
            async with (
                asyncio.timeout(DEADLINE),
                self._http().post(address, data=message.body, headers=headers, allow_redirects=False) as answer,
            ):
                await answer.content.read(_READ)  # the rest is of no interest; the connection is closed
                return _judged(answer.status)
        except errors.RefusedError as refusal:
            return Outcome("forbidden", str(refusal))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's server does, it is a failure of that hook
            return _failure(error)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=destinations.connector(anywhere=self._anywhere, lookup=self._lookup),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=DEADLINE),
            )
        return self._session


KEY = web.AppKey("hooks", Sender)


def add_to(app: web.Application) -> None:
    """The application can tell hooks, and tells none any more when it is cleaned up."""
    app[KEY] = Sender(app[site.KEY])

    async def close(_: web.Application) -> None:
        await app[KEY].stop()

    app.on_cleanup.append(close)


def trial(hook: Hook, now: datetime) -> Message:
    """A message that tries a hook out; it is about no signal."""
    said: dict[str, Any] = {"id": 0, "kind": "test", "at": entries.moment(now), "text": "This is a test."}
    name = f"test_{hook.id}_{int(now.timestamp() * 1000)}"
    if hook.form == hooks.CORNIX:
        return Message(name, said["text"].encode(), "text/plain; charset=utf-8")
    return Message(name, orjson.dumps(said))


def _message(job: hooks.Job, event: feed.Event) -> Message:
    name = f"evt_{job.id}_{event.n}"
    if job.form == hooks.CORNIX:
        return Message(name, event.text.encode(), "text/plain; charset=utf-8")
    return Message(name, orjson.dumps(event.body))


def _concerns(form: str, event: feed.Event, now: datetime) -> bool:
    """Tools that read words act upon them at once, so they are told only what there is to do, and of no old opening."""
    if form != hooks.CORNIX:
        return True
    return bool(event.text) and (event.kind != entries.OPENED or now < event.fresh_until)


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome("taken", f"It answered with {status}.")
    if 300 <= status < 400:
        return Outcome("redirected", f"It answered with {status}, a redirect, which is not followed.")
    if status == 410:
        return Outcome("gone", "It answered with 410: the address is gone.")
    return Outcome("refused", f"It answered with {status}.")


def _failure(error: BaseException) -> Outcome:
    """Why nothing was taken, in words that tell nothing of our network."""
    causes = [error, error.__cause__, error.__context__, getattr(error, "os_error", None)]
    if any(isinstance(one, destinations.NotPublicError) for one in causes):
        return Outcome("forbidden", "Its name leads to an address that is not on the public internet.")
    if isinstance(error, TimeoutError):
        return Outcome("late", f"It did not answer within {DEADLINE:.0f} seconds.")
    if any(isinstance(one, ssl.SSLError | ssl.CertificateError) for one in causes):
        return Outcome("certificate", "Its certificate is not valid.")
    if isinstance(error, aiohttp.ClientConnectorDNSError) or any(isinstance(one, socket.gaierror) for one in causes):
        return Outcome("unknown", "Its name is not known.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Outcome("unreachable", "It could not be reached.")
    return Outcome("broken", "It broke the connection off.")
