"""What a message may contain: a request body becomes the content of a message, or is refused with its errors."""

import io
import mimetypes
import re
from typing import Any

from PIL import Image, UnidentifiedImageError

from tests.sandbox import discord_components, discord_permissions, discord_places, discord_posts, discord_wire

Json = dict[str, Any]
Call = discord_wire.Call
Message = discord_posts.Message

CONTENT = 2000
EMBED_TEXTS = {"title": 256, "description": 4096}
EMBED_TOTAL = 6000
MOST_EMBEDS, MOST_FIELDS, MOST_FILES = 10, 25, 10
SETTABLE_FLAGS = 1 << 2 | 1 << 12 | discord_posts.COMPONENTS_V2
MENTION = re.compile(r"<@(!?|&)(\d+)>")


def fill(message: Message, call: Call, body: Json, users: dict[int, discord_places.User], new_id: Any) -> None:
    """The message has the content of the body; what the body does not name stays. Refused with 400, and 50006 when
    nothing would be left of it."""
    if body.get("flags") is not None:
        message.flags = message.flags & ~SETTABLE_FLAGS | int(body["flags"]) & SETTABLE_FLAGS
    if "content" in body:
        message.content = _content(body["content"])
    if "content" in body or "allowed_mentions" in body:
        _mention(message, body.get("allowed_mentions"), users)
    _attach(message, call, body, new_id)
    if "embeds" in body:
        made = (_embed(embed, f"embeds.{n}", message) for n, embed in enumerate(_embeds(body["embeds"])))
        message.embeds = [embed for embed in made if embed]
        _check_total(message.embeds)
    if "components" in body:
        message.components = discord_components.checked(body["components"] or [], message.flags)
    shown = {file.url for file in message.files.values()} & {_image(embed) for embed in message.embeds}
    message.attachments = [file for file in message.files.values() if file.url not in shown]
    if not (message.text or message.files or message.embeds or message.components):
        raise discord_wire.refused(50006)


def needs(call: Call) -> int:
    """The permissions that the content of the body asks for, beside those of any message."""
    files = discord_permissions.ATTACH_FILES if call.files else 0
    return files | (discord_permissions.EMBED_LINKS if call.form.get("embeds") else 0)


def _content(given: Any) -> str:
    text = "" if given is None else str(given).strip()
    if len(text) > CONTENT:
        raise discord_wire.too_long("content", CONTENT)
    return text


def _mention(message: Message, allowed: Json | None, users: dict[int, discord_places.User]) -> None:
    """Whoever the text names is mentioned, unless `allowed_mentions` leaves them out."""
    found = [(sign == "&", int(number)) for sign, number in MENTION.findall(message.content)]
    people = _allowed(allowed, "users", [number for role, number in found if not role])
    message.mentions = [users[number] for number in people if number in users]
    guild = message.channel.guild
    roles = _allowed(allowed, "roles", [number for role, number in found if role])
    message.mention_roles = [number for number in roles if guild and number in guild.roles]
    may = discord_permissions.in_channel(message.channel, message.author.id) & discord_permissions.MENTION_EVERYONE
    loud = "@everyone" in message.content or "@here" in message.content
    wanted = allowed is None or "everyone" in (allowed.get("parse") or [])
    message.mention_everyone = bool(may and loud and wanted)


def _allowed(allowed: Json | None, kind: str, numbers: list[int]) -> list[int]:
    numbers = list(dict.fromkeys(numbers))
    if allowed is None or kind in (allowed.get("parse") or []):
        return numbers
    named = {int(number) for number in allowed.get(kind) or []}
    return [number for number in numbers if number in named]


# --- files


def _attach(message: Message, call: Call, body: Json, new_id: Any) -> None:
    """The message keeps the files the body names by id and has the new ones; without a list it keeps them all."""
    listed = body.get("attachments")
    if listed is not None and not isinstance(listed, list):
        raise discord_wire.invalid("attachments", "LIST_TYPE_CONVERT", "Must be a list.")
    about = {str(entry.get("id")): entry for entry in listed or []}
    if listed is not None:
        message.files = {file_id: file for file_id, file in message.files.items() if str(file_id) in about}
    for name, upload in call.files.items():
        number = name.removeprefix("files[").removesuffix("]")
        file = _file(message, call, upload, about.get(number, {}), new_id())
        message.files[file.id] = file
    if len(message.files) > MOST_FILES:
        raise discord_wire.too_long("attachments", MOST_FILES)


def _file(
    message: Message, call: Call, upload: discord_wire.Upload, about: Json, file_id: int
) -> discord_posts.Attachment:
    filename = re.sub(r"[^\w.\-]", "_", str(about.get("filename") or upload.filename))
    file = discord_posts.Attachment(
        file_id, message.channel.id, filename, upload.content, "application/octet-stream", call.base
    )
    file.description = about.get("description")
    try:
        with Image.open(io.BytesIO(upload.content)) as picture:
            file.width, file.height = picture.size
            file.content_type = Image.MIME.get(picture.format or "", file.content_type)
    except UnidentifiedImageError:
        file.content_type = mimetypes.guess_type(filename)[0] or file.content_type
    return file


# --- embeds


def _embeds(given: Any) -> list[Json]:
    embeds = given or []
    if len(embeds) > MOST_EMBEDS:
        raise discord_wire.too_long("embeds", MOST_EMBEDS)
    return list(embeds)


def _embed(given: Json, path: str, message: Message) -> Json:
    """The embed as the API answers it."""
    embed: Json = {"type": "rich"}
    for name, most in EMBED_TEXTS.items():
        if text := _text(given.get(name), f"{path}.{name}", most):
            embed[name] = text
    if given.get("url"):
        embed["url"] = _link(given["url"], f"{path}.url")
    embed |= {name: given[name] for name in ("color", "timestamp") if given.get(name) is not None}
    if fields := given.get("fields"):
        embed["fields"] = _fields(fields, f"{path}.fields")
    for name, word, most in (("footer", "text", 2048), ("author", "name", 256)):
        if part := given.get(name):
            embed[name] = {word: _text(part.get(word), f"{path}.{name}.{word}", most)}
            embed[name] |= _links(part, f"{path}.{name}", message)
    for name in ("image", "thumbnail"):
        if part := given.get(name):
            url = _picture(part.get("url"), f"{path}.{name}.url", message)
            embed[name] = {"url": url, "proxy_url": url, **_size(url, message)}
    return embed if len(embed) > 1 else {}


def _links(part: Json, path: str, message: Message) -> Json:
    links = {"icon_url": _picture(part["icon_url"], f"{path}.icon_url", message)} if part.get("icon_url") else {}
    return links | ({"url": _link(part["url"], f"{path}.url")} if part.get("url") else {})


def _fields(fields: list[Json], path: str) -> list[Json]:
    if len(fields) > MOST_FIELDS:
        raise discord_wire.too_long(path, MOST_FIELDS)
    made = []
    for n, given in enumerate(fields):
        for name in ("name", "value"):
            if not str(given.get(name) or "").strip():
                raise discord_wire.missing(f"{path}.{n}.{name}")
        name, value = _text(given["name"], f"{path}.{n}.name", 256), _text(given["value"], f"{path}.{n}.value", 1024)
        made.append({"name": name, "value": value, "inline": bool(given.get("inline"))})
    return made


def _text(given: Any, path: str, most: int) -> str:
    text = "" if given is None else str(given).strip()
    if len(text) > most:
        raise discord_wire.too_long(path, most)
    return text


def _link(url: str, path: str) -> str:
    if not re.match(r"https?://", url):
        text = f"Scheme \"{url.partition(':')[0]}\" is not supported. Scheme must be one of ('http', 'https')."
        raise discord_wire.invalid(path, "URL_TYPE_INVALID_SCHEME", text)
    return url


def _picture(url: Any, path: str, message: Message) -> str:
    """The link; `attachment://NAME` leads to the message's own file."""
    if not url:
        raise discord_wire.missing(path)
    if not str(url).startswith("attachment://"):
        return _link(str(url), path)
    name = str(url).removeprefix("attachment://")
    file = next((file for file in message.files.values() if file.filename == name), None)
    # Discord shows an embed without the picture when there is no such file; a test should not overlook that.
    if file is None:
        raise discord_wire.invalid(path, "EMBED_ATTACHMENT_NOT_FOUND", f"There is no file {name} in this message.")
    return file.url


def _size(url: str, message: Message) -> Json:
    file = next((file for file in message.files.values() if file.url == url), None)
    return {"width": file.width, "height": file.height} if file and file.width else {}


def _image(embed: Json) -> str | None:
    return next((embed[name]["url"] for name in ("image", "thumbnail") if name in embed), None)


def _check_total(embeds: list[Json]) -> None:
    total = 0
    for embed in embeds:
        texts = [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
        texts += [embed.get("author", {}).get("name", "")]
        texts += [line[name] for line in embed.get("fields", ()) for name in ("name", "value")]
        total += sum(map(len, texts))
    if total > EMBED_TOTAL:
        text = f"Embed size exceeds maximum size of {EMBED_TOTAL}"
        raise discord_wire.invalid("embeds", "MAX_EMBED_SIZE_EXCEEDED", text)
