"""The OpenAPI 3.1 description of the members' API, made from the same rows as its routes."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from webhooks import guard
from webhooks.api import frame

VERSION = "1.0.0"
_REF = "#/components/schemas/{model}"
ERRORS = {
    400: "The request is no HTTP that we understand.",
    401: "No key came with it, or one that is not known. Send it as “Authorization: Bearer …”.",
    403: "The key lacks a scope, or its owner has no subscription now.",
    408: "The body did not arrive in time.",
    413: "The body is larger than anything we expect.",
    415: "The body is not JSON.",
    422: "The input is not what is described here; the message names what to change.",
    429: "That was too often; Retry-After says when to ask again.",
    500: "The fault is ours, and it has been noted.",
    503: "A part of the service is not reachable now; try again in a minute.",
}
"""What every endpoint may answer besides its own; those about bodies only where there is one."""
_WITH_BODY = {408, 413, 415}
_LIMITS = {
    "RateLimit-Limit": ("integer", "How many requests are allowed in the window."),
    "RateLimit-Remaining": ("integer", "How many are left."),
    "RateLimit-Reset": ("integer", "In how many seconds more are left."),
}
_HEADERS = {
    **_LIMITS,
    "Retry-After": ("integer", "In how many seconds to ask again."),
    "ETag": ("string", "Names these bytes; send it as If-None-Match to be told when nothing has changed."),
    "Cache-Control": ("string", "Answers are for you alone, and asked for again each time."),
    "WWW-Authenticate": ("string", "How a key is sent."),
    "Location": ("string", "Where to look next."),
    guard.REQUEST: ("string", "The request's name in our logs; say it when you ask us about an answer."),
}
_NAMED = {
    "name": guard.REQUEST,
    "in": "header",
    "required": False,
    "description": "A name for the request: 4 to 36 letters, digits, dots, colons, dashes or underscores. It is taken "
    "over from a proxy that the operator trusts; every other request gets a name of ours.",
    "schema": {"type": "string"},
}
_TAGS = {
    "signals": "What is published, and what became of it.",
    "events": "The same, event by event, in the order in which they happened.",
    "record": "All results, and the lines that prove them.",
    "markets": "Candles of watched markets.",
    "backtests": "Strategies tried over the stored candles.",
    "account": "What you have, and what was sent to you.",
    "hooks": "Addresses of your own tools that are told of signals.",
}
_ABOUT = """\
Signals for members' own tools. A key comes from /apikey in the bot's private chat and is sent as
`Authorization: Bearer sst_…`. A key with the scope `read` looks, one with `act` also sets things going.

Moments are RFC 3339 in UTC; prices, shares and results are decimals in strings. Unknown parameters and fields are
refused, so that a typing error is heard of. Lists end with `next`, which is what to ask for to get the next page.

Every answer to a GET has an ETag; ask again with If-None-Match, and 304 says that nothing has changed. Errors are
`application/problem+json` (RFC 9457), with our own `error.code` and `error.message` in them. Every answer to a request
that could be read has an `X-Request-Id`, the request's name in our logs.

`GET /api/v1/ws` is a WebSocket with signals in the order in which they happen, resumable from a cursor.
Sources outside hand in alerts at `POST /intake/{source}`, and the payment provider tells of payments at
`POST /webhooks/stripe`; both are signed by who sends them, and neither takes a member's key.
"""


def description(endpoints: Iterable[frame.Endpoint], *, title: str, url: str) -> dict[str, Any]:
    """The description as JSON values; `url` is where the API is reached."""
    rows = list(endpoints)
    schemas = _schemas(rows)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    used = {row.tag for row in rows}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {"title": f"{title}: the members' API", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": url}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if name in used],
        "paths": paths,
        **({"webhooks": {"event": {"post": _told()}}} if "Event" in schemas else {}),
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "headers": {
                name: {"schema": {"type": kind}, "description": text} for name, (kind, text) in _HEADERS.items()
            },
            "parameters": {"RequestId": _NAMED},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key from /apikey in the bot's private chat.",
                }
            },
        },
    }


def _schemas(rows: Iterable[frame.Endpoint]) -> dict[str, Any]:
    going_in = {row.body for row in rows if row.body is not None}
    coming_out = {model for row in rows for model in row.returns.values()}
    asked = [(model, "validation") for model in going_in] + [(model, "serialization") for model in coming_out]
    asked.sort(key=lambda one: (one[0].__module__, one[0].__qualname__))
    _, made = models_json_schema(asked, ref_template=_REF)  # type: ignore[arg-type]
    return dict(sorted(made["$defs"].items()))


def _told() -> dict[str, Any]:
    """What is posted to outbound webhooks."""
    signed = {
        "webhook-id": "The same in every attempt, so that an event which comes twice is seen to.",
        "webhook-timestamp": "Seconds since 1970 at this attempt.",
        "webhook-signature": "v1 and the HMAC-SHA256 of id, timestamp and body (Standard Webhooks).",
    }
    headers = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in signed.items()
    ]
    return {
        "operationId": "hook_event",
        "summary": "An event of a signal, at the address of a hook of yours",
        "tags": ["hooks"],
        "security": [],
        "parameters": headers,
        "requestBody": {"content": {"application/json": {"schema": {"$ref": _REF.format(model="Event")}}}},
        "responses": {"2XX": {"description": "Taken. Anything else is tried again, later and later."}},
    }


def _operation(row: frame.Endpoint) -> dict[str, Any]:
    needs = f"Scope `{row.scope}`" + (", with a subscription." if row.paying else ", also without a subscription.")
    said = {
        "operationId": row.name,
        "summary": row.summary,
        "description": " ".join(filter(None, (row.more, needs))),
        "tags": [row.tag],
        "parameters": [*parameters(row), {"$ref": "#/components/parameters/RequestId"}],
        "responses": _responses(row),
    }
    if row.body is not None:
        form = {"schema": {"$ref": _REF.format(model=row.body.__name__)}, "example": example(row.body)}
        said["requestBody"] = {"required": True, "content": {"application/json": form}}
    return said


def parameters(row: frame.Endpoint) -> list[dict[str, Any]]:
    """What stands in the address, in the path and after the question mark."""
    found = []
    for model, where in ((row.of, "path"), (row.query, "query")):
        for name, form in model.model_json_schema(mode="validation", ref_template=_REF).get("properties", {}).items():
            told = {"name": name, "in": where, "required": where == "path" or model.model_fields[name].is_required()}
            found.append({**told, "description": form.get("description", ""), "schema": _plain(form)})
    return found


def _plain(form: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: what is left out is not null, and its description stands beside it."""
    kept = {name: value for name, value in form.items() if name not in {"description", "title"}}
    choices = [one for one in kept.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) == 1:
        kept = {name: value for name, value in kept.items() if name not in {"anyOf", "default"}} | choices[0]
    return kept


def statuses(row: frame.Endpoint) -> dict[int, str]:
    """Every status that the endpoint may answer with besides its own, and when."""
    usual = {status: text for status, text in ERRORS.items() if row.body is not None or status not in _WITH_BODY}
    if row.of is frame.Nothing and row.query is frame.Nothing and row.body is None:
        usual[422] = "Parameters came with it that are not known."
    kept = {304: "Nothing has changed since the answer that If-None-Match names."} if row.method == "GET" else {}
    return dict(sorted({**usual, **kept, **row.refusals}.items()))


def _responses(row: frame.Endpoint) -> dict[str, Any]:
    told: dict[str, Any] = {}
    own = [guard.REQUEST, *_LIMITS, "Cache-Control", *(["ETag"] if row.method == "GET" else []), *row.headers]
    for status, model in row.returns.items():
        form = {"schema": {"$ref": _REF.format(model=model.__name__)}}
        said = (model.__doc__ or "").strip().partition("\n")[0]
        told[str(status)] = {
            "description": said,
            "headers": _refs(own),
            "content": {"application/json": form},
        }
    for status, text in statuses(row).items():
        if status == 304:
            told["304"] = {"description": text, "headers": _refs([guard.REQUEST, "ETag", "Cache-Control"])}
            continue
        also = {401: ["WWW-Authenticate"], 429: ["Retry-After"]}.get(status, [])
        form = {"schema": {"$ref": "#/components/schemas/Problem"}}
        told[str(status)] = {
            "description": text,
            "headers": _refs([guard.REQUEST, *also]),
            "content": {"application/problem+json": form},
        }
    return told


def _refs(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def example(model: type[frame.Shape]) -> dict[str, Any]:
    """An instance of the model as its fields' examples have it; fields without one are left out."""
    return {name: field.examples[0] for name, field in model.model_fields.items() if field.examples}


_PROBLEM = {
    "type": "object",
    "description": "What went wrong and what to do about it: problem details (RFC 9457), with our own `error` in them.",
    "required": ["error", "type", "title", "status", "detail"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "examples": ["key_unknown"]},
                "message": {"type": "string"},
            },
        },
        "type": {"type": "string", "format": "uri-reference", "examples": ["/docs#error-key_unknown"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request": {"type": "string", "description": "The request's name in our logs, as in X-Request-Id."},
    },
}
