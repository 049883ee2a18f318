"""What every endpoint of the members' API shares: who calls, how often, with what, and how it is answered.

An endpoint is a row of data: its address, the pydantic models of what comes in and goes out, and the function between
them. Routes, validation and the OpenAPI description are made from the same row.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic
from aiohttp import web
from limits import RateLimitItem
from sqlalchemy.ext.asyncio import AsyncSession

from core import catalogue, errors, keys, rights
from webhooks import guard, limits, site

BODY_LIMIT = 16 * 1024


class Shape(pydantic.BaseModel):
    """Something that comes in: unknown fields are refused, so that a typing error is heard of."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", str_max_length=2000)


class Nothing(Shape):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key it is, and which plans its owner has now."""

    key_id: int
    prefix: str
    member_id: int
    plans: tuple[catalogue.Plan, ...]

    def has(self, symbol: str) -> bool:
        """Whether one of the plans opens this market."""
        return any(not plan.symbols or symbol in plan.symbols for plan in self.plans)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked: `path`, `query` and `body` are instances of the endpoint's models."""

    request: web.Request
    here: site.Site
    caller: Caller
    path: Any
    query: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out: an instance of the model that the endpoint names for this status."""

    body: pydantic.BaseModel
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A row of the API. `rule` is counted for each key besides what holds for all; `refusals` are further statuses."""

    method: str
    path: str
    name: str
    summary: str
    answer: Callable[[Call], Awaitable[Reply]]
    returns: Mapping[int, type[pydantic.BaseModel]]
    of: type[Shape] = Nothing
    query: type[Shape] = Nothing
    body: type[Shape] | None = None
    rule: RateLimitItem | None = None
    refusals: tuple[int, ...] = ()


class RefusalError(Exception):
    """The call is answered with this status, code and sentence."""

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.headers = status, code, text, dict(headers or {})


_HOW = "Send your key as “Authorization: Bearer sst_…”; /apikey in the bot's private chat makes one."


def route(endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of this endpoint."""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await _answered(endpoint, request)
        except RefusalError as refusal:
            answer = site.problem(refusal.code, refusal.text, status=refusal.status)
            answer.headers.update(refusal.headers)
            return answer
        except errors.RefusedError as refusal:
            return site.problem("refused", str(refusal), status=409)

    return handler


async def _answered(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
    here = site.of(request)
    caller = await _caller(request, here)
    allowance = await here.limiter.take(limits.API, "key", caller.prefix)
    if allowance.ok and endpoint.rule is not None:
        allowance = await here.limiter.take(endpoint.rule, endpoint.name, caller.prefix)
    if not allowance.ok:
        text = f"That was too often; try again in {allowance.reset} seconds."
        raise RefusalError(429, "too_many_requests", text, allowance.headers)
    path = _read(endpoint.of, dict(request.match_info), "path")
    query = _read(endpoint.query, _pairs(request), "query")
    body = None if endpoint.body is None else await _body(endpoint.body, request)
    reply = await endpoint.answer(Call(request, here, caller, path, query, body))
    answer = web.Response(
        body=reply.body.model_dump_json().encode(), status=reply.status, content_type="application/json"
    )
    answer.headers.update({"Cache-Control": "private, no-cache", **allowance.headers, **reply.headers})
    return answer


async def _caller(request: web.Request, here: site.Site) -> Caller:
    """Whose key was sent; raises a refusal of 401, 403 or 429 otherwise."""
    address = request.remote or "unknown"
    everybody = await here.limiter.take(limits.ADDRESS, "address", address)
    if not everybody.ok:
        raise RefusalError(429, "too_many_requests", "Too many requests from your address.", everybody.headers)
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if not key.strip() or scheme.lower() != "bearer":
        raise RefusalError(401, "key_missing", _HOW, {"WWW-Authenticate": "Bearer"})
    key = key.strip()
    tries = [("guesses", address), *([("guesses", keys.prefix(key))] if keys.prefix(key) else [])]
    for who in tries:
        if not await here.limiter.left(limits.GUESSES, *who):
            text = "Too many wrong keys; wait a minute."
            raise RefusalError(429, "too_many_requests", text, {"Retry-After": "60"})
    async with here.stack.db.transaction() as session:
        row = await keys.check(session, key)
        if row is not None:
            await keys.used(session, row.id, now=here.now)
            return await _entitled(session, here, row.id, row.prefix, row.member_id)
    for who in tries:
        await here.limiter.take(limits.GUESSES, *who)
    raise RefusalError(
        401, "key_unknown", f"This key is not known, or was revoked. {_HOW}", {"WWW-Authenticate": "Bearer"}
    )


async def _entitled(session: AsyncSession, here: site.Site, key_id: int, prefix: str, member_id: int) -> Caller:
    book = here.stack.catalogue
    held = await rights.plans_of(session, member_id, now=here.now)
    plans = tuple(book.by_key[plan] for plan in sorted(held) if plan in book.by_key)
    if not plans:
        text = "Your key is right, but its owner has no subscription now; /subscribe in the bot's private chat."
        raise RefusalError(403, "subscription_needed", text)
    return Caller(key_id, prefix, member_id, plans)


def _pairs(request: web.Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name in found:
            raise RefusalError(422, "invalid", f"query: {name[:40]} stands there twice.")
        found[name] = value
    return found


def _read(model: type[Shape], values: Any, where: str) -> Any:
    """An instance of the model; raises a refusal of 422 that names what to change."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise RefusalError(422, "invalid", _said(error, where)) from None


def _said(error: pydantic.ValidationError, where: str) -> str:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    told = [f"{'.'.join(map(str, (where, *fault['loc'])))[:80]}: {fault['msg']}." for fault in faults[:5]]
    return " ".join(told)


async def _body(model: type[Shape], request: web.Request) -> Any:
    if (request.content_length or 0) > BODY_LIMIT:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, request.content_length or 0)
    if request.content_type != "application/json":
        raise RefusalError(415, "not_json", "Send JSON, with “Content-Type: application/json”.")
    raw = await guard.body(request)
    if len(raw) > BODY_LIMIT:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, len(raw))
    try:
        return model.model_validate_json(raw)
    except pydantic.ValidationError as error:
        raise RefusalError(422, "invalid", _said(error, "body")) from None
