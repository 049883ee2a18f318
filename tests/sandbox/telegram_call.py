"""One request to the Telegram stand-in, whatever way its parameters were encoded, and one refusal."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


class Refused(Exception):  # noqa: N818  it is an answer, not a failure of the stand-in
    """The Bot API answers `ok: false` with this HTTP status, text and parameters."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> bytes:
        answer: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            answer["parameters"] = self.parameters
        return orjson.dumps(answer)


def bad(text: str) -> Refused:
    """The refusal 400 with this text after "Bad Request: "."""
    return Refused(400, f"Bad Request: {text}")


@dataclass(slots=True)
class Call:
    """The parameters of one request. Form fields arrive as strings, JSON fields as they are; readers accept both."""

    method: str
    params: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    user_agent: str | None = None

    def text(self, name: str) -> str:
        """The parameter as text, empty when absent."""
        value = self.params.get(name)
        return "" if value is None else value if isinstance(value, str) else str(value)

    def integer(self, name: str) -> int | None:
        """The parameter as a whole number, None when absent or not one."""
        value = self.params.get(name)
        try:
            return None if value is None or value == "" else int(value)
        except (TypeError, ValueError):
            return None

    def flag(self, name: str) -> bool:
        """The parameter as a truth value, false when absent."""
        value = self.params.get(name)
        return value is True or (isinstance(value, str) and value.lower() in {"true", "1", "yes"}) or value == 1

    def decoded(self, name: str) -> Any:
        """The parameter as JSON value, None when absent. Refused with 400 when a string holds no JSON."""
        value = self.params.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            raise bad(f"can't parse {name.replace('_', ' ')} JSON object") from None

    @property
    def chat_id(self) -> int | None:
        return self.integer("chat_id")


async def read(request: web.Request, method: str) -> Call:
    """The request, its query, JSON, urlencoded and multipart parameters merged; uploaded parts stand in `files`."""
    call = Call(
        method, dict(request.query) if request.query_string else {}, user_agent=request.headers.get("User-Agent")
    )
    kind = request.content_type
    if kind == "application/json":
        call.params.update(_json(await request.read()))
    elif kind == "application/x-www-form-urlencoded":
        call.params.update(await request.post())
    elif kind.startswith("multipart/"):
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                with value.file as file:
                    call.files[name] = file.read()
            else:
                call.params[name] = value
    return call


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise bad("can't parse JSON object") from None
    if not isinstance(value, dict):
        raise bad("expected an Object")
    return value
