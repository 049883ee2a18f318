"""Scenes on Discord: people send commands through their client, or a forger sends what the client would not."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from bot import commands
from bot.platforms.discord import reception
from core import catalogue, inbox
from tests.bot import stage as stages
from tests.bot.platforms.discord import conftest as stage
from tests.rights import cast as casting
from tests.rights import judge, scene, table
from tests.sandbox import checker_reading, discord, discord_interactions, discord_people, discord_places, history

Json = dict[str, Any]
TIMING = replace(stage.QUICK, patience=reception.Patience())
HOST, GUILD, OTHER, LOBBY, GATED, ELSEWHERE = 6000, 9001, 9002, 9101, 9102, 9103


def build(world: discord.Discord) -> catalogue.Place:
    """Our server with its lobby and its gated channel, and another server that has the bot too; the place of ours."""
    world.user(HOST, "Host")
    for guild, name, channel in ((GUILD, "Traders", LOBBY), (OTHER, "Others", ELSEWHERE)):
        world.guild(guild, name, owner=HOST)
        world.channel(guild, channel, "lobby")
    role = world.role(GUILD, "Subscriber")
    world.channel(GUILD, GATED, "signals", private_to=[role.id])
    at = {"server": str(GUILD), "role": str(role.id), "channel": str(GATED)}
    return catalogue.Place(key="lounge", name="Lounge", platform="discord", **at)


class Scene(scene.Scene):
    """A place on Discord."""

    bot: Any
    world: discord.Discord

    def __init__(self, place: table.Place, *given: Any, world: discord.Discord) -> None:
        super().__init__(place, *given)
        self.world = world
        self.asked: dict[str, discord.Interaction] = {}
        self._number = 0

    @property
    def history(self) -> history.History:
        return self.world.history

    async def furnish(self) -> None:
        for person in self.cast.everybody:
            if person.platform == "discord":
                self.world.user(person.number, person.name, bot=person.kind == table.BOT)
                for guild in (GUILD, OTHER):
                    self.world.join(guild, person.number)
        self.world.guilds[GUILD].owner = self.cast.now[table.OPERATOR].number
        self.world.guilds[OTHER].owner = self.cast.now[table.OTHER_ADMIN].number

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with super().running(), stage.listening_to(self.bot, self.world):
            yield

    @property
    def public_chats(self) -> frozenset[checker_reading.Chat]:
        return frozenset({("channel", LOBBY), ("channel", ELSEWHERE)})

    @property
    def gated_chats(self) -> frozenset[checker_reading.Chat]:
        return frozenset({("channel", GATED)})

    def asked_in(self, person: casting.Person) -> str:
        return str(self.where(person.number).id)

    # --- what people do

    def where(self, user: int) -> discord.Channel:
        rooms = {table.LOBBY: LOBBY, table.ELSEWHERE: ELSEWHERE, table.GATED_ROOM: GATED}
        return self.world.channels[rooms[self.place]] if self.place in rooms else self.world.open_dm(user)

    async def speak(self, command: str, said: str, actors: Sequence[str], *, button: bool) -> dict[str, str]:
        events: dict[str, str] = {}
        for actor in actors:
            events[await self._spoken(command, said, actor, button=button)] = actor
        # What is acknowledged is about to be kept; looking for it earlier would be in vain.
        try:
            await stages.seen(lambda: not self._unheard(events), 5)
        except TimeoutError:  # the machine stood still for longer than Discord waits; people then ask again
            for lost in self._unheard(events):
                actor = events.pop(lost)
                events[await self._spoken(command, said, actor, button=button)] = actor
            await stages.seen(lambda: not self._unheard(events))
        return events

    def _unheard(self, events: Mapping[str, str]) -> list[str]:
        return [event for event in events if event in self.asked and self.asked[event].acked_after is None]

    async def _spoken(self, command: str, said: str, actor: str, *, button: bool) -> str:
        """The number of the event by which this was said."""
        if actor == table.ANONYMOUS:
            return await self._of_nobody(command)
        options = None if button else spelled(command, said)
        one = self.press(actor, f"/{command} {said}".strip()) if options is None else None
        one = one or await self.say(command, actor, options or {})
        self.asked[str(one.id)] = one
        return str(one.id)

    async def say(self, command: str, actor: str, options: Mapping[str, Any]) -> discord.Interaction:
        """The slash command, also where the person's client does not offer it."""
        row, user = commands.BY_NAME[command], self.cast.now[actor].number
        words, room = row.slash or row.name, self.where(user)
        if actor != table.BOT:
            try:
                place = discord_people.place(self.world, user, None, room.id)
                return discord_people.command(self.world, user, words, options, place)
            except ValueError:
                if not table.why_not(self.place, actor, command):
                    raise
        return forged(self.world, user, words, options, room)

    async def order(self, verb: str, actors: Sequence[str]) -> dict[str, scene.Heard]:
        """Each of them has ordered that the server be prepared, and what came back to each."""
        events: dict[str, str] = {}
        for actor in actors:
            user = self.cast.now[actor].number
            one = forged(self.world, user, f"setup {verb}", {}, self.where(user))
            self.asked[str(one.id)], events[str(one.id)] = one, actor
        return await self.heard(events)

    def press(self, actor: str, line: str) -> discord.Interaction:
        """The actor presses a button with this line under what only a payer sees; a forged client can name any."""
        user, payer = self.cast.now[actor].number, self.cast.now[table.PAYING].number
        mine = (one.original for one in reversed(self.asked.values()) if one.user.id == payer and one.original)
        data, kind = {"custom_id": line, "component_type": 2, "id": 1}, discord_interactions.COMPONENT
        return discord_people._send(self.world, kind, user, self.where(user), data, line, source=next(mine, None))

    async def _of_nobody(self, command: str) -> str:
        """An interaction that names no user is in the inbox."""
        self._number += 1
        body = {"token": "t", "type": 2, "data": {"name": command}, "user": {}, "guild_id": str(GUILD)}
        body |= {"channel_id": str(LOBBY), "at": self.held.clock().timestamp()}
        event = f"nobody-{self._number}"
        async with self.held.db.transaction() as session:
            now = self.held.clock()
            await inbox.put(session, "discord", event, "interaction", orjson.dumps(body), now=now)
        return event

    # --- what came of it

    def shown(self, row: scene.Row) -> judge.Shown:
        return judge.Shown(row, self._message(row).json())

    def _message(self, row: scene.Row) -> discord.Message:
        lying = self.world.channels[row["channel_id"]].messages
        if row["message_id"] in lying:
            return lying[row["message_id"]]
        answers = (one for asked in reversed(self.asked.values()) for one in asked.messages)
        return next(one for one in answers if one.id == row["message_id"])

    async def answers(self, events: Mapping[str, str], rows: Sequence[scene.Row]) -> dict[str, scene.Heard]:
        heard = {actor: scene.Heard() for actor in events.values()}
        lying = {row["message_id"]: row for row in rows}
        for event, actor in events.items():
            one = self.asked.get(event)
            for message in [message for message in one.messages if not message.loading] if one else []:
                shown = judge.Shown(lying.pop(message.id), message.json())
                alone = message.ephemeral and message.seen_by == self.cast.now[actor].number
                (heard[actor].home if alone else heard[actor].public).append(shown)
        self.unasked += [self.shown(row) for row in lying.values()]
        return heard


def spelled(command: str, said: str) -> dict[str, Any] | None:
    """What is said as options of the slash command; None where a client could not say it so, but a button could."""
    known = commands.BY_NAME[command].options
    if any(option.word for option in known):
        return worded(known, said)
    words = said.split(" ", len(known) - 1) if said else []
    required = sum(option.required for option in known)
    if len(words) < required or (words and not known):
        return None
    values = {option.name: word for option, word in zip(known, words, strict=False)}
    if any(option.kind == "number" and not values.get(option.name, "1").isdecimal() for option in known):
        return None
    return {name: value.removeprefix("discord:") for name, value in values.items()}


def worded(known: Sequence[commands.Option], said: str) -> dict[str, Any] | None:
    """The same where most options have a word before them: all words up to the next of these words are its value."""
    named = {option.word: option.name for option in known if option.word}
    first = [option.name for option in known if not option.word]
    values: dict[str, list[str]] = {}
    field = ""
    for word in said.split():
        field = named.get(word, field)
        if word not in named:
            values.setdefault(field or (first.pop(0) if first else ""), []).append(word)
    complete = all(option.name in values for option in known if option.required)
    return {name: " ".join(words) for name, words in values.items()} if complete else None


def forged(
    world: discord.Discord, user: int, words: str, options: Mapping[str, Any], room: discord_places.Channel
) -> discord.Interaction:
    """The slash command as the person's client sends it, whether it would offer it or not."""
    chosen, path, known = world.commands.find(room.guild_id, words)
    sent = discord_people._options(world, room, known, options, {}, complete=True)
    data = {"id": chosen["id"], "name": chosen["name"], "type": 1, "options": _within(path, sent)}
    return discord_people._send(world, discord_interactions.COMMAND, user, room, data, words)


def typing(
    world: discord.Discord, user: int, words: str, option: str, typed: str, room: discord_places.Channel
) -> discord.Interaction:
    """The person types this into an option, whether that is completed or not."""
    chosen, path, _ = world.commands.find(room.guild_id, words)
    focused = {"name": option, "type": 3, "value": typed, "focused": True}
    data = {"id": chosen["id"], "name": chosen["name"], "type": 1, "options": _within(path, [focused])}
    return discord_people._send(world, discord_interactions.AUTOCOMPLETE, user, room, data, words)


def _within(path: Sequence[Json], sent: list[Json]) -> list[Json]:
    for inner in reversed(path):
        sent = [{"name": inner["name"], "type": inner["type"], "options": sent}]
    return sent
