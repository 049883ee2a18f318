"""Scenes on Telegram: people speak, or a forger writes the update that would say they did."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import insert, select

from bot.platforms.telegram import updates
from core import catalogue, models
from core.models import Delivery
from tests.rights import cast as casting
from tests.rights import judge, scene, table
from tests.sandbox import checker_reading, history, telegram, telegram_world

Json = dict[str, Any]
GATED_GROUP, GATED_CHANNEL, GROUP, CHANNEL = -1_000_500, -1_000_501, -1_000_600, -1_000_700
GATED = (
    catalogue.Place(key="vip", name="VIP room", platform="telegram", chat=str(GATED_GROUP)),
    catalogue.Place(key="news", name="VIP news", platform="telegram", chat=str(GATED_CHANNEL)),
)
CHATS = {
    table.GROUP: GROUP,
    table.CHANNEL: CHANNEL,
    table.GATED_GROUP: GATED_GROUP,
    table.GATED_CHANNEL: GATED_CHANNEL,
}


class Scene(scene.Scene):
    """A place on Telegram."""

    bot: Any
    world: telegram.Telegram

    def __init__(self, place: table.Place, *given: Any, world: telegram.Telegram) -> None:
        super().__init__(place, *given)
        self.world = world
        self._buttons: dict[int, int] = {}
        """A message of ours in each chat, under which buttons are pressed."""
        self._number, self._answered = 1, 0
        for chat, title, kind in (
            (GATED_GROUP, "VIP room", "supergroup"),
            (GATED_CHANNEL, "VIP news", "channel"),
            (GROUP, "Open talk", "supergroup"),
            (CHANNEL, "Open news", "channel"),
        ):
            world.group(chat, title, kind, username=None if "VIP" in title else title[5:])

    @property
    def history(self) -> history.History:
        return self.world.history

    @property
    def chat(self) -> int:
        """The chat in which everybody asks; 0 for their private ones."""
        return CHATS.get(self.place, 0)

    def enter(self, person: casting.Person, *, started: bool) -> None:
        """The person has an account and sits where their kind does."""
        made = self.world.person(person.number, person.name, person.name.lower(), started=started)
        made.is_bot = person.kind == table.BOT
        insiders = table.HOLDERS | table.HIDDEN | {table.OPERATOR}
        for chat in CHATS.values():
            if self.place.context.startswith("gated") and chat in {GATED_GROUP, GATED_CHANNEL}:
                inside = person.kind in insiders and (chat == self.chat)
            else:
                inside = chat == GROUP or (chat == CHANNEL and person.kind in {table.OTHER_ADMIN, table.ANONYMOUS})
            if inside:
                self.world.chats[chat].members[person.number] = "member"

    async def furnish(self) -> None:
        self.world.updates.allow(updates.KINDS)
        for person in self.cast.everybody:
            if person.platform == "telegram":
                self.enter(person, started=True)
        owners = {GATED_GROUP: table.OPERATOR, GATED_CHANNEL: table.OPERATOR}
        for chat, owner in (owners | {GROUP: table.OTHER_ADMIN, CHANNEL: table.OTHER_ADMIN}).items():
            members = self.world.chats[chat].members
            members[self.cast.now[owner].number] = "creator"
            members[self.cast.now[table.ANONYMOUS].number] = "administrator"
        for person in self.cast.everybody:
            if self.chat in {GATED_GROUP, GATED_CHANNEL} and person.kind in table.HOLDERS | {table.OPERATOR}:
                await self._tell_inside(person)

    async def _tell_inside(self, person: casting.Person) -> None:
        """We have heard that the person is inside."""
        chat = self.world.chats[self.chat]
        if person.number in chat.members:
            status = chat.members.pop(person.number)
            self.world.set_member(chat.id, person.number, status)
            await self._hear(self.world.updates.pending.pop())

    async def _hear(self, update: Json) -> None:
        [item] = await self.claimed(await self._put([update]))
        await self.bot.apply(item)

    async def _put(self, told: Sequence[Json]) -> list[str]:
        """The updates are in the inbox, as the poller puts them there; their numbers."""
        now, numbers = self.held.clock(), range(self._number, self._number + len(told))
        rows = [
            {"event_id": str(number), "kind": next(iter(update)), "body": orjson.dumps({**update, "update_id": number})}
            for number, update in zip(numbers, told, strict=True)
        ]
        common = {"source": "telegram", "received_at": now, "not_before": now}
        async with self.held.db.transaction() as session:
            await session.execute(insert(models.Inbox), [row | common for row in rows])
        self._number += len(told)
        return [str(number) for number in numbers]

    @property
    def public_chats(self) -> frozenset[checker_reading.Chat]:
        return frozenset({GROUP, CHANNEL})

    @property
    def gated_chats(self) -> frozenset[checker_reading.Chat]:
        return frozenset({GATED_GROUP, GATED_CHANNEL})

    def asked_in(self, person: casting.Person) -> str:
        return str(self.chat or person.number)

    # --- what people say

    async def speak(self, command: str, said: str, actors: Sequence[str], *, button: bool) -> dict[str, str]:
        line = f"/{command} {said}".strip()
        told: list[tuple[str, Json]] = []
        for actor in actors:
            made = [await self.press(actor, line)] if button else await self.say(command, actor, line)
            told += [(actor, update) for update in made]
        self.world.updates.pending.clear()
        told = [(actor, {name: body for name, body in update.items() if name != "update_id"}) for actor, update in told]
        numbers = await self._put([update for _, update in told])
        return dict(zip(numbers, (actor for actor, _ in told), strict=True))

    async def say(self, command: str, actor: str, line: str) -> list[Json]:
        """The updates that bring these words; in channels also one that pretends to be a message of this person."""
        person = self.cast.now[actor]
        where = self.chat or person.number
        try:
            made = [await self.world.say(person.number, line, chat_id=where, anonymous=actor == table.ANONYMOUS)]
        except ValueError:
            if not table.why_not(self.place, actor, command):
                raise
            made = [self.forged(person, where, line)]
        if self.world.chats[where].kind == "channel":
            made.append({"message": self._words(person, where, line)})
        return made

    def forged(self, person: casting.Person, where: int, line: str) -> Json:
        """The update of somebody who cannot speak there, as if they could."""
        body = self._words(person, where, line)
        if self.world.chats[where].kind != "channel":
            return {"message": body}
        del body["from"]
        return {"channel_post": body | {"sender_chat": body["chat"], "author_signature": person.name}}

    def _words(self, person: casting.Person, where: int, line: str) -> Json:
        sender = self.world.people[person.number].json()
        if person.kind == table.ANONYMOUS:
            sender = dict(telegram_world.ANONYMOUS)
        chat = self.world.chats[where].json()
        return {"message_id": 1, "date": int(self.world.now()), "from": sender, "chat": chat, "text": line}

    async def press(self, actor: str, line: str) -> Json:
        """The actor presses a button with this line under a message of ours: here, or in the private chat of a payer.

        Telegram always names the account that pressed, also of who else hides behind a group.
        """
        where = self.chat or self.cast.now[table.PAYING].number
        if where not in self._buttons:
            message = self.world.new_message(self.world.chats[where])
            message.text = "A message with buttons"
            self.world.lay(message)
            self._buttons[where] = message.id
        await self.world.press(self.cast.now[actor].number, where, self._buttons[where], line)
        update: Json = self.world.updates.pending.pop()
        return update

    # --- what came of it

    def shown(self, row: scene.Row) -> judge.Shown:
        return judge.Shown(row, self.world.chats[row["chat_id"]].messages[row["message_id"]].json())

    async def answers(self, events: Mapping[str, str], rows: Sequence[scene.Row]) -> dict[str, scene.Heard]:
        heard = {actor: scene.Heard() for actor in events.values()}
        lying = {(str(row["chat_id"]), str(row["message_id"])): row for row in rows}
        for key, address, message in await self._replies(events):
            actor = events[key.split(":")[1]]
            shown = self.shown(lying.pop((address, message)))
            at_home = shown.chat == self.cast.now[actor].number
            (heard[actor].home if at_home else heard[actor].public).append(shown)
        self.unasked += [self.shown(row) for row in lying.values()]
        return heard

    async def _replies(self, events: Mapping[str, str]) -> list[tuple[str, str, str]]:
        """Which message answers which event, as the outbox has it: the key that begins with the event's number."""
        columns = (Delivery.id, Delivery.key, Delivery.address, Delivery.message_id)
        rows = select(*columns).where(Delivery.kind == "reply", Delivery.state == "sent", Delivery.id > self._answered)
        async with self.held.db.reading() as session:
            made = (await session.execute(rows.order_by(Delivery.id))).all()
        self._answered = max((row.id for row in made), default=self._answered)
        return [(row.key, row.address, row.message_id) for row in made if row.key.split(":")[1] in events]
