"""Interactions of the Discord stand-in: what a bot may answer to a command or a click, how soon, and how often."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from tests.sandbox import discord_content, discord_messages, discord_places, discord_posts, discord_wire

if TYPE_CHECKING:
    from tests.sandbox import discord_world

Json = dict[str, Any]
Call = discord_wire.Call
Message = discord_posts.Message

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
ACKNOWLEDGED_WITHIN = 3.0
TOKEN_LIFETIME = 15 * 60.0
MOST_CHOICES = 25


class Ack(IntEnum):
    """The kinds of the first answer."""

    MESSAGE = 4
    DEFERRED = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


ALLOWED = {
    COMMAND: {Ack.MESSAGE, Ack.DEFERRED, Ack.MODAL},
    COMPONENT: set(Ack) - {Ack.CHOICES},
    AUTOCOMPLETE: {Ack.CHOICES},
    MODAL_SUBMIT: set(Ack) - {Ack.CHOICES, Ack.MODAL},
}


@dataclass(slots=True, eq=False)
class Interaction:
    """What a person did, and how the bot answered it. `name` is the command's words or the component's custom_id."""

    id: int
    token: str
    kind: int
    user: discord_places.User
    channel: discord_places.Channel
    name: str
    made: float
    row: Json = field(default_factory=dict)
    source: Message | None = None
    """The message with the component that was used."""
    acked_after: float | None = None
    """Seconds until the first answer."""
    kind_of_ack: Ack | None = None
    ephemeral: bool = False
    """Whether the first answer is for this person only."""
    original: Message | None = None
    messages: list[Message] = field(default_factory=list)
    """Every answer, the original one and the follow-ups."""
    choices: list[Json] | None = None
    modal: Json | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def response(self) -> Message | None:
        """The original answer as it is now; None while there is none or the bot is thinking."""
        return None if self.original is None or self.original.loading else self.original

    async def answered(self, within: float = 5) -> Message | None:
        """The original answer, as soon as it says something (choices, a form or a follow-up count too).

        Raises TimeoutError when it does not come in time.
        """
        await asyncio.wait_for(self.told.wait(), within)
        return self.response

    def metadata(self) -> Json:
        """What a message says of the interaction it answers."""
        body: Json = {"id": str(self.id), "type": self.kind, "user": self.user.json()}
        body["authorizing_integration_owners"] = {"0": str(self.channel.guild_id or 0)}
        if self.kind == COMPONENT and self.source:
            body["interacted_message_id"] = str(self.source.id)
        if self.kind == MODAL_SUBMIT:
            body["triggering_interaction_metadata"] = self.metadata_of_command()
        return body

    def metadata_of_command(self) -> Json:
        owners = {"0": str(self.channel.guild_id or 0)}
        body: Json = {"id": str(self.id), "type": COMMAND, "user": self.user.json()}
        return body | {"authorizing_integration_owners": owners}


# --- the first answer


def callback(world: "discord_world.World", call: Call) -> Json | None:
    """POST /interactions/{id}/{token}/callback: once, and within three seconds."""
    one = world.interactions.get(call.id("interaction_id"))
    if one is None or one.token != call.ids["interaction_token"]:
        raise discord_wire.refused(10062)
    if one.acked_after is not None:
        raise discord_wire.refused(40060)
    after = world.now() - one.made
    if after > ACKNOWLEDGED_WITHIN:
        raise discord_wire.refused(10062)
    kind = call.form.get("type")
    if kind not in ALLOWED[one.kind]:
        choices = ", ".join(str(int(known)) for known in sorted(ALLOWED[one.kind]))
        raise discord_wire.invalid("type", "BASE_TYPE_CHOICES", f"Value of field must be one of ({choices}).")
    ack = Ack(kind)
    ANSWERS[ack](world, one, call, call.form.get("data") or {})
    one.acked_after, one.kind_of_ack = after, ack
    one.row["acked"] = round(after, 3)
    fields = {"interaction_id": one.id, "user_id": one.user.id, "acked": round(after, 3), "kind": ack.name.lower()}
    world.history.add("discord_acked", **fields, ephemeral=one.ephemeral)
    return _receipt(one, ack) if call.flag("with_response") else None


def _receipt(one: Interaction, ack: Ack) -> Json:
    about: Json = {"id": str(one.id), "type": one.kind, "channel_id": str(one.channel.id)}
    if one.channel.guild_id:
        about["guild_id"] = str(one.channel.guild_id)
    if one.original:
        about |= {"response_message_id": str(one.original.id), "response_message_loading": one.original.loading}
        about["response_message_ephemeral"] = one.original.ephemeral
    if ack in {Ack.MESSAGE, Ack.UPDATE} and one.original:
        return {"interaction": about, "resource": {"type": int(ack), "message": one.original.json()}}
    return {"interaction": about}


def _message(world: "discord_world.World", one: Interaction, call: Call, data: Json) -> None:
    message = _new(world, one, data)
    discord_content.fill(message, call, data, world.users, world.new_id)
    one.original, one.ephemeral = message, message.ephemeral
    one.messages.append(message)
    discord_messages.lay(world, message, interaction_id=one.id)
    one.told.set()


def _defer(world: "discord_world.World", one: Interaction, _call: Call, data: Json) -> None:
    """People see that the bot is thinking; whether everybody does is settled here."""
    message = _new(world, one, data)
    message.flags |= discord_posts.LOADING
    one.original, one.ephemeral = message, message.ephemeral
    one.messages.append(message)
    if not message.ephemeral:
        one.channel.messages[message.id] = message
    world.changed(one.channel.id)
    world.changed(one.user.id)


def _defer_update(_world: "discord_world.World", one: Interaction, _call: Call, _data: Json) -> None:
    one.original = one.source
    one.ephemeral = bool(one.source and one.source.ephemeral)


def _update(world: "discord_world.World", one: Interaction, call: Call, data: Json) -> None:
    if one.source is None:
        raise discord_wire.invalid("type", "BASE_TYPE_CHOICES", "There is no message to update.")
    discord_messages.revise(world, one.source, call, data, interaction_id=one.id)
    one.original, one.ephemeral = one.source, one.source.ephemeral
    one.told.set()


def _choose(_world: "discord_world.World", one: Interaction, _call: Call, data: Json) -> None:
    choices = data.get("choices") or []
    if len(choices) > MOST_CHOICES:
        raise discord_wire.too_long("data.choices", MOST_CHOICES)
    for n, choice in enumerate(choices):
        if not 1 <= len(str(choice.get("name") or "")) <= 100:
            text = "Must be between 1 and 100 in length."
            raise discord_wire.invalid(f"data.choices.{n}.name", "BASE_TYPE_BAD_LENGTH", text)
    one.choices = list(choices)
    one.told.set()


def _show_form(_world: "discord_world.World", one: Interaction, _call: Call, data: Json) -> None:
    if not 1 <= len(str(data.get("title") or "")) <= 45:
        raise discord_wire.invalid("data.title", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 45 in length.")
    one.modal = data
    one.told.set()


ANSWERS: dict[Ack, Callable[["discord_world.World", Interaction, Call, Json], None]] = {
    Ack.MESSAGE: _message,
    Ack.DEFERRED: _defer,
    Ack.DEFERRED_UPDATE: _defer_update,
    Ack.UPDATE: _update,
    Ack.CHOICES: _choose,
    Ack.MODAL: _show_form,
}


def _new(world: "discord_world.World", one: Interaction, data: Json) -> Message:
    message = Message(world.new_id(), one.channel, world.bot, world.now(), interaction=one.metadata())
    message.kind = discord_posts.SLASH_ANSWER if one.kind == COMMAND else discord_posts.DEFAULT
    if int(data.get("flags") or 0) & discord_posts.EPHEMERAL:
        message.flags, message.seen_by = discord_posts.EPHEMERAL, one.user.id
    return message


# --- later answers


def follow_up(world: "discord_world.World", call: Call) -> Json:
    """POST /webhooks/{application}/{token}: one more answer, or what the bot was thinking about."""
    one = _by_token(world, call)
    if one.original and one.original.loading:
        _revise(world, one, one.original, call)
        return one.original.json()
    message = _new(world, one, call.form)
    message.kind = discord_posts.DEFAULT
    discord_content.fill(message, call, call.form, world.users, world.new_id)
    one.messages.append(message)
    discord_messages.lay(world, message, interaction_id=one.id)
    one.told.set()
    return message.json()


def get_answer(world: "discord_world.World", call: Call) -> Json:
    """GET /webhooks/{application}/{token}/messages/{message}."""
    return _answer(_by_token(world, call), call).json()


def edit_answer(world: "discord_world.World", call: Call) -> Json:
    """PATCH /webhooks/{application}/{token}/messages/{message}; the first edit ends the thinking."""
    one = _by_token(world, call)
    message = _answer(one, call)
    _revise(world, one, message, call)
    return message.json()


def delete_answer(world: "discord_world.World", call: Call) -> None:
    """DELETE /webhooks/{application}/{token}/messages/{message}."""
    discord_messages.take_away(world, _answer(_by_token(world, call), call))


def _revise(world: "discord_world.World", one: Interaction, message: Message, call: Call) -> None:
    discord_messages.revise(world, message, call, call.form, interaction_id=one.id)
    one.told.set()


def _by_token(world: "discord_world.World", call: Call) -> Interaction:
    """The interaction, which was acknowledged and is not too old. Refused otherwise."""
    token = call.ids["webhook_token"]
    one = next((one for one in reversed(world.interactions.values()) if one.token == token), None)
    if one is None or one.acked_after is None or call.id("webhook_id") != world.bot.id:
        raise discord_wire.refused(10015)
    if world.now() - one.made > TOKEN_LIFETIME:
        raise discord_wire.refused(50027)
    return one


def _answer(one: Interaction, call: Call) -> Message:
    name = call.ids.get("message_id", "@original")
    shown = [one.original] if name == "@original" else [one.source, *one.messages]
    message = next((one for one in shown if one and (name == "@original" or str(one.id) == name)), None)
    if message is None or message.deleted:
        raise discord_wire.refused(10008)
    return message
