"""The documentation of the members' API: the description for programs, and a page for people, from the same rows."""

import json
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from webhooks import cache, limits, site
from webhooks.api import describe, frame
from webhooks.api import table as api

_KEY = "$SIGNALSTACK_KEY"


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint as people read it; `curl` and `python` are calls that work."""

    row: frame.Endpoint
    parameters: list[dict[str, Any]]
    fields: list[tuple[str, str]]
    statuses: dict[int, str]
    curl: str
    python: str


_DESCRIBED = web.AppKey("described", cache.Answer)
_SHOWN = web.AppKey("shown", dict[str, list[Shown]])


def add_to(app: web.Application) -> None:
    """The site has the documentation's addresses."""
    stack = app[site.KEY].stack
    app[_DESCRIBED], app[_SHOWN] = _written(stack.catalogue.service.name, stack.settings.public_url.rstrip("/"))
    app.router.add_get("/openapi.json", description)
    app.router.add_get("/docs", page)


@lru_cache(maxsize=8)
def _written(title: str, url: str) -> tuple[cache.Answer, dict[str, list[Shown]]]:
    """Both for this service at this address, worked out once in a process."""
    said = describe.description(api.ENDPOINTS, title=title, url=url)
    shown = [_shown(row, said, url) for row in api.ENDPOINTS]
    groups = {tag["name"]: [one for one in shown if one.row.tag == tag["name"]] for tag in said["tags"]}
    return cache.answer(orjson.dumps(said)), groups


async def description(request: web.Request) -> web.Response:
    """The description for programs."""
    made = request.app[_DESCRIBED]
    headers = {"ETag": f'"{made.tag}"', "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    if any(one.value == made.tag for one in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=made.body, content_type="application/json", headers=headers)


async def page(request: web.Request) -> web.Response:
    """The same for people."""
    here = site.of(request)
    return site.page(
        request,
        "docs",
        groups=request.app[_SHOWN],
        url=here.stack.settings.public_url.rstrip("/"),
        errors=CODES,
        limits={
            "requests of one key": limits.API,
            "requests of one member, with all their keys": limits.MEMBER,
            "requests of one address": limits.ADDRESS,
            "wrong keys of one address": limits.GUESSES,
        },
    )


def _shown(row: frame.Endpoint, said: dict[str, Any], url: str) -> Shown:
    schemas = said["components"]["schemas"]
    model = next(iter(row.returns.values()))
    return Shown(
        row=row,
        parameters=describe.parameters(row) + _fields_of_body(row),
        fields=[(name, form.get("description", "")) for name, form in schemas[model.__name__]["properties"].items()],
        statuses={status: text for status, text in describe.statuses(row).items() if status in row.refusals},
        curl=_curl(row, url),
        python=_python(row, url),
    )


def _fields_of_body(row: frame.Endpoint) -> list[dict[str, Any]]:
    if row.body is None:
        return []
    return [
        {"name": name, "in": "body", "required": field.is_required(), "description": field.description or ""}
        for name, field in row.body.model_fields.items()
    ]


def _called(row: frame.Endpoint, url: str) -> str:
    """The address of an example call."""
    path = row.path
    for name, value in describe.example(row.of).items():
        path = path.replace(f"{{{name}}}", str(value))
    query = {
        name: field.examples[0]
        for name, field in row.query.model_fields.items()
        if field.is_required() and field.examples
    }
    return f"{url}{path}" + (f"?{urlencode(query, safe='/')}" if query else "")


def _curl(row: frame.Endpoint, url: str) -> str:
    lines = [" ".join(["curl", *([] if row.method == "GET" else ["-X", row.method]), shlex.quote(_called(row, url))])]
    lines.append(f'-H "Authorization: Bearer {_KEY}"')
    if row.body is not None:
        lines.append(f"--json {shlex.quote(json.dumps(_body(row.body)))}")
    return " \\\n  ".join(lines)


def _body(model: type[frame.Shape]) -> dict[str, Any]:
    return describe.example(model)


def _python(row: frame.Endpoint, url: str) -> str:
    data = "" if row.body is None else f"data=json.dumps({_body(row.body)!r}).encode(), "
    kind = "" if row.body is None else ', "Content-Type": "application/json"'
    return (
        "import json, os, urllib.request\n\n"
        f'headers = {{"Authorization": "Bearer " + os.environ["SIGNALSTACK_KEY"]{kind}}}\n'
        f'request = urllib.request.Request("{_called(row, url)}", {data}headers=headers, method="{row.method}")\n'
        "with urllib.request.urlopen(request) as answer:\n    print(json.load(answer))"
    )


CODES = {
    "key_missing": "No key came with the request. Send it as “Authorization: Bearer sst_…”.",
    "key_unknown": "The key is not known, or was revoked. /apikey in the bot's private chat makes a new one.",
    "scope_missing": "The key may not do this. “/apikey new NAME” makes one that may look and act.",
    "subscription_needed": "The key's owner has no subscription now. /subscribe in the bot's private chat.",
    "too_many_requests": "Wait as many seconds as Retry-After says.",
    "invalid": "The message names the parameter or the field, and what is wrong with it.",
    "upgrade_needed": "The address is a WebSocket; connect with a program that speaks it.",
    "protocol": "The WebSocket was told something else than its form; docs of the stream say what.",
    "too_many_streams": "As many streams of yours are open as you may have; close one.",
    "full": "As many streams are open as we can serve now. Try again in a moment.",
    "restarting": "The service restarts; connect again and go on where you were.",
    "forbidden": "You may not see this.",
    "not_json": "The body is not JSON, or is not said to be.",
    "not_found": "There is nothing at this address, or it is not yours.",
    "refused": "It cannot be done now; the message says why.",
    "subscribed": "You have this plan already.",
    "not_selling": "Nothing can be bought now.",
    "method_not_allowed": "The address answers to other methods; Allow names them.",
    "too_large": "The body has more than 16 kB.",
    "timeout": "The body did not arrive in time.",
    "bad_request": "The request could not be understood.",
    "internal": "The fault is ours, and it has been noted.",
    "unavailable": "A part of the service is not reachable now. Try again in a minute.",
}
"""Every code of an error, and what to do about it."""
