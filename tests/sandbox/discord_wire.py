"""One request to the Discord stand-in as its routes see it, and how a refusal is written down."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

Json = dict[str, Any]

LARGEST_FILE = 10 * 1024 * 1024

REFUSALS: dict[int, tuple[int, str]] = {
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10009: (404, "Unknown Permission Overwrite"),
    10011: (404, "Unknown Role"),
    10013: (404, "Unknown User"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    30034: (400, "Max number of daily application command creates has been reached (200)"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50003: (403, "Cannot execute action on a DM channel"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50008: (400, "Cannot send messages in a non-text channel"),
    50013: (403, "Missing Permissions"),
    50024: (400, "Cannot execute action on this channel type"),
    50027: (401, "Invalid Webhook Token"),
    50028: (400, "Invalid role"),
    50033: (400, "Invalid Recipient(s)"),
    50083: (400, "Thread is archived"),
    50109: (400, "The request body contains invalid JSON."),
    50278: (403, "Cannot send messages to this user due to having no mutual guilds"),
    160002: (403, "Cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
}
"""HTTP status and text by Discord's own code."""


class Refused(Exception):  # noqa: N818  it is an answer, not a failure of the stand-in
    """Discord answers with this HTTP status, its own code and text, for a bad form the errors by field, and `more`."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        errors: Json | None = None,
        *,
        headers: dict[str, str] | None = None,
        more: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.errors = status, code, message, errors
        self.headers, self.more = headers or {}, more or {}

    def json(self) -> Json:
        body: Json = {"message": self.message, "code": self.code, **self.more}
        return body | {"errors": self.errors} if self.errors else body


def refused(code: int) -> Refused:
    """The refusal with this code of Discord's, as its table has it."""
    status, message = REFUSALS[code]
    return Refused(status, code, message)


def invalid(path: str, code: str, message: str) -> Refused:
    """The refusal 50035 of one field, named by its path ("embeds.0.title")."""
    errors: Json = {"_errors": [{"code": code, "message": message}]}
    for name in reversed(path.split(".")):
        errors = {name: errors}
    return Refused(400, 50035, "Invalid Form Body", errors)


def too_long(path: str, most: int) -> Refused:
    """The refusal of a text of more than `most` characters."""
    return invalid(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")


def missing(path: str) -> Refused:
    """The refusal of a field that is not there."""
    return invalid(path, "BASE_TYPE_REQUIRED", "This field is required")


@dataclass(frozen=True, slots=True)
class Upload:
    filename: str
    content: bytes


@dataclass(slots=True)
class Call:
    """One request. `path` and `route` begin after `/api/v10`; `ids` are the parts of the path the route names."""

    method: str
    path: str
    route: str
    ids: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    files: dict[str, Upload] = field(default_factory=dict)
    base: str = ""
    """The address of this server, as the caller named it."""
    user_agent: str | None = None

    def id(self, name: str) -> int:
        """The id in the path. Refused when it is not a number."""
        value = self.ids[name]
        if not value.isdecimal():
            raise invalid(name, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
        return int(value)

    @property
    def form(self) -> Json:
        """The body as an object, empty when there is none. Refused when it is something else."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise invalid("_", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return self.body

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        """The number in the query, `default` when absent. Refused outside `low` to `high`."""
        given = self.query.get(name)
        if given is None:
            return default
        if not given.isdecimal():
            raise invalid(name, "NUMBER_TYPE_COERCE", f'Value "{given}" is not int.')
        if not low <= int(given) <= high:
            raise invalid(name, "NUMBER_TYPE_RANGE", f"int value should be between {low} and {high}.")
        return int(given)

    def flag(self, name: str) -> bool:
        """The truth value in the query, false when absent."""
        return self.query.get(name, "").lower() in {"1", "true"}


def snowflake(value: Any, path: str) -> int:
    """The id in a body, a number or its digits. Refused when it is neither."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.') from None


async def read(request: web.Request, call: Call) -> None:
    """The call has the body of the request, JSON or multipart with a part `payload_json`; other parts are `files`."""
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            content = bytes(await part.read())
            if len(content) > LARGEST_FILE:
                raise refused(40005)
            if part.name == "payload_json":
                call.body = _decoded(content)
            else:
                call.files[part.name or ""] = Upload(part.filename or "file", content)
    elif request.can_read_body:
        content = await request.read()
        call.body = _decoded(content) if content else None


def _decoded(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise refused(50109) from None


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """The JSON answer; discord.py wants exactly `application/json`, without a character set. None: nothing, 204."""
    if body is None:
        return web.Response(status=204, headers=headers)
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)
