"""What comes from the gateway, in the order in which it comes: questions are received, the rest is kept for later.

The gateway gives no second chance: what it said before a connection broke is resumed, what we lose is lost. So events
wait in memory while the database is away, and a round through the places finds what did not outlive that.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

import orjson
import structlog

from bot.platforms.discord import api, events, reception
from core import db, inbox, places, stack

Json = dict[str, Any]
log = structlog.get_logger()

_MOST_WAITING = 10_000
_MOST_REMEMBERED = 50_000
_LONGEST_PAUSE = 5.0
_DISPATCH = 0


class Hearing:
    """Hears for one bot; `progress` is the monotonic second of the last word, `signed_in` counts sessions.

    `settling` are the seconds for which changes of a server are collected before it is looked at.
    """

    def __init__(
        self, connection: api.Api, opened: stack.Stack, patience: reception.Patience, *, settling: float
    ) -> None:
        self.progress = time.monotonic()
        self.signed_in = 0
        self._api, self._stack, self._settling = connection, opened, settling
        self._reception = reception.Reception(connection, opened, patience)
        self._name = secrets.token_hex(6)
        self._watched: dict[str, frozenset[str]] = {}
        self._channels: frozenset[str] = frozenset()
        self._queue: asyncio.Queue[tuple[str, str, Json]] = asyncio.Queue(_MOST_WAITING)
        self._roles: dict[tuple[str, str], frozenset[str]] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._receiving: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Which servers have places of ours is known."""
        async with self._stack.db.reading() as session:
            found = await places.active(session, events.PLATFORM)
        roles: dict[str, set[str]] = {}
        for place in found:
            roles.setdefault(place.space, set()).add(place.role)
        self._watched = {space: frozenset(held) for space, held in roles.items()}
        self._channels = frozenset(place.channel for place in found if place.channel)

    def hear(self, message: str) -> None:
        """What the gateway says is on its way to where it belongs; returns at once and never raises."""
        self.progress = time.monotonic()
        try:
            said = orjson.loads(message)
            if said.get("op") == _DISPATCH:
                self._dispatched(str(said.get("t")), said["d"], f"{said.get('s')}")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            log.warning("discord_event_malformed", error=type(error).__name__)

    def _dispatched(self, event: str, data: Json, number: str) -> None:
        if event == "INTERACTION_CREATE":
            task = asyncio.create_task(self._spared(self._reception.receive(data)))
            self._receiving.add(task)
            task.add_done_callback(self._receiving.discard)
        elif event == "READY":
            self.signed_in += 1
            self._roles.clear()
            log.info("discord_signed_in", shard=data.get("shard"), servers=len(data.get("guilds", ())))
        elif event == "RESUMED":
            log.info("discord_session_resumed")
        elif event in {"GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE"}:
            self._member(event, data, number)
        elif (space := self._concerned(event, data)) in self._watched:
            self._look(space)

    def _concerned(self, event: str, data: Json) -> str:
        """The server that has to be looked at after this event, if we have a place there."""
        if event in {"GUILD_ROLE_DELETE", "GUILD_ROLE_UPDATE"}:
            return str(data["guild_id"])
        if event in {"CHANNEL_DELETE", "CHANNEL_UPDATE"} and str(data["id"]) in self._channels:
            return str(data["guild_id"])
        # A server that is `unavailable` has an outage; we are still on it.
        if event == "GUILD_CREATE" or (event == "GUILD_DELETE" and not data.get("unavailable")):
            return str(data["id"])
        return ""

    def _member(self, event: str, data: Json, number: str) -> None:
        space, user = str(data["guild_id"]), str(data["user"]["id"])
        if space not in self._watched:
            return
        if user == self._api.me:
            self._look(space)
            return
        gone = event == "GUILD_MEMBER_REMOVE"
        held = frozenset() if gone else self._watched[space] & frozenset(data["roles"])
        if event == "GUILD_MEMBER_UPDATE" and self._roles.get((space, user)) == held:
            return  # a nickname or the like
        if len(self._roles) >= _MOST_REMEMBERED:
            self._roles.clear()
        self._roles[space, user] = held
        body = {"space": space, "user": user, "roles": None if gone else sorted(held)}
        about = {"bot": bool(data["user"].get("bot")), "joined": event == "GUILD_MEMBER_ADD"}
        self._put(events.MEMBER, number, body | about)

    def _look(self, space: str) -> None:
        """The server will be looked at in a moment, once for everything that changes there until then."""
        if space not in self._looks:
            self._looks[space] = asyncio.create_task(self._spared(self._looked(space)))
            self._looks[space].add_done_callback(lambda _: self._looks.pop(space, None))

    async def _looked(self, space: str) -> None:
        await asyncio.sleep(self._settling)
        self._put(events.SERVER, secrets.token_hex(6), {"space": space})

    def _put(self, kind: str, number: str, body: Json) -> None:
        # What is told again after a connection broke has the same number and words, and so the same name.
        digest = hashlib.sha256(orjson.dumps([number, body])).hexdigest()[:24]
        try:
            self._queue.put_nowait((kind, f"{self._name}:{self.signed_in}:{digest}", body))
        except asyncio.QueueFull:
            log.warning("discord_event_dropped", kind=kind, hint="the next round through the places finds it")

    async def _spared(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("discord_event_failed")

    async def keep(self) -> None:
        """Events are put into the inbox, in their order, until this is cancelled."""
        while True:
            kind, name, body = await self._queue.get()
            await self._kept(kind, name, body)
            self._queue.task_done()
            self._stack.bell.ring(f"inbox:{events.PLATFORM}")

    async def _kept(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        pause = 0.2
        while True:
            try:
                async with self._stack.db.transaction() as session:
                    now = self._stack.clock()
                    await inbox.put(session, events.PLATFORM, name, kind, orjson.dumps(body), now=now)
            except Exception as error:
                if not db.is_unavailable(error):
                    raise
                log.warning("discord_event_waits", kind=kind, error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)
            else:
                return

    async def finish(self, seconds: float) -> None:
        """What was heard is kept, if that takes no longer than this; nothing is heard any more."""
        for look in list(self._looks.values()):
            look.cancel()
        if self._receiving:
            await asyncio.wait(set(self._receiving), timeout=seconds)
        for task in list(self._receiving):
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._queue.join()
