"""Messages of the Discord stand-in and the files that hang on them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.sandbox import discord_ids, discord_places

Json = dict[str, Any]

EPHEMERAL, LOADING, COMPONENTS_V2, CROSSPOSTED = 1 << 6, 1 << 7, 1 << 15, 1 << 0
DEFAULT, REPLY, SLASH_ANSWER = 0, 19, 20


@dataclass(slots=True)
class Attachment:
    id: int
    channel_id: int
    filename: str
    content: bytes
    content_type: str
    base: str = ""
    """The address of this server, as the one who uploaded it named it."""
    description: str | None = None
    width: int | None = None
    height: int | None = None

    @property
    def url(self) -> str:
        return f"{self.base}/attachments/{self.channel_id}/{self.id}/{quote(self.filename)}"

    def json(self) -> Json:
        body: Json = {"id": str(self.id), "filename": self.filename, "size": len(self.content)}
        body |= {"url": self.url, "proxy_url": self.url, "content_type": self.content_type}
        more = {"description": self.description, "width": self.width, "height": self.height}
        return body | {name: value for name, value in more.items() if value is not None}


@dataclass(slots=True)
class Message:
    """What lies in a channel, or, when `ephemeral`, what only `seen_by` sees.

    `embeds` and `components` are as the API answers them. A file that an embed shows stands in `files` only.
    """

    id: int
    channel: "discord_places.Channel"
    author: "discord_places.User"
    sent: float
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    files: dict[int, Attachment] = field(default_factory=dict)
    components: list[Json] = field(default_factory=list)
    mentions: list["discord_places.User"] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    flags: int = 0
    nonce: str | int | None = None
    kind: int = DEFAULT
    reply_to: int | None = None
    """The id of the message this one answers."""
    seen_by: int | None = None
    interaction: Json | None = None
    thread: "discord_places.Channel | None" = None
    edited: float | None = None
    pinned: bool = False
    deleted: bool = False

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """Whether people see no more than that the bot is thinking."""
        return bool(self.flags & LOADING)

    @property
    def text(self) -> str:
        """Everything one can read in it: the content, then each embed from its title to its footer."""
        return "\n".join(part for part in self._texts() if part)

    @property
    def has_photo(self) -> bool:
        shown = any("image" in embed for embed in self.embeds)
        return shown or any(file.content_type.startswith("image/") for file in self.attachments)

    @property
    def buttons(self) -> list[Json]:
        """The buttons, as the API answers them."""
        return [part for part in parts(self.components) if part["type"] == 2]

    def part(self, custom_id: str) -> Json | None:
        """The button or menu with this custom_id."""
        return next((part for part in parts(self.components) if part.get("custom_id") == custom_id), None)

    def _texts(self) -> Iterator[str]:
        yield self.content
        yield from (str(part["content"]) for part in parts(self.components) if part["type"] == 10)
        for embed in self.embeds:
            yield embed.get("title", "")
            yield embed.get("description", "")
            for line in embed.get("fields", ()):
                yield line["name"]
                yield line["value"]
            yield embed.get("footer", {}).get("text", "")
            yield embed.get("author", {}).get("name", "")

    def json(self, *, with_reply: bool = True, with_nonce: bool = False) -> Json:
        """The API's message. Discord tells the nonce to nobody but the sender, and only once."""
        body: Json = {"id": str(self.id), "channel_id": str(self.channel.id), "author": self.author.json()}
        body |= {"type": self.kind, "content": self.content, "embeds": self.embeds, "components": self.components}
        body |= {"attachments": [file.json() for file in self.attachments], "pinned": self.pinned, "tts": False}
        body |= {"mentions": [user.json() for user in self.mentions], "mention_everyone": self.mention_everyone}
        body |= {"mention_roles": [str(role) for role in self.mention_roles], "flags": self.flags}
        body["timestamp"] = discord_ids.iso(self.sent)
        body["edited_timestamp"] = discord_ids.iso(self.edited) if self.edited else None
        if with_nonce and self.nonce is not None:
            body["nonce"] = self.nonce
        if self.interaction:
            application = str(self.author.id)
            body |= {"application_id": application, "webhook_id": application, "interaction_metadata": self.interaction}
        if self.thread:
            body["thread"] = self.thread.json()
        return body | self._reply_json(with_reply=with_reply)

    def _reply_json(self, *, with_reply: bool) -> Json:
        if self.reply_to is None:
            return {}
        reference: Json = {"type": 0, "channel_id": str(self.channel.id), "message_id": str(self.reply_to)}
        if self.channel.guild:
            reference["guild_id"] = str(self.channel.guild.id)
        if not with_reply:
            return {"message_reference": reference}
        other = self.channel.messages.get(self.reply_to)
        shown = other.json(with_reply=False) if other and not other.deleted else None
        return {"message_reference": reference, "referenced_message": shown}


def parts(components: list[Json]) -> Iterator[Json]:
    """Every component, with those inside of rows, sections and containers."""
    for component in components:
        yield component
        yield from parts(component.get("components", []))
        if "accessory" in component:
            yield from parts([component["accessory"]])
