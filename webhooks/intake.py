"""The door for alerts: POST /intake/{source} makes signals of what a source outside decides, once each.

Whoever knows the secret of the source is heard, by a signature over the raw body or by the secret in it. Everybody
else learns nothing, and an operator reads of what was refused in one alarm for each source.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

import structlog
from aiohttp import web

from core import errors, health, settings
from core.signals import orders, outside
from core.stack import Stack
from webhooks import alerts, guard, limits, site

LIMIT = 16 * 1024
"""Bytes that an alert may have."""
SIGNATURE, TIMESTAMP = "X-Signature", "X-Timestamp"
_UNKNOWN = "The secret or the signature is not that of this source, or the body is no JSON object."
_MANY = "That is more than we take in a minute; send it again later."
log = structlog.get_logger()


class Gate:
    """The sources that are let in, with their secrets."""

    def __init__(self, stack: Stack) -> None:
        secrets = stack.settings.intake_keys
        self._sources = {
            intake.key: (outside.source(intake), secrets[intake.key].encode())
            for intake in stack.catalogue.intakes
            if len(secrets.get(intake.key, "")) >= settings.SHORTEST
        }

    def source(self, key: str) -> tuple[outside.Source, bytes]:
        """The source with its secret; an unknown one is an address that does not exist."""
        if key not in self._sources:
            raise web.HTTPNotFound
        return self._sources[key]


KEY = web.AppKey("intake", Gate)


async def take(request: web.Request) -> web.Response:
    """The alert is a published signal when this is answered with 201, and was one before with 200."""
    here, gate, key = site.of(request), request.app[KEY], request.match_info["source"]
    allowed = await here.limiter.take(limits.INTAKE, "intake", guard.address(request))
    if not allowed.ok:
        return _too_many(allowed)
    source, secret = gate.source(key)
    raw = await guard.body(request, LIMIT)
    alert = alerts.loaded(raw)
    if not authentic(secret, request.headers, raw, alert):
        await _note(here, key, "stranger", "An alert came without its secret, or was no JSON.")
        return site.problem("unauthorized", _UNKNOWN, status=401)
    allowed = await here.limiter.take(limits.SOURCE, "intake source", key)
    if not allowed.ok:
        await _note(here, key, "refused", f"More than {allowed.limit} alerts came in a minute.")
        return _too_many(allowed)
    try:
        taken = await _taken(here, source, alert, request.headers)
    except errors.RefusedError as refusal:
        sentence = str(refusal).replace(secret.decode(), "[secret]")
        await _alarm(here, key, "refused", sentence)
        return site.problem("refused", sentence, status=422)
    if taken.new:
        here.stack.deliver()
    said = "published" if taken.new else "known"
    return site.json({"signal": taken.signal, "status": said}, status=201 if taken.new else 200)


def authentic(secret: bytes, headers: Mapping[str, str], raw: bytes, alert: Mapping[str, object] | None) -> bool:
    """Whether the sender knows the secret; where a signature is given, it alone counts."""
    if SIGNATURE in headers:
        signed = headers.get(TIMESTAMP, "").encode("utf-8", "surrogateescape") + b"." + raw
        wanted = hmac.new(secret, signed, hashlib.sha256).hexdigest().encode()
        given = headers[SIGNATURE].removeprefix("sha256=").lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(wanted, given)
    said = (alert or {}).get(alerts.SECRET)
    return hmac.compare_digest(secret, said.encode() if isinstance(said, str) else b"")


async def _taken(
    here: site.Site, source: outside.Source, alert: Mapping[str, object] | None, headers: Mapping[str, str]
) -> outside.Taken:
    """What became of the alert; raises RefusedError."""
    if alert is None:
        raise errors.RefusedError("The body is no JSON object.")
    order, at = _dated(alert, headers, here.now)
    async with here.stack.db.transaction() as session:
        return await outside.take(session, here.stack.catalogue, source, order, at=at, now=here.now)


def _dated(alert: Mapping[str, object], headers: Mapping[str, str], now: datetime) -> tuple[orders.Order, datetime]:
    """The order and when it was given: by the body, or by the signature's time, which must not be of the future."""
    order, at = alerts.order(alert)
    times = [at] if at else []
    if SIGNATURE in headers:
        times.append(alerts.moment(headers.get(TIMESTAMP, "")))
    if not times:
        raise errors.RefusedError("at: it is missing; on TradingView write {{timenow}}.")
    if max(times) > now + outside.AHEAD:
        raise errors.RefusedError("It is from the future; set the clock of whoever sends it.")
    return order, min(times)


async def _note(here: site.Site, key: str, kind: str, text: str) -> None:
    """As `_alarm`, but seldom: whoever knocks often does not make us write often."""
    if (await here.limiter.take(limits.NOTED, "intake noted", key, kind)).ok:
        await _alarm(here, key, kind, text)


async def _alarm(here: site.Site, key: str, kind: str, text: str) -> None:
    """The operator can read that alerts of this source are refused, and why the last one was."""
    log.warning("intake_alert_refused", source=key, reason=text)
    async with here.stack.db.transaction() as session:
        await health.alarm(session, f"intake:{key}:{kind}", f"Intake {key}: {text}", now=here.now)


def _too_many(allowed: limits.Allowance) -> web.Response:
    answer = site.problem("too_many_requests", _MANY, status=429)
    answer.headers.update(allowed.headers)
    return answer
