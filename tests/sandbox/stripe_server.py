"""The HTTP side of the stand-in's API: keys, versions, idempotency, and faults on demand."""

import asyncio
import base64
import binascii
import contextlib
import email.utils
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.sandbox import stripe_catalogue, stripe_routes, stripe_selling, stripe_versions, stripe_wire
from tests.sandbox.stripe_account import CURRENT_VERSION, Account
from tests.sandbox.stripe_wire import ApiError, Obj

assert stripe_catalogue  # their import adds the routes
assert stripe_selling
DAY = 86_400


@dataclass
class Fault:
    """What goes wrong with the next `count` requests (None: all) that match; `after_store`: only once it was done.

    kind: "500", "503", "429", "hang" (no answer for `seconds`, then 504) or "drop" (the connection breaks).
    """

    method: str
    path: str
    kind: str
    count: int | None = 1
    after_store: bool = False
    seconds: float = 120.0

    def fits(self, method: str, path: str) -> bool:
        return self.count != 0 and self.method in ("*", method) and re.fullmatch(self.path, path) is not None


@dataclass
class Kept:
    """The first answer to an idempotency key."""

    request: tuple[str, list[tuple[str, str]]]
    status: int
    body: Obj
    at: int


class Api:
    """Answers /v1/…: every accepted request has its effect at once, in one piece."""

    def __init__(self, acc: Account, api_key: str) -> None:
        self.acc = acc
        self.api_key = api_key
        self.faults: list[Fault] = []
        self.kept: dict[str, Kept] = {}
        self.calm = asyncio.Event()
        self.answered: Callable[[Obj], object] = bool

    async def reply(self, request: web.Request) -> web.StreamResponse:
        flat = stripe_wire.pairs(request.query_string) + stripe_wire.pairs(await request.text())
        fault = next((one for one in self.faults if one.fits(request.method, request.path)), None)
        if fault and fault.count is not None:
            fault.count -= 1
        request_id = self.acc.new_id("req", 14)
        if fault and not fault.after_store:
            return await self._fail(request, fault, request_id)
        status, body, replayed = self._result(request, flat, request_id, broken=bool(fault and fault.kind == "500"))
        if fault and fault.kind != "500":
            return await self._fail(request, fault, request_id)
        return self._respond(request, status, body, request_id, replayed=replayed)

    def _result(
        self, request: web.Request, flat: list[tuple[str, str]], request_id: str, *, broken: bool
    ) -> tuple[int, Obj, bool]:
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        try:
            self._authorize(request)
            self.acc.catch_up()
            if key and (kept := self._replay(key, request.path, flat)):
                return kept.status, kept.body, True
            status, body = self._perform(request, flat, request_id, key)
        except ApiError as error:
            if error.status != 402:
                return error.status, error.body, False
            status, body = error.status, error.body
        if broken:
            status, body = 500, _FAULTS["500"][1]
        if key:
            self.kept[key] = Kept((request.path, flat), status, body, self.acc.now())
        return status, body, False

    def _perform(
        self, request: web.Request, flat: list[tuple[str, str]], request_id: str, key: str | None
    ) -> tuple[int, Obj]:
        self.acc.request = {"id": request_id, "idempotency_key": key}
        try:
            body = stripe_routes.answer(self.acc, request.method, request.path, flat)
        finally:
            self.acc.request = {"id": None, "idempotency_key": None}
        self.answered(body)
        version = request.headers.get("Stripe-Version", CURRENT_VERSION)
        return 200, stripe_versions.in_version(body, version, self.acc)

    def _authorize(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given).decode().split(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                given = ""
        if not given:
            raise ApiError(401, "You did not provide an API key.")
        if given != self.api_key:
            raise ApiError(401, f"Invalid API Key provided: {given[:7]}****{given[-4:]}")

    def _replay(self, key: str, path: str, flat: list[tuple[str, str]]) -> Kept | None:
        kept = self.kept.get(key)
        if kept is None:
            return None
        if kept.at + DAY <= self.acc.now():
            del self.kept[key]
            return None
        if kept.request != (path, flat):
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise ApiError(400, message, type="idempotency_error")
        return kept

    async def _fail(self, request: web.Request, fault: Fault, request_id: str) -> web.StreamResponse:
        if fault.kind == "hang":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.calm.wait(), fault.seconds)
            return self._respond(request, 504, _FAULTS["503"][1], request_id)
        if fault.kind == "drop":
            self.acc.history.add("stripe_request", method=request.method, path=request.path, status=None)
            if request.transport:
                request.transport.abort()
            return web.Response(status=500)
        status, body = _FAULTS[fault.kind]
        return self._respond(request, status, body, request_id)

    def _respond(
        self, request: web.Request, status: int, body: Obj, request_id: str, *, replayed: bool = False
    ) -> web.Response:
        self.acc.history.add("stripe_request", method=request.method, path=request.path, status=status)
        headers = {"Request-Id": request_id, "Date": email.utils.formatdate(self.acc.now(), usegmt=True)}
        headers["Stripe-Version"] = request.headers.get("Stripe-Version", CURRENT_VERSION)
        if key := request.headers.get("Idempotency-Key"):
            headers["Idempotency-Key"] = key
        if replayed:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": request_id}
        if status == 429:
            headers["Stripe-Rate-Limited-Reason"] = "global-rate"
        return web.json_response(body, status=status, headers=headers)

    async def release(self, *_: Any) -> None:
        """Hanging requests are answered and no fault is left."""
        self.faults.clear()
        self.calm.set()
        self.calm = asyncio.Event()


_FAULTS: dict[str, tuple[int, Obj]] = {
    "500": (500, {"error": {"message": "An unknown error occurred", "type": "api_error"}}),
    "503": (503, {"error": {"message": "Stripe is temporarily unavailable", "type": "api_error"}}),
    "429": (
        429,
        {
            "error": {
                "code": "rate_limit",
                "message": "Request rate limit exceeded. Learn more about rate limits here.",
                "type": "invalid_request_error",
            }
        },
    ),
}
