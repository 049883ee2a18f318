"""Discord's published description of its API: what in a request or an answer does not fit it."""

import gzip
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import orjson
from jsonschema import exceptions

Json = dict[str, Any]

SPEC = Path(__file__).parents[2] / "../shared/specs/discord_openapi_2026-07.json.gz"


BIT_SETS = frozenset({"permissions", "allow", "deny", "default_member_permissions"})


def present() -> bool:
    """Whether the description is on this machine."""
    return SPEC.exists()


def problems(method: str, path: str, body: Any, *, answer: bool = False, status: int = 200) -> list[str]:
    """What does not fit in the body of a request, or of an answer with this status; nothing when it fits.

    `path` begins after `/api/v10`. Needs the description (`present`).
    """
    template = _template(method.lower(), path)
    if template is None:
        return [] if answer and status == 404 else [f"{method} {path}: not described"]
    name = f"{method} {template} {f'answered {status}' if answer else 'asked'}"
    described, validator = _validator(method.lower(), template, status if answer else None)
    if not described:
        return [f"{name}: not described"]
    if validator is None:
        return [] if body is None else [f"{name}: no body is described"]
    if body is None:
        return [f"{name}: a body is described"]
    found = sorted(validator.iter_errors(body), key=lambda error: error.json_path)
    return [f"{name}: {_told(error)}" for error in found]


def _told(error: exceptions.ValidationError) -> str:
    """The error inside of unions that tells most."""
    inner = exceptions.best_match([error])
    text = inner.message if len(inner.message) <= 300 else f"{inner.message[:150]} … {inner.message[-150:]}"
    return f"{inner.json_path}: {text}"


@cache
def _spec() -> Json:
    spec: Json = orjson.loads(gzip.decompress(SPEC.read_bytes()))
    return spec


@cache
def _paths() -> list[tuple[re.Pattern[str], str, Json]]:
    """Every path; names written out come before placeholders."""
    paths = sorted(_spec()["paths"].items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path, about) for path, about in paths]


@lru_cache(4096)
def _template(method: str, path: str) -> str | None:
    return next((name for form, name, about in _paths() if method in about and form.fullmatch(path)), None)


@cache
def _validator(method: str, template: str, status: int | None) -> tuple[bool, jsonschema.Draft202012Validator | None]:
    """Whether there is a description at all, and what holds bodies against it when a body belongs there."""
    operation = _spec()["paths"][template][method]
    if status is None:
        about, needed = operation.get("requestBody", {}), operation.get("requestBody", {}).get("required", False)
    else:
        about = operation["responses"].get(str(status)) or operation["responses"].get(f"{status // 100}XX")
        needed = True
    if about is None:
        return False, None
    if "$ref" in about:
        about = _spec()["components"]["responses"][about["$ref"].rpartition("/")[2]]
    content = about.get("content", {})
    if not content or not needed:
        return True, None
    schema = content["application/json"]["schema"]
    schema = _with_digits(schema) if status is None else schema
    return True, jsonschema.Draft202012Validator({**schema, "components": {"schemas": _schemas(asked=status is None)}})


@cache
def _schemas(*, asked: bool) -> Json:
    """The schemas of requests or of answers, relaxed where the description knows less than Discord does."""
    schemas: Json = dict(_spec()["components"]["schemas"])
    if asked:
        # Discord reads ids and bit sets as numbers and as their digits alike; discord.py sends both.
        schemas["SnowflakeType"] = {"type": ["string", "integer"], "pattern": "^(0|[1-9][0-9]*)$", "minimum": 0}
        schemas = _with_digits(schemas)
    else:
        # Errors of single fields have words as codes ("BASE_TYPE_MAX_LENGTH"), the description has numbers only.
        error = schemas["Error"]
        code = {"type": ["integer", "string"]}
        schemas["Error"] = {**error, "properties": {**error["properties"], "code": code}}
    return schemas


def _with_digits(schema: Any) -> Any:
    """The schema, in which sets of permission bits may be numbers or their digits."""
    if isinstance(schema, list):
        return [_with_digits(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _with_digits(part) for name, part in schema.items()}
    for name, about in schema.get("properties", {}).items():
        if name in BIT_SETS and "integer" in about.get("type", ()):
            made["properties"][name] = {"anyOf": [about, {"type": "string", "pattern": "^[0-9]+$"}]}
    return made
