"""How an endpoint is answered: checks, limits, input, the function between, and what a program is told of it all."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pydantic
from aiohttp import hdrs, web

from core import errors, keys
from webhooks import cache, guard, site
from webhooks.api import callers, frame

BODY_LIMIT = 16 * 1024
KEPT = web.AppKey("kept", cache.Cache)


def add_to(app: web.Application, endpoints: Iterable[frame.Endpoint]) -> None:
    """The application answers at every endpoint, and says at each address which methods it knows."""
    app[KEPT] = cache.Cache()
    by_path: dict[str, list[frame.Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, []).append(endpoint)
    for path, rows in by_path.items():
        known = {hdrs.METH_OPTIONS}
        for row in rows:
            for method in (row.method, hdrs.METH_HEAD) if row.method == hdrs.METH_GET else (row.method,):
                app.router.add_route(method, path, route(row))
                known.add(method)
        app.router.add_route(hdrs.METH_ANY, path, _otherwise(known))


def _otherwise(known: set[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """What is said to all other methods: OPTIONS learns which there are, the rest is refused."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method != hdrs.METH_OPTIONS:
            raise web.HTTPMethodNotAllowed(request.method, known)
        return web.Response(status=204, headers={"Allow": ",".join(sorted(known))})

    return handler


def route(endpoint: frame.Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of this endpoint."""

    async def handler(request: web.Request) -> web.StreamResponse:
        told: dict[str, str] = {}
        try:
            return await _answered(endpoint, request, told)
        except frame.RefusalError as refusal:
            answer = site.problem(refusal.code, refusal.text, status=refusal.status)
            answer.headers.update({**told, **refusal.headers})
            return answer
        except errors.RefusedError as refusal:
            answer = site.problem("refused", str(refusal), status=409)
            answer.headers.update(told)
            return answer

    return handler


async def _answered(endpoint: frame.Endpoint, request: web.Request, told: dict[str, str]) -> web.Response:
    here = site.of(request)
    caller = await callers.let_in(request, here, scope=endpoint.scope, paying=endpoint.paying)
    told.update(await callers.counted(here, caller, endpoint.rule, endpoint.name))
    path = _read(endpoint.of, dict(request.match_info), "path")
    query = _read(endpoint.query, _pairs(request), "query")
    body = None if endpoint.body is None else await _body(endpoint.body, request)
    call = frame.Call(request, here, caller, path, query, body)
    if endpoint.scope == keys.READ:
        return _looked(request, await _made(endpoint, call), told)
    reply = await endpoint.answer(call)
    answer = web.Response(body=_bytes(reply), status=reply.status, content_type="application/json")
    answer.headers.update({"Cache-Control": "no-store", **told, **reply.headers})
    return answer


async def _made(endpoint: frame.Endpoint, call: frame.Call) -> cache.Answer:
    """The answer to somebody who looks: one that was given before, where it depends on the record alone."""
    if endpoint.kept is None:
        return cache.answer(_bytes(await endpoint.answer(call)))
    kept, key = call.request.app[KEPT], (endpoint.name, endpoint.kept(call))
    found = kept.find(key, call.caller.newest)
    if found is None:
        found = cache.answer(_bytes(await endpoint.answer(call)))
        kept.keep(key, call.caller.newest, found)
    return found


def _looked(request: web.Request, made: cache.Answer, told: dict[str, str]) -> web.Response:
    headers = {"ETag": f'"{made.tag}"', "Cache-Control": "private, no-cache", **told}
    if any(one.value in {made.tag, "*"} for one in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=made.body, content_type="application/json", headers=headers)


def _bytes(reply: frame.Reply) -> bytes:
    return reply.body.model_dump_json().encode()


def _pairs(request: web.Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name in found:
            raise frame.RefusalError(422, "invalid", f"query: {name[:40]} stands there twice.")
        found[name] = value
    return found


def _read(model: type[frame.Shape], values: Any, where: str) -> Any:
    """An instance of the model; raises a refusal of 422 that names what to change."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise frame.RefusalError(422, "invalid", _said(error, where)) from None


def _said(error: pydantic.ValidationError, where: str) -> str:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    told = [f"{'.'.join(map(str, (where, *fault['loc'])))[:80]}: {fault['msg']}." for fault in faults[:5]]
    return " ".join(told)


async def _body(model: type[frame.Shape], request: web.Request) -> Any:
    if (request.content_length or 0) > BODY_LIMIT:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, request.content_length or 0)
    if request.content_type != "application/json":
        raise frame.RefusalError(415, "not_json", "Send JSON, with “Content-Type: application/json”.")
    raw = await guard.body(request)
    if len(raw) > BODY_LIMIT:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, len(raw))
    try:
        return model.model_validate_json(raw, strict=True)  # a number is no truth value, and no text
    except pydantic.ValidationError as error:
        raise frame.RefusalError(422, "invalid", _said(error, "body")) from None
