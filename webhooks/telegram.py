"""Telegram's webhook: updates are kept in the inbox before they are acknowledged; the bot works them off."""

import hmac

import orjson
from aiohttp import web

from core.billing import links, passed
from webhooks import guard, site

HEADER = "X-Telegram-Bot-Api-Secret-Token"


async def take_update(request: web.Request) -> web.Response:
    """The update is in the inbox when this is answered with 200; only Telegram knows the secret token."""
    here = site.of(request)
    conf = here.stack.settings
    if not conf.telegram or conf.telegram_mode != "webhook":
        raise web.HTTPNotFound
    given = request.headers.get(HEADER, "").encode("utf-8", "surrogateescape")
    known = hmac.compare_digest(given, links.telegram_secret(conf).encode())
    raw, event_id, (source, kind) = await guard.vouched(request, "telegram", lambda raw: _named(raw, known=known))
    await here.tray.put(source, event_id, kind, raw)
    here.stack.bell.ring(f"inbox:{source}")
    return site.json({"ok": True})


def _named(raw: bytes, *, known: bool) -> tuple[bytes, str, tuple[str, str]]:
    if not known:
        raise web.HTTPForbidden
    try:
        update = orjson.loads(raw)
        number = int(update["update_id"])
    except (ValueError, KeyError, TypeError):
        raise web.HTTPBadRequest from None
    return raw, str(number), passed.filed(update)
