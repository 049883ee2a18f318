"""Events of the stand-in on their way to the product: signatures, retries, and delivery under control."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import aiohttp

from tests.sandbox import stripe_versions
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj

in_version = stripe_versions.in_version


def signature(payload: str, timestamp: int, secrets: Iterable[str]) -> str:
    """The Stripe-Signature header: one v1 for every current secret."""
    signed = f"{timestamp}.{payload}".encode()
    marks = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    return ",".join([f"t={timestamp}", *marks])


class Delivery:
    """Brings every event to every endpoint, in order, as `mode` says.

    mode: "normal"; "hold" (kept in `held` until release, drop or duplicate); "drop" (never sent); "duplicate" (sent
    twice). A refused event is tried again after each of `retry_seconds` while others go on.
    """

    def __init__(self, acc: Account, targets: Callable[[str], list[Obj]]) -> None:
        self.mode = "normal"
        self.held: list[Obj] = []
        self.retry_seconds: tuple[float, ...] = (0.05, 0.2, 0.5)
        self.timeout = 5.0
        self.clock: Callable[[], float] = time.time
        self.concurrency = 1
        self._waiting: dict[str, set[str]] = {}
        self._acc = acc
        self._targets = targets
        self._queue: deque[tuple[Obj, Obj, int]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining: set[asyncio.Task[None]] = set()
        self._workers = 0
        self._http: aiohttp.ClientSession | None = None

    # --- what goes out

    def take(self, event: Obj) -> None:
        """A new event is on its way, or kept, or lost."""
        self._waiting[event["id"]] = {target["url"] for target in self._targets(event["type"])}
        event["pending_webhooks"] = len(self._waiting[event["id"]])
        if self.mode == "hold":
            self.held.append(event)
        elif self.mode != "drop":
            for _ in range(2 if self.mode == "duplicate" else 1):
                self._enqueue(event)

    def _enqueue(self, event: Obj) -> None:
        for target in self._targets(event["type"]):
            self._queue.append((event, target, 0))
        self.wake()

    def wake(self) -> None:
        """Queued events are being sent, if an event loop runs here."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            while self._workers < min(self.concurrency, len(self._queue)):
                self._workers += 1
                self._draining.add(self._start(self._drain()))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._draining.discard)
        return task

    async def tried(self) -> None:
        """Every queued event was sent once; some may be waiting for a retry."""
        self.wake()
        while self._draining:
            await asyncio.wait(set(self._draining))

    async def settled(self) -> None:
        """Nothing is queued, in flight or waiting for a retry; held events stay held."""
        self.wake()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
            self.wake()

    def succeeded(self, event_id: str) -> bool:
        """Every endpoint that was to have this event has accepted it."""
        return not self._waiting[event_id]

    # --- control

    async def release(self, order: list[int | str] | None = None) -> None:
        """The held events were sent one after another: all, or those that `order` names.

        Names are places in `held`, event ids or event types (all of that type); naming one twice sends it twice.
        What is not named stays held.
        """
        chosen = list(self.held) if order is None else [event for name in order for event in self._named(name)]
        sent = {event["id"] for event in chosen}
        self.held = [event for event in self.held if event["id"] not in sent]
        for event in chosen:
            self._enqueue(event)
            await self.settled()

    def drop(self, *names: int | str) -> None:
        """These held events (all, if none is named) will never arrive; they stay in the account's list of events."""
        lost = {event["id"] for name in names for event in self._named(name)} if names else None
        self.held = [event for event in self.held if lost is not None and event["id"] not in lost]

    def duplicate(self, *names: int | str) -> None:
        """These held events (all, if none is named) are held twice."""
        self.held += [event for name in names for event in self._named(name)] if names else list(self.held)

    def _named(self, name: int | str) -> list[Obj]:
        if isinstance(name, int):
            return [self.held[name]]
        return [event for event in self.held if name in (event["id"], event["type"])]

    async def resend(self, event_id: str) -> None:
        """The event was sent once more to every endpoint."""
        self._enqueue(self._acc.get("event", event_id))
        await self.settled()

    async def close(self) -> None:
        """No delivery is running."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http:
            await self._http.close()
            self._http = None

    # --- sending

    async def _drain(self) -> None:
        try:
            while self._queue:
                event, target, attempt = self._queue.popleft()
                if not await self._send(event, target) and attempt < len(self.retry_seconds):
                    self._start(self._again(event, target, attempt))
        finally:
            self._workers -= 1

    async def _again(self, event: Obj, target: Obj, attempt: int) -> None:
        await asyncio.sleep(self.retry_seconds[attempt])
        self._queue.append((event, target, attempt + 1))
        self.wake()

    async def _send(self, event: Obj, target: Obj) -> bool:
        payload = self.payload(event, target["api_version"])
        timestamp = int(self.clock())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(payload, timestamp, target["secrets"]),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        status = await self._post(target["url"], payload, headers)
        accepted = status is not None and 200 <= status < 300
        if accepted:
            self._waiting[event["id"]].discard(target["url"])
            event["pending_webhooks"] = len(self._waiting[event["id"]])
        self._acc.history.add("stripe_event_sent", id=event["id"], type=event["type"], status=status)
        return accepted

    async def _post(self, url: str, payload: str, headers: dict[str, str]) -> int | None:
        self._http = self._http or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout))
        try:
            async with self._http.post(url, data=payload.encode(), headers=headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def payload(self, event: Obj, version: str) -> str:
        """The event as the bytes that travel, in this API version's shape."""
        shown = stripe_versions.in_version(event, version, self._acc)
        return json.dumps({**shown, "api_version": version}, indent=2, ensure_ascii=False)
